"""seqdiff predict"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqdiff import __version__
from seqdiff.cli import evaluate, inputs, options, results
from seqdiff.errors import DataError, UsageError

if TYPE_CHECKING:
    from seqdiff.predictor import Prediction, Predictor, Target

log = logging.getLogger("seqdiff")


def command(
    model: Annotated[Path, typer.Option("--model", help="A run directory that seqdiff finetune made.")],
    fasta: Annotated[str | None, typer.Option("--fasta", help="FASTA or FASTQ, plain or gzip; - is stdin.")] = None,
    table: Annotated[str | None, typer.Option("--csv", help="CSV or TSV instead, with a column of sequences.")] = None,
    output: options.Output = None,
    sequence_column: Annotated[
        str | None, typer.Option("--sequence-column", help="--csv: where sequences are, default: sequence.")
    ] = None,
    label_column: Annotated[
        str | None, typer.Option("--label-column", help="--csv: labels to be judged by, default: label, if there.")
    ] = None,
    duplicates: options.Duplicates = "error",
    device: options.Device = "auto",
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Predict labels of sequences with a fine-tuned run, one line a sequence.

    Columns: name (of a table: its column name or id, else the line), length, label (the most probable) and p_LABEL of
    each class; for a quantity its value. Both strands of DNA are read. A sequence without a known letter has `.` in
    place of numbers. Where rows of a table have labels, how well they are met is said on stderr.

    Example: seqdiff predict --model runs/tuned --fasta sequences.fa -o predictions.tsv
    """
    options.start(threads=threads, quiet=quiet, verbose=verbose)
    options.one_of("--duplicates", duplicates, ("error", "first", "rename"))
    if (fasta is None) == (table is None):
        raise UsageError("give --fasta FILE or --csv FILE")
    for option, value in (("--sequence-column", sequence_column), ("--label-column", label_column)):
        if value is not None and table is None:
            raise UsageError(f"{option}: it is for --csv")
    results.require_own("-o", None if str(output) == "-" else output, fasta, table)
    from seqdiff import predictor as predictors

    loaded = predictors.load(model, device)
    if fasta is not None:
        _records(loaded, fasta, duplicates, output, quiet)
    else:
        _table(loaded, table, sequence_column or "sequence", label_column, output, quiet)


def _records(loaded: "Predictor", fasta: str, duplicates: str, output: Path | None, quiet: bool) -> None:
    from seqdiff.data.fasta import Output, accepted, read_records

    alphabet = loaded.alphabet
    with inputs.checked(fasta, alphabet, duplicates) as (path, lengths):
        total = lengths.total or None
        records = (accepted(record, alphabet, fasta) for record in read_records(path, duplicates=duplicates))
        with options.progress("predict", alphabet.unit, quiet, total) as advance, Output(output) as out:
            found = loaded.predict(records, progress=advance)
            first = next(found, None)
            out.write(_head(loaded).encode())
            while first is not None:
                out.write(_line(first.name, first, loaded.target))
                first = next(found, None)


def _table(loaded: "Predictor", path: str, sequence: str, label: str | None, output: Path | None, quiet: bool) -> None:
    import sys

    from seqdiff.data.fasta import Output, Record
    from seqdiff.data.labelled import Labelled, letters_of, plain
    from seqdiff.data.table import read_table
    from seqdiff.evaluate.tuned import judged

    rows = read_table(path)
    asked, label = label is not None, label or ("label" if "label" in rows else None)
    column = next((name for name in ("name", "id") if name in rows), None)
    names = rows[column] if column else [str(line) for line in rows.lines]
    texts = [
        letters_of(text, loaded.alphabet, f"{rows.name}, line {line:,}, column {sequence!r}")
        for text, line in zip(rows[sequence], rows.lines, strict=True)
    ]
    labels = [plain(each.strip()) for each in rows[label]] if label else [""] * len(texts)
    labelled = Labelled(rows.name, texts, labels, rows.lines)
    judgeable = [row for row, each in enumerate(labels) if each]
    try:  # an unknown label is said before there is any output
        part = labelled.select(judgeable)
        part.indices(loaded.target.classes) if loaded.target.classes else part.numbers()
    except DataError as error:
        if asked:
            raise
        log.warning("%s: predictions are not judged by the column 'label'", error)
        judgeable = []
    records = [Record(name, name, text) for name, text in zip(names, texts, strict=True)]
    with options.progress("predict", loaded.alphabet.unit, quiet, sum(map(len, texts))) as advance:
        found = list(loaded.predict(records, progress=advance))
    with Output(output) as out:
        out.write(_head(loaded).encode())
        for name, prediction in zip(names, found, strict=True):
            out.write(_line(name, prediction, loaded.target))
    known = [row for row in judgeable if found[row].values[0] == found[row].values[0]]
    if known and not quiet:
        predictions = [found[row] for row in known]
        evaluate.show(judged(predictions, labelled.select(known), loaded.target, loaded.alphabet).table(), sys.stderr)


def _head(loaded: "Predictor") -> str:
    target = loaded.target
    first = f"# seqdiff {__version__} model={loaded.recipe.name} task={target.task}"
    first += f" learned_from={_cell(target.learned_from)}\n"
    if target.task == "regression":
        return f"{first}name\tlength\tvalue\n"
    return first + "\t".join(["name", "length", "label", *(f"p_{_cell(name)}" for name in target.classes)]) + "\n"


def _line(name: str, prediction: "Prediction", target: "Target") -> bytes:
    from seqdiff.data.source import bytes_of

    values = prediction.values
    known = values[0] == values[0]
    cells = [f"{value:.6g}" if known else "." for value in values]
    if target.task == "classification":
        cells.insert(0, _cell(target.classes[int(values.argmax())]) if known else ".")
    return bytes_of("\t".join([_cell(name), str(prediction.length), *cells]) + "\n")


def _cell(text: str) -> str:
    """As it stands in a line of a TSV: what would end the cell or the line is a blank."""
    return text.translate(dict.fromkeys(map(ord, "\t\r\n"), " "))
