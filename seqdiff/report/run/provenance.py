"""Where everything on the page comes from, with checksums, and the recipe."""

import platform

import torch

from seqdiff import __version__
from seqdiff.files import sha256
from seqdiff.report.page import Code, Facts, Section, Table
from seqdiff.report.run.run import Run


def recipe(run: Run) -> Section:
    """The whole recipe, folded."""
    return Section(
        "Recipe", (Code("The complete recipe of the run, as `seqdiff train` takes it", run.recipe.to_yaml()),)
    )


def provenance(run: Run) -> Section:
    """Checksums of data, weights and files; versions; what the model started from, and that from what."""
    facts = {}
    if run.provenance:
        found = run.provenance
        facts = {
            "data": f"{found.data}, checksum `{found.data_checksum or 'not known'}`",
            "weights": f"of step {found.step:,}, written by {found.written_by}",
        }
        if found.nats_per_symbol is not None:
            facts["validation in their header"] = f"{found.nats_per_symbol:.4f} nats a letter"
    facts["recipe"] = f"schema {run.recipe.schema_version}" + (
        f", written by {run.recipe.written_by}" if run.recipe.written_by else ""
    )
    facts |= _origins(run)
    facts["this page"] = (
        f"seqdiff {__version__}, torch {torch.__version__}, Python {platform.python_version()}, {platform.system()} "
        f"{platform.machine()}"
    )
    rows = tuple((what, path.name, f"{path.stat().st_size:,}", sha256(path)) for what, path in run.files.items()
                 if path.is_file())  # fmt: skip
    files = Table("The files of the run", ("file", "name", "bytes", "SHA-256"), rows)
    return Section("Provenance", (Facts(facts), files))


def _origins(run: Run) -> dict[str, str]:
    found, start, depth = {}, run.provenance.start if run.provenance else None, 1
    while isinstance(start, dict):
        name = "started from" if depth == 1 else f"started from, {depth} runs back"
        found[name] = (
            f"{start.get('run')}, step {start.get('step', 0):,}, trained on {start.get('data')}, weights "
            f"`{start.get('checksum')}`"
        )
        start, depth = start.get("start"), depth + 1
    return found
