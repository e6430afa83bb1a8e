"""seqdiff embed"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqdiff import __version__
from seqdiff.cli import inputs, options, results
from seqdiff.cli import text as texts
from seqdiff.errors import UsageError

if TYPE_CHECKING:
    from seqdiff.data.fasta import Record
    from seqdiff.data.vectors import VectorFile
    from seqdiff.model import Model

PER = ("mean", "residue", "window")


def command(
    context: typer.Context,
    fasta: options.FastaOrText = None,
    text: texts.File = None,
    model: options.ModelRun = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A file that ends in .npz or .parquet; needed.")
    ] = None,
    per: Annotated[
        str | None, typer.Option("--per", help="A vector for each record (mean, the default), residue or window.")
    ] = None,
    window: Annotated[
        int | None, typer.Option("--window", min=1, help="Letters of a window; a mean vector for each.")
    ] = None,
    stride: Annotated[
        int | None, typer.Option("--stride", min=1, help="Letters from window to window; default: one after another.")
    ] = None,
    strand: Annotated[
        str, typer.Option("--strand", help="DNA: the mean of both strands, or forward, the one that is written.")
    ] = "both",
    duplicates: Annotated[
        str,
        typer.Option("--duplicates", help="Records of the same name: error, first (keep it), rename or keep (all)."),
    ] = "error",
    device: options.Device = "auto",
    threads: options.Threads = None,
    processes: options.Processes = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Embed sequences: what the network knows of each record, of each of its letters, or of windows of it.

    A letter's vector is the network's last hidden state there; a record's or window's is the mean over its known
    letters, and NaN without one. For DNA the reverse complement has the same vectors, those of its residues in
    reverse order. Records longer than the model's context are read in overlapping windows.

    The .npz has embeddings (a row a vector), names, lengths, offsets (rows offsets[i] to offsets[i + 1] are of record
    i), known (letters in the mean), start and end (of windows, from 1, both included) and metadata (JSON). The .parquet
    has a row a vector: name, length, position or start and end (from 1), embedding. Memory does not grow with the file,
    but by what it takes to know names again (--duplicates keep does without). With --text, a model of running text
    embeds the file as one record, a model of documents each line.

    Example: seqdiff embed --fasta sequences.fa --model runs/demo -o embeddings.npz
    """
    options.start(threads=threads, quiet=quiet, verbose=verbose)
    of_text = texts.asked(context, fasta, text, "per", "window", "stride")
    per = options.one_of("--per", per or ("window" if window else "mean"), PER)
    options.one_of("--strand", strand, ("both", "forward"))
    options.one_of("--duplicates", duplicates, ("error", "first", "rename", "keep"))
    if (window is not None) != (per == "window"):
        raise UsageError("--per window needs --window LENGTH" if window is None else f"--window: not with --per {per}")
    if stride is not None and (window is None or stride > window):
        raise UsageError(f"--stride {stride}: it is for --window, and at most as long")
    if output is None or str(output) == "-":
        raise UsageError("embeddings need a file of their own: -o FILE.npz or -o FILE.parquet")
    results.require_own("-o", output, fasta, text)
    from seqdiff import model as models
    from seqdiff import resources
    from seqdiff.data.fasta import read_records
    from seqdiff.data.vectors import require_format, writing

    require_format(output)
    loaded = models.load(model, device)
    width = loaded.states(strand).width
    size = _Size(window, window if stride is None else stride)
    look = inputs.checked(fasta, loaded.alphabet, duplicates, spool=True, look=size.add) if fasta else None
    with look or texts.records(text, loaded) as (found, lengths):
        if of_text:
            size.add_all(lengths.named)
        rows = {"mean": size.records, "window": size.windows, "residue": size.letters}[per]
        records = found if of_text else read_records(found, duplicates=duplicates)
        about = _about(
            loaded, resources.run_folder(model or models.SHIPPED), per=per, window=window, stride=stride,
            strand=strand if loaded.alphabet.complementary else None,
        )  # fmt: skip
        unit = loaded.alphabet.unit
        with (
            options.spread(loaded, processes, threads) as many,
            options.progress("embed", unit, quiet, size.letters or None) as advance,
            writing(output, rows=rows, records=size.records, width=width, longest_name=size.longest,
                    metadata=about) as out,
        ):  # fmt: skip
            if per == "residue":
                _residues(many.residues(records, strand=strand, source=fasta or text, progress=advance), out)
                unknown = 0
            else:
                found = many.embed_records(
                    records, window=window, stride=stride, strand=strand, source=fasta or text, progress=advance
                )
                unknown = _means(found, out, per)
    if unknown:
        models.logger.warning("%s of %s vectors are NaN: no letter there is known", f"{unknown:,}", f"{rows:,}")
    models.logger.info("%s vectors of %s numbers in %s", f"{rows:,}", f"{width:,}", output)


class _Size:
    """How much there is, counted while the letters are checked."""

    def __init__(self, window: int | None, stride: int | None):
        self.window, self.stride = window, stride
        self.records = self.letters = self.windows = self.longest = 0

    def add(self, record: "Record") -> None:
        self.add_all({record.name: len(record.sequence)})

    def add_all(self, lengths: "dict[str, int]") -> None:
        """Records by name, with their letters."""
        for name, length in lengths.items():
            self._add(name, length)

    def _add(self, name: str, length: int) -> None:
        self.records += 1
        self.letters += length
        self.longest = max(self.longest, len(name))
        if self.window is not None:
            self.windows += 1 + max(0, -(-(length - self.window) // self.stride))


def _means(found: Any, out: "VectorFile", per: str) -> int:
    """Writes the mean vectors; how many are NaN."""
    import numpy as np

    number, unknown = -1, 0
    for row in found:
        if row.number != number:
            number = row.number
            out.record(row.name, row.length)
        place = {"start": np.array([row.start + 1]), "end": np.array([row.end])} if per == "window" else {}
        out.rows(row.vector[None], known=np.array([row.known]), **place)
        unknown += not row.known
    return unknown


def _residues(found: Any, out: "VectorFile") -> None:
    """Writes the vectors of all letters."""
    import numpy as np

    number = -1
    for part in found:
        if part.number != number:
            number = part.number
            out.record(part.record.name, part.length)
        out.rows(part.states, position=np.arange(part.first + 1, part.first + 1 + len(part.states)))


def _about(loaded: "Model", run: Path, **settings: Any) -> dict[str, Any]:
    from seqdiff.checkpoint import RunFolder
    from seqdiff.files import checksum

    return {
        "written_by": f"seqdiff {__version__}", "model": loaded.recipe.name, "run": run.name,
        "weights": checksum(RunFolder(run).weights_file), "trained_on": loaded.provenance.data,
        "alphabet": loaded.alphabet.name, "context": loaded.context,
        **{name: value for name, value in settings.items() if value is not None},
    }  # fmt: skip
