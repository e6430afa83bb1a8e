"""What a filled record is, and how it is written down."""

from dataclasses import dataclass, replace

import numpy as np

from seqdiff.alphabet import Alphabet
from seqdiff.data.fasta import Record
from seqdiff.data.source import bytes_of

KNOWN_QUALITY = 40
"""Phred quality written for letters that were given and came without one."""
HIGHEST_QUALITY = 60
"""Phred quality of a filled letter is cut here: a probability of error under 1e-6 is beyond any calibration."""


@dataclass(frozen=True)
class Infilled:
    """A record with its gaps filled.

    `positions` (n,) 0-based places that were filled, `marginals` (n, K) the distribution there before anything in the
    window was filled: the network's, times the likelihood of what is known of the letter (constraints are not in it);
    `calls` network calls.

    `log_weight` (nats) is the log of how probable the model makes what is known of letters that are neither certain nor
    free, an unbiased estimate in P, and the importance weight of this filling (0 when there are none; math.md 5.11);
    None where the sampler gives none, since it redraws letters. `ess` is the smallest effective number of
    particles in any window, None without particles.
    """

    record: Record
    replicate: int
    positions: np.ndarray
    marginals: np.ndarray
    calls: int
    log_weight: float | None
    ess: float | None = None
    constraints: str | None = None
    """What was asked of the record came to this (`Design.verify`); None: nothing was asked."""
    inserted: str | None = None
    """Where unknown letters were put in before, and how many: `24:7,80:0` (positions of the record as it came)."""

    @property
    def filled(self) -> bytes:
        """The letters that were filled in, in order."""
        return bytes(np.frombuffer(self.record.sequence, np.uint8)[self.positions])


def qualities(infilled: Infilled, alphabet: Alphabet) -> bytes:
    """FASTQ qualities of a filled record: Phred of 1 - the marginal of the letter that was filled in.

    Given letters keep the quality they came with, or get `KNOWN_QUALITY`.
    """
    record = infilled.record
    given = record.quality or bytes([33 + KNOWN_QUALITY]) * len(record.sequence)
    quality = np.frombuffer(given, np.uint8).copy()
    letters = alphabet.codes[np.frombuffer(record.sequence, np.uint8)[infilled.positions]]
    chosen = infilled.marginals[np.arange(len(letters)), letters].astype(np.float64)
    wrong = np.clip(1 - chosen, 10 ** (-HIGHEST_QUALITY / 10), 1)
    quality[infilled.positions] = 33 + np.round(-10 * np.log10(wrong)).astype(np.uint8)
    return quality.tobytes()


def written(record: Record, positions: np.ndarray, tokens: np.ndarray, alphabet: Alphabet) -> Record:
    """The record with tokens (n,) at `positions` (n,), as `Alphabet.fill` writes them."""
    return replace(record, sequence=alphabet.fill(record.sequence, positions, tokens))


def table_header(alphabet: Alphabet) -> bytes:
    """The columns of the table of distributions."""
    return ("name\tposition\tfilled\t" + "\t".join(f"p_{s}" for s in alphabet.symbols) + "\n").encode()


def table_lines(name: str, infilled: Infilled) -> bytes:
    """A line a filled letter: where (from 1), which, and the probability of each letter (see `Infilled.marginals`)."""
    rows = zip(infilled.positions.tolist(), infilled.filled.decode(), infilled.marginals)
    lines = (f"{position + 1}\t{letter}\t" + "\t".join(f"{p:.6f}" for p in row) for position, letter, row in rows)
    return b"".join(bytes_of(f"{name}\t{line}\n") for line in lines)


REPORT_HEADER = b"name\treplicate\tfilled\tcalls\tlog_weight\tess\tconstraints\tinserted\n"


def report_line(infilled: Infilled) -> bytes:
    """One filling of one record as a line: letters filled, network calls, log weight (nats), effective particles,
    what the constraints came to, and what was inserted."""
    weight = "." if infilled.log_weight is None else f"{infilled.log_weight:.6f}"
    ess = "." if infilled.ess is None else f"{infilled.ess:.2f}"
    fields = (infilled.record.name, infilled.replicate + 1, len(infilled.positions), infilled.calls, weight, ess)
    fields += (infilled.constraints or ".", infilled.inserted or ".")
    return bytes_of("\t".join(map(str, fields)) + "\n")
