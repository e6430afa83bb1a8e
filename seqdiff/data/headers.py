"""What the header of a protein says beside its name: UniProt, UniRef and NCBI conventions.

    >sp|P12345|AATM_RABIT Aspartate aminotransferase OS=Oryctolagus cuniculus OX=9986 GN=GOT2 PE=1 SV=2
    >UniRef50_P12345 Aspartate aminotransferase n=5 Tax=Oryctolagus cuniculus TaxID=9986 RepID=AATM_RABIT
    >WP_000000001.1 aspartate aminotransferase [Escherichia coli]

(https://www.uniprot.org/help/fasta-headers). Everything here is bytes, as headers are in any encoding.
"""

import re
from typing import NamedTuple

_FIELD = re.compile(rb"[ \t](OS|OX|GN|PE|SV|n|Tax|TaxID|RepID|Split)=")
_BRACKETS = re.compile(rb"\[([^\[\]]+)\][ \t]*$")
_DATABASES = (b"sp|", b"tr|", b"gb|", b"ref|", b"lcl|", b"emb|", b"dbj|")


class Header(NamedTuple):
    """Empty where the header does not say."""

    identifier: bytes
    organism: bytes = b""
    gene: bytes = b""


def parse(header: bytes) -> Header:
    """The identifier, organism and gene of a header line (without its `>`).

    >>> parse(b"sp|P04637|P53_HUMAN Cellular tumor antigen p53 OS=Homo sapiens OX=9606 GN=TP53 PE=1 SV=4")
    Header(identifier=b'P04637', organism=b'Homo sapiens', gene=b'TP53')
    >>> parse(b"UniRef50_Q6GZX4 Putative factor 001R n=41 Tax=Ranavirus TaxID=10492 RepID=001R_FRG3G")
    Header(identifier=b'UniRef50_Q6GZX4', organism=b'Ranavirus', gene=b'')
    """
    name = identifier(header.split(None, 1)[0])
    if b"=" not in header:
        bracket = _BRACKETS.search(header) if header.endswith((b"]", b"] ", b"]\t")) else None
        return Header(name, bracket[1].strip()) if bracket else Header(name)
    _, *parts = _FIELD.split(header)
    found = dict(zip(parts[::2], parts[1::2], strict=True))
    organism = found.get(b"OS") or found.get(b"Tax") or found.get(b"OX") or found.get(b"TaxID") or b""
    return Header(name, organism.strip(), found.get(b"GN", b"").strip().upper())


def identifier(name: bytes) -> bytes:
    """The accession of a name with a database in front, as MMseqs2 writes names into its tables; else the name.

    >>> identifier(b"sp|P04637|P53_HUMAN"), identifier(b"P04637"), identifier(b"chain|A")
    (b'P04637', b'P04637', b'chain|A')
    """
    return name.split(b"|", 2)[1] or name if name.startswith(_DATABASES) else name
