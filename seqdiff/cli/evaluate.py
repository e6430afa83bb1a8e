"""seqdiff evaluate"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from seqdiff.cli import options
from seqdiff.cli.mutations import METHODS
from seqdiff.errors import DataError, UsageError

if TYPE_CHECKING:
    from seqdiff.evaluate.answer import Table


def command(
    run: Annotated[Path | None, typer.Argument(help="A run directory; default: the model that ships.")] = None,
    questions: Annotated[
        list[str] | None,
        typer.Argument(help="One or more of those below; default: likelihood, recovery and calibration."),
    ] = None,
    output: options.Output = None,
    figures: Annotated[Path | None, typer.Option("--figures", help="A folder for figures as PNG.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Change a setting of a question: --set recovery.gaps=100.")
    ] = None,
    vcf: Annotated[Path | None, typer.Option("--vcf", help="variants: which ones, VCF, plain or gzip.")] = None,
    fasta: Annotated[
        Path | None, typer.Option("--fasta", help="variants: the genome of the VCF, or the wild type of the mutations.")
    ] = None,
    mutations: Annotated[
        Path | None, typer.Option("--mutations", help="variants: of a protein, measured: a table as ProteinGym has it.")
    ] = None,
    record: Annotated[
        str | None, typer.Option("--record", help="variants: which record of the FASTA is the wild type.")
    ] = None,
    first_residue: Annotated[
        int | None, typer.Option("--first-residue", help="variants: the number of the first residue; default 1.")
    ] = None,
    column: Annotated[
        str | None, typer.Option("--column", help="variants: which column has the mutations; default: mutant.")
    ] = None,
    score_column: Annotated[
        str | None, typer.Option("--score-column", help="variants: which has the measurements; default: DMS_score.")
    ] = None,
    bin_column: Annotated[
        str | None,
        typer.Option("--bin-column", help="variants: which says what is fit; default: DMS_score_bin, or the median."),
    ] = None,
    method: Annotated[
        str | None, typer.Option("--method", help="variants: how mutations are scored, as in seqdiff variants.")
    ] = None,
    positive: Annotated[
        str | None,
        typer.Option("--positive", help="variants: which alleles are positives: 'AF<0.001 && FILTER==PASS'."),
    ] = None,
    negative: Annotated[
        str | None, typer.Option("--negative", help="variants: which are negatives: 'AF>=0.05'.")
    ] = None,
    label: Annotated[
        str | None, typer.Option("--label", help="variants: an INFO field instead, 1 for positives, 0 for negatives.")
    ] = None,
    check_ref: Annotated[
        str | None, typer.Option("--check-ref", help="variants: records of another REF: error, warn or exclude.")
    ] = None,
    train: Annotated[Path | None, typer.Option("--train", help="probe: rows to learn from, CSV or TSV.")] = None,
    test: Annotated[Path | None, typer.Option("--test", help="probe: rows to be judged on.")] = None,
    dev: Annotated[
        Path | None, typer.Option("--dev", help="probe: rows to choose the penalty on; default: cross-validation.")
    ] = None,
    sequence_column: Annotated[
        str | None, typer.Option("--sequence-column", help="probe: where sequences are, default: sequence.")
    ] = None,
    label_column: Annotated[
        str | None, typer.Option("--label-column", help="probe: where labels are, default: label.")
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", help="probe: classification or regression; default: told from the labels.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed of all questions' draws.")] = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Evaluate a model on the test windows of its own recipe, beside Markov models fitted on its training data.

    Asked where none is named: likelihood (bits per base with standard error), recovery (letters recovered in gaps of
    1 to 256) and calibration (whether a probability of 0.9 is right nine times in ten).

    Asked by name: samplers (what each sampler gives for its network calls, on the same gaps: share of the letters that
    stood there, bits, distance of k-mers), spectra (k-mers, letters, GC content and CpG of samples beside held-out
    sequences, and what training sequences would come to) and variants (AUROC and AUPRC of telling positive from
    negative variants by -LLR, the log-likelihood ratio of alternate to reference allele, by class of variant and with
    95 % intervals). A condition on INFO, ID, QUAL or FILTER is KEY, or KEY and a value with < <= > >= == or != between;
    && joins conditions. Alleles that are both positive and negative, or neither, are left out. For proteins: assay
    (Spearman, AUC, MCC, NDCG and top recall of the scores of mutants beside what an assay measured, as ProteinGym
    defines them; variants --mutations asks the same) and, of a family, couplings (the pairs of columns that depend on
    each other most, by the numbers of their residues). And probe (what the embeddings know of the labels of --train and
    --test: accuracy, MCC, F1, AUROC or correlations of a linear model, beside one of k-mer counts).

    Example: seqdiff evaluate runs/demo likelihood -o evaluation.json --figures figures
    """
    options.start(threads=threads, quiet=quiet, verbose=verbose)
    from seqdiff import model as models
    from seqdiff import resources
    from seqdiff.checkpoint import RunFolder
    from seqdiff.evaluate import DEFAULT, QUESTIONS, WITHOUT_DATA
    from seqdiff.evaluate.evaluation import Evaluation
    from seqdiff.files import sha256
    from seqdiff.report import figures as drawing
    from seqdiff.report.schedules import schedules_figure

    if run is not None and str(run) in QUESTIONS and not run.is_dir():
        run, questions = None, [str(run), *(questions or [])]  # of the model that ships
    names = tuple(dict.fromkeys(questions or DEFAULT))
    for name in names:
        options.one_of("question", name, tuple(QUESTIONS))
    if mutations is not None and "variants" in names:
        names = tuple("assay" if name == "variants" else name for name in names)
    changes = changed(settings or [], tuple(QUESTIONS))
    if unasked := changes.keys() - set(names):
        raise UsageError(f"--set {unasked.pop()}...: that question is not asked")
    assay = "assay" in names
    if assay and method is not None:
        if "scorer" in changes.setdefault("assay", {}):
            raise UsageError("--method and --set assay.scorer: give one of them")
        changes["assay"]["scorer"] = {"method": options.one_of("--method", method, METHODS)}
    elif method is not None:
        raise UsageError("--method is for the question variants with --mutations, which is not asked")
    of_either = {"fasta": fasta, "check_ref": check_ref}
    given = {
        "variants": {"vcf": vcf, "positive": positive, "negative": negative, "label": label}
        | ({} if assay else of_either),
        "assay": {"mutations": mutations, "record": record, "first_residue": first_residue, "column": column,
                  "score_column": score_column, "bin_column": bin_column} | (of_either if assay else {}),
        "probe": {"train": train, "test": test, "dev": dev, "sequence_column": sequence_column,
                  "label_column": label_column, "task": task},
    }  # fmt: skip
    for owner, files in given.items():
        for setting, value in files.items():
            if value is not None:
                option = "--" + setting.replace("_", "-")
                if owner not in names:
                    asks = "variants with --mutations" if owner == "assay" else owner
                    raise UsageError(f"{option} is for the question {asks}, which is not asked")
                if setting in changes.setdefault(owner, {}):
                    raise UsageError(f"{option} and --set {owner}.{setting}: give one of them")
                changes[owner][setting] = value
    if check_ref is not None:
        options.one_of("--check-ref", check_ref, ("error", "warn", "exclude"))
    if task is not None:
        options.one_of("--task", task, ("classification", "regression"))
    common = {} if seed is None else {"seed": seed}
    asked = [question_of(QUESTIONS, name, common | changes.get(name, {})) for name in names]
    for name in given.keys() & set(names):
        asked[names.index(name)].check()  # before the other questions take their time
    model = models.load(run, device)
    if not (questions or model.fills_masks):
        names, asked = ("likelihood",), [question for question in asked if question.question == "likelihood"]
        models.logger.info(
            "%s does not fill masks (process %s), so likelihood alone is asked", model.recipe.name,
            model.recipe.process.kind,
        )  # fmt: skip
    data = model.recipe.data.open() if set(names) - set(WITHOUT_DATA) else None
    if data and model.provenance.data_checksum not in ("", data.checksum):
        raise DataError(
            f"{data.source}: not the data (or not the splits) that this model was trained on, so what is held out "
            "here may have been trained on there; give evaluate the run's own data"
        )
    doubts = model.provenance.doubts(data.checksum) if data else []
    for doubt in doubts:
        models.logger.warning("%s: what is held out here may be known to it, so these numbers may flatter it", doubt)
    weights = sha256(RunFolder(models.SHIPPED if run is None else resources.run_folder(run)).weights_file)
    found = Evaluation(
        str(run) if run else "shipped", model.recipe.name, weights, data.source if data else None, tuple(doubts)
    )
    for question in asked:
        with options.progress(question.question, "%", quiet, total=100) as advance:
            answer = question.ask(model, data, options.difference(advance, scale=100))
        found.add(answer)
        show(answer.table(), sys.stderr if str(output) == "-" else sys.stdout)
        if figures:
            drawing.draw(figures / f"{answer.question}.png", answer.question, answer.summary)
    rows = RunFolder(run).read_metrics() if figures and run is not None else []
    if rows:
        drawing.training_figure(figures / "training.png", rows)
    if figures and (powers := model.recipe.process.logged(model.denoiser).get("powers")):
        schedules_figure(figures / "schedules.png", dict(zip(model.alphabet.names, powers, strict=True)), rows)
    if output:
        found.write(output)


