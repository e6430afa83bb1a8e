"""A `Run` -> the page of it."""

from seqdiff.errors import DataError
from seqdiff.report.page import Page, Section, Text
from seqdiff.report.run.about import about, sentence
from seqdiff.report.run.answers import EXPECTED, TITLES, answers
from seqdiff.report.run.provenance import provenance, recipe
from seqdiff.report.run.run import Run, estimate, percent, plus_minus
from seqdiff.report.run.training import speed, training


def run_page(run: Run) -> Page:
    """What was trained on what; how it went; what it came to; how fast; all of the recipe; where it comes from.

    Raises DataError for an answer that lacks a number, as one of another version may.
    """
    try:
        return _page(run)
    except KeyError as error:
        raise DataError(
            f"an answer that is kept of {run.name} lacks {error}: it is of another version of seqdiff, or was edited; "
            "ask anew with `seqdiff evaluate`, or remove the file"
        ) from error


def _page(run: Run) -> Page:
    sections = [about(run), training(run), *answers(run)]
    if run.pictures:
        sections.append(Section("Images", tuple(run.pictures)))
    if lacking := [name for name in EXPECTED if name not in run.answers]:
        sections.append(Section("What is not here", tuple(Text(_why(run, name)) for name in lacking)))
    sections += [speed(run), recipe(run), provenance(run)]
    title = run.recipe.name if run.recipe.name == run.name else f"{run.recipe.name}: {run.name}"
    return Page(title, sentence(run), tuple(sections), _summary(run))


def _why(run: Run, name: str) -> str:
    """Why a question has no answer."""
    process = run.recipe.process
    if name == "spectra" and run.recipe.data.grid:
        reason = "images have no words"
    elif name in ("recovery", "calibration") and not process.fills_masks:
        reason = f"a model of process `{process.kind}` does not fill masks"
    elif run.provenance is None:
        reason = "there is no model yet"
    else:
        reason = (
            f"it was not asked; `seqdiff report` without `--quick`, or `seqdiff evaluate {run.name} {name}`, asks it"
        )
    return f"{TITLES[name]}: {reason}."


def _summary(run: Run) -> dict[str, str]:
    """The numbers that most readers come for."""
    found, unit = {}, run.unit
    if likelihood := run.answers.get("likelihood"):
        model, difference = likelihood["model"], likelihood["difference"]
        least = "" if likelihood.get("exact") else ", at most"
        found[f"bits per held-out {unit}{least}"] = plus_minus(model["bits"], model["se"], 3)
        order = likelihood["best_markov"]
        found[f"bits beyond the best Markov chain, order {order}"] = plus_minus(
            difference["bits"], difference["se"], 3, sign=True
        )
    elif run.measure == "nats_per_symbol" and (validations := run.validations()):
        _, bits, se = min(validations, key=lambda one: one[1])
        found[f"bits per {unit}, best validation"] = plus_minus(bits, se, 3)
    recovery = run.answers.get("recovery")
    if recovery and recovery["gaps"]:
        gap = recovery["gaps"][0]
        found[f"{unit}s named right in gaps of {gap['length']}"] = percent(gap["model"]["accuracy"])
    if calibration := run.answers.get("calibration"):
        found["calibration error (of noise alone)"] = f"{calibration['ece']:.4f} ({calibration['ece_of_noise']:.4f})"
    if spectra := run.answers.get("spectra"):
        last = spectra["spectra"][-1]
        found[f"bits of divergence of words of {last['k']}: samples"] = estimate(last["samples"])
        found["the same: training sequences"] = estimate(last["train"])
    if run.parameters is not None:
        found["parameters"] = f"{run.parameters:,}"
    return found
