"""A run as its page shows it: what its directory holds, and what its model is asked."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqdiff.cli import options
from seqdiff.cli.evaluate import changed, question_of
from seqdiff.errors import ConfigError, DataError, UsageError

if TYPE_CHECKING:
    from seqdiff.checkpoint import RunFolder
    from seqdiff.evaluate.evaluation import Evaluation
    from seqdiff.model import Model
    from seqdiff.report.run import Run

log = logging.getLogger("seqdiff")

KEPT = "report.json"
"""Where answers are kept that a page has asked for, beside evaluation.json."""


def asked(
    what: str | None,
    *,
    evaluation: Path | None,
    quick: bool,
    settings: list[str],
    seed: int | None,
    device: str,
    quiet: bool,
) -> "Run":
    """What is known of a run, with answers to the questions of its page.

    Raises UsageError for `evaluation` of other weights, and for settings of questions that a page does not ask.
    """
    from seqdiff import model as models
    from seqdiff import resources
    from seqdiff.checkpoint import RunFolder
    from seqdiff.files import sha256
    from seqdiff.report.page import Table
    from seqdiff.report.run import Run

    folder = RunFolder(models.SHIPPED if what is None else resources.run_folder(what))
    recipe, rows = folder.read_recipe(), folder.read_metrics()
    model = models.load(what, device) if folder.weights_file.is_file() else None
    data, reason = _data(recipe, model)
    weights = sha256(folder.weights_file) if model else None
    doubts = model.provenance.doubts(data.checksum) if model and data else []
    found = _kept(folder, recipe.name, weights, evaluation)
    missing = (
        [f"The data of the run are not at hand, so that nothing new was asked about them: {reason}."] if reason else []
    )
    pictures: list[Any] = []
    questions = _questions(model, settings, seed, quick)
    if model and data and not quick:
        missing += _complete(found, questions, model, data, folder, quiet)
        if recipe.data.grid:
            from seqdiff.cli.report_images import pictures_of

            pictures = pictures_of(model, data, seed or 0, quiet)
    return Run(
        name=folder.path.resolve().name,
        recipe=recipe,
        rows=rows,
        position=folder.position(),
        provenance=model.provenance if model else None,
        parameters=sum(p.numel() for p in model.frozen.network.parameters()) if model else None,
        doubts=doubts,
        contents=_contents(data) if data else {},
        missing=missing,
        answers=found.answers,
        tables={name: Table(table.title, table.columns, table.rows) for name, table in found.tables.items()},
        pictures=pictures,
        files={"weights": folder.weights_file, "recipe": folder.recipe_file, "metrics": folder.metrics_file},
    )


def _data(recipe: Any, model: "Model | None") -> tuple[Any, str]:
    """The data that the model was trained on, or why they are not at hand."""
    try:
        data = recipe.data.open()
    except (DataError, ConfigError) as error:
        return None, str(error)
    if model and model.provenance.data_checksum not in ("", data.checksum):
        return None, f"{data.source} are not the data (or not the splits) that this model was trained on"
    return data, ""


def _kept(folder: "RunFolder", name: str, weights: str | None, given: Path | None) -> "Evaluation":
    """The answers that are there about these very weights: those of a file that was named before all others."""
    from seqdiff.evaluate.evaluation import Evaluation

    found = Evaluation(str(folder.path), name, weights)
    for path in (folder.path / KEPT, folder.path / "evaluation.json", given):
        if path is None or not (path.is_file() or path == given):
            continue
        try:
            there = Evaluation.read(path)
        except DataError as error:
            if path == given:
                raise
            log.warning("%s; it is left out", error)
            continue
        if weights is None or there.weights != weights:
            if path == given:
                whose = "an unknown model" if there.weights is None else "other weights"
                raise UsageError(
                    f"--evaluation {path}: answers of {whose} ({there.model}), not of {folder.weights_file}"
                )
            log.info("%s is of other weights than %s, and is left out", path, folder.weights_file)
            continue
        found.answers.update(there.answers)
        found.tables.update(there.tables)
    return found


def _questions(model: "Model | None", settings: list[str], seed: int | None, quick: bool) -> list[Any]:
    """The questions of a page. Raises UsageError for settings that would change nothing."""
    from seqdiff.evaluate import DEFAULT, QUESTIONS

    if quick and (settings or seed is not None):
        raise UsageError(f"--quick asks nothing: leave {'--set' if settings else '--seed'} out")
    names = [*DEFAULT, "spectra"]
    if model and model.recipe.data.grid:
        names.remove("spectra")
    if model and model.recipe.denoiser.kind == "pairwise":
        names.append("couplings")
    if model and not model.fills_masks:
        names = [name for name in names if name in ("likelihood", "spectra")]
    changes = changed(settings, tuple(QUESTIONS))
    if others := changes.keys() - set(names):
        raise UsageError(f"--set {others.pop()}...: the page of this run does not ask it; it asks {', '.join(names)}")
    common = {} if seed is None else {"seed": seed}
    return [question_of(QUESTIONS, name, common | changes.get(name, {})) for name in names]


def _complete(
    found: "Evaluation", questions: list[Any], model: "Model", data: Any, folder: "RunFolder", quiet: bool
) -> list[str]:
    """Add the answers that were missing, or were given to another question, and keep each as it comes.

    What could not be answered, for held-out data that are too few, say, comes back as sentences.
    """
    unanswered, kept = [], not _ships(folder)
    for question in questions:
        there = found.answers.get(question.question)
        if there and _same(question, there):
            continue
        try:
            with options.progress(question.question, "%", quiet, total=100) as advance:
                found.add(question.ask(model, data, options.difference(advance, scale=100)))
        except (DataError, UsageError) as error:
            unanswered.append(f"The question {question.question} could not be answered: {error}.")
            continue
        kept = kept and _keep(found, folder)
    return unanswered


def _same(question: Any, summary: dict[str, Any]) -> bool:
    """Whether a question was asked as it would be now, in all that was said of it."""
    said = question.model_dump(mode="json", include=question.model_fields_set - {"question"})
    asked = summary.get("settings", {})
    return all(asked.get(name) == value for name, value in said.items())


def _ships(folder: "RunFolder") -> bool:
    """Whether the run is of the package, which is not written to."""
    from seqdiff.model import SHIPPED

    return folder.path.resolve().parent == SHIPPED.parent.resolve()


def _keep(found: "Evaluation", folder: "RunFolder") -> bool:
    """Write down what was asked; False where it cannot be, which is said."""
    try:
        found.write(folder.path / KEPT)
    except DataError as error:
        log.warning("%s; the answers go into the page, and are not kept", error)
        return False
    return True


def _contents(data: Any) -> dict[str, str]:
    def amount(examples: Any) -> str:
        noun = getattr(examples, "noun", "sequences" if hasattr(examples, "unit") else "windows")
        return f"{len(examples):,} {noun}, {int(examples.sizes.sum()):,} {data.config.alphabet.unit}s"

    parts = {"train": "training", "valid": "validation", "test": "test"}
    return {"data": data.source} | {name: amount(getattr(data, split)) for split, name in parts.items()}
