"""How scored variants are written: INFO fields of a VCF, and tables."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from seqdiff import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seqdiff.alphabet import Alphabet
    from seqdiff.data.genome import Genome
    from seqdiff.inference.changes import VariantScorer
    from seqdiff.inference.haplotypes import HaplotypeEffect
    from seqdiff.inference.variants import Effect
    from seqdiff.model import Model

TABLE = b"contig\tpos\tid\tref\talt\tllr\tse\tmethod\tcontext\treason\n"
SATURATED = b"contig\tpos\tref\talt\tllr\n"
HAPLOTYPES = b"contig\tstart\tend\tvariants\tcopies\tllr\tsum_of_single\tse\tmethod\tcontext\treason\n"


@dataclass(frozen=True)
class About:
    """By what was scored: for headers and titles."""

    model: str
    context: int
    method: str
    orders: int
    draws: int
    seed: int
    strands: int

    @property
    def title(self) -> str:
        return f"log p(letter) / p(reference), nats; {self.model}"

    def comment(self) -> bytes:
        """The first line of a table."""
        return (
            f"# seqdiff {__version__} method={self.method} orders={self.orders} draws={self.draws} seed={self.seed} "
            f"model={self.model} context={self.context} strands={self.strands}\n"
        ).encode("utf-8", "surrogateescape")

    def fields(self) -> list[tuple[str, str, str, str]]:
        """INFO fields: name, number, type, description."""
        by = f"model {self.model}, context {self.context}, seed {self.seed}, seqdiff {__version__}"
        by = by.replace("\\", "/").replace('"', "'")
        both = "mean of both strands; " if self.strands == 2 else ""
        return [
            ("SEQDIFF_LLR", "A", "Float", f"log p(ALT) - log p(REF), natural logarithm; {both}{by}"),
            ("SEQDIFF_SE", "A", "Float", "Standard error of SEQDIFF_LLR by random masks or orders; 0: none drawn"),
            (
                "SEQDIFF_METHOD", "A", "String",
                "marginal: masked marginal at the site; chain: chain rule over the sites that differ, mean of at most "
                f"{self.orders} orders; elbo: difference of conditional bounds, {self.draws} masks; exact: difference "
                "of log p of the window, of a model that reads left to right",
            ),
            ("SEQDIFF_CONTEXT", "A", "Integer", "Bases of the reference that the model looked at"),
            ("SEQDIFF_REASON", "A", "String", "Why there is no SEQDIFF_LLR"),
        ]  # fmt: skip


def about(model: "Model", settings: "VariantScorer", seed: int) -> About:
    from seqdiff.diffusion.denoise import is_equivariant

    strands = 1 if is_equivariant(model.denoiser) else 2
    method = settings.method if model.recipe.process.fills_masks else "exact"
    return About(model.recipe.name, model.context, method, settings.orders, settings.draws, seed, strands)


def info(effects: "Sequence[Effect]") -> dict[bytes, bytes | None]:
    """The INFO fields of a record from the effects of its alleles; None: to be taken away."""

    def of_each(values: "list[str]") -> bytes:
        return ",".join(values).encode()

    unscored = any(effect.reason for effect in effects)
    return {
        b"SEQDIFF_LLR": of_each([number(effect.llr) for effect in effects]),
        b"SEQDIFF_SE": of_each([number(effect.se) for effect in effects]),
        b"SEQDIFF_METHOD": of_each([effect.method or "." for effect in effects]),
        b"SEQDIFF_CONTEXT": of_each([str(effect.context or ".") for effect in effects]),
        b"SEQDIFF_REASON": of_each([effect.reason or "." for effect in effects]) if unscored else None,
    }


def row(effect: "Effect", name: bytes) -> bytes:
    """A line of `TABLE`."""
    contig, start, ref, alt = effect.variant
    place = _bytes(f"{contig}\t{start + 1}\t") + name + _bytes(f"\t{ref}\t{alt}\t")
    values = [
        number(effect.llr),
        number(effect.se),
        effect.method or ".",
        str(effect.context or "."),
        effect.reason or ".",
    ]
    return place + _bytes("\t".join(values) + "\n")


def saturated_row(effect: "Effect") -> bytes:
    """A line of `SATURATED`."""
    contig, start, ref, alt = effect.variant
    return _bytes(f"{contig}\t{start + 1}\t{ref}\t{alt}\t{number(effect.llr)}\n")


def haplotype_row(effect: "HaplotypeEffect") -> bytes:
    """A line of `HAPLOTYPES`."""
    outcome = effect.outcome
    variants = ",".join(f"{variant.start + 1}:{variant.ref}>{variant.alt}" for variant in effect.variants)
    fields = [
        effect.contig, str(effect.start + 1), str(effect.end), variants, str(effect.copies),
        number(outcome.llr), number(effect.alone), number(outcome.se), outcome.method or ".",
        str(outcome.context or "."), outcome.reason or ".",
    ]  # fmt: skip
    return _bytes("\t".join(fields) + "\n")


def new_header(genome: "Genome", fields: "Sequence[tuple[str, str, str, str]]") -> bytes:
    """The header of a VCF that was not read but made."""
    from seqdiff.data.source import bytes_of
    from seqdiff.data.vcf import COLUMNS, header

    contigs = [bytes_of(f"##contig=<ID={name},length={length}>") for name, length in genome.contigs.items()]
    meta = [b"##fileformat=VCFv4.2", bytes_of(f"##reference={genome.path.name}"), *contigs]
    return header(meta, COLUMNS, fields)


def site(effects: "Sequence[Effect]") -> list[bytes]:
    """The columns of a record of all substitutions at one position."""
    contig, start, ref, _ = effects[0].variant
    alternates = ",".join(effect.variant.alt for effect in effects)
    return [_bytes(contig), b"%d" % (start + 1), b".", ref.encode(), alternates.encode(), b".", b".", b"."]


def heat(effects: "Sequence[Effect]", alphabet: "Alphabet") -> list[float]:
    """log p of each symbol over the reference's at one position: 0 for the reference itself, NaN where unknown."""
    nan = float("nan")
    values = {effect.variant.alt: nan if effect.llr is None else effect.llr for effect in effects}
    return [values.get(symbol, 0.0) for symbol in alphabet.symbols]


def number(value: float | None) -> str:
    """
    >>> number(-0.00001), number(None)
    ('0.0000', '.')
    """
    return "." if value is None else f"{value:.4f}" if abs(value) >= 5e-5 else "0.0000"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