def changed(settings: list[str], questions: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """`--set QUESTION.setting=value`, by question. UsageError for anything else."""
    import yaml

    changes: dict[str, dict[str, Any]] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        question, dot, name = key.strip().partition(".")
        if not (equals and dot) or question not in questions:
            raise UsageError(f"--set {setting}: write it as QUESTION.setting=value, QUESTION of {', '.join(questions)}")
        try:
            changes.setdefault(question, {})[name] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UsageError(f"--set {setting}: the value is no valid YAML") from error
    return changes


def question_of(questions: dict[str, Any], name: str, changes: dict[str, Any]) -> Any:
    """The question of a name with some settings. UsageError for settings that it has not."""
    import pydantic

    try:
        return questions[name](**changes)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:
            raise UsageError(f"{name}: {first['msg'].removeprefix('Value error, ')}") from error
        if first["type"] == "missing":
            raise UsageError(f"{name}: give --{first['loc'][0]}") from error
        known = ", ".join(field for field in questions[name].model_fields if field != "question")
        raise UsageError(f"--set {name}.{first['loc'][0]}: {first['msg']}; its settings are {known}") from error


def show(table: "Table", file: TextIO | None = None) -> None:
    """A table, as wide as it needs to be where it is not shown on a terminal."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as Grid

    file = file or sys.stdout
    grid = Grid(title=table.title, title_justify="left", box=box.SIMPLE_HEAD)
    for number, column in enumerate(table.columns):
        grid.add_column(column, justify="left" if number == 0 else "right")
    for row in table.rows:
        grid.add_row(*row)
    Console(file=file, width=None if file.isatty() else 160).print(grid)
