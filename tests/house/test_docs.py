"""The pages of the guide are true: their commands run, in their order, on small stand-ins of the files they name."""

import re
import shlex

import pytest
from desk import ROOT, lay
from typer.testing import CliRunner

from seqdiff.cli import app
from seqdiff.evaluate import DEFAULT, QUESTIONS

PAGES = (
    "README",
    "train",
    "fill",
    "score",
    "variants",
    "family",
    "embed",
    "proteins",
    "images",
    "text",
    "cluster",
    "reports",
)

SMALL = ("training.steps=2", "training.warmup_steps=1", "training.batch_size=4", "training.validation_windows=4")
QUICK = {
    "likelihood": ("likelihood.bases=3000", "likelihood.order=2"),
    "recovery": ("recovery.gaps=8", "recovery.bases=3000", "recovery.order=2"),
    "calibration": ("calibration.bases=3000",),
    "variants": ("variants.order=2", "variants.fewest=2", "variants.resamples=100"),
    "assay": ("assay.resamples=100", "assay.fewest=4"),
    "probe": ("probe.resamples=100",),
}
ELSEWHERE = {
    r"make (demo|test|hg38|pipeline)": "CI and by hand; the workflows of make pipeline are run by tests/pipelines",
    r"pip install|hf download|mmseqs": "other people's programs",
    r"seqdiff genomes fetch": "the network: tests/data/test_genomes.py has a server of its own",
    r"(torchrun|srun) .*hg38": "many GPUs: tests/train/test_distributed.py has processes without any",
    r"seqdiff train (hg38|protein-uniref50|cifar10|text8|wine-reviews)": "GPUs and GB: tests/house/test_configs.py",
    r"seqdiff import|runs/(caduceus|esm2|evodiff)": "published weights: tests/imports",
}
"""What no test of this file runs, and why."""
RUNS = dict.fromkeys(("demo", "mine", "base", "tuned"), "mine") | {
    "family": "family",
    "digits": "digits",
    "text8": "text",
}
"""The tiny run that stands in where a page uses one that it does not train."""


def commands(page: str) -> list[str]:
    text = (ROOT / "README.md" if page == "README" else ROOT / "docs" / f"{page}.md").read_text()
    blocks = re.findall(r"```(?:bash|sh|console)\n(.*?)```", text, re.S)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line]


def elsewhere(line: str) -> bool:
    return any(re.search(pattern, line) for pattern in ELSEWHERE)


def smaller(line: str) -> list[str]:
    """The words of a command, with settings that make it a matter of a second."""
    words = shlex.split(line)[1:]
    settings: tuple[str, ...] = ()
    if words[0] == "train":
        settings = SMALL
    elif words[0] == "finetune":
        settings = ("training.epochs=1",)
    elif words[0] == "evaluate":
        asked = [word for word in words[2:] if word in QUESTIONS] or DEFAULT
        asked = ["assay" if "--mutations" in words else name for name in asked]
        settings = tuple(setting for name in asked for setting in QUICK.get(name, ()))
    elif words[0] == "report" and (words[1] == "-o" or words[1].startswith("runs/")) and "--quick" not in words:
        return [*words, "--quick"]
    elif words[0] in ("infill", "sample") and not {"--sampler", "--gc", "--translate", "--steps"} & set(words):
        return [*words, "--steps", "2"]
    return [*words, *(word for setting in settings for word in ("--set", setting))]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A tiny run on DNA, one of a family, one of digits, and one that was tuned."""
    folder = lay(tmp_path_factory.mktemp("trained"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in (
            "seqdiff train demo --set data.genome=null --set data.fasta=hg38.fa --out runs/mine",
            "seqdiff train family --set data.alignment=family.a2m --out runs/family",
            "seqdiff train digits --set denoiser.width=8 --out runs/digits",
            "seqdiff train text-demo --set data.file=shakespeare.txt --set denoiser.width=16 --out runs/text",
        ):
            done = CliRunner().invoke(app, [*smaller(line), "-q"])
            assert done.exit_code == 0, done.output
    return folder / "runs"


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_run_in_their_order(page, trained, tmp_path, monkeypatch):
    lines = [line for line in commands(page) if not elsewhere(line)]
    assert lines
    lay(tmp_path)
    (tmp_path / "runs").mkdir()
    for name, run in RUNS.items():
        if not any(re.search(rf"--out runs/{name}\b|train {name}\b", line) for line in lines):
            (tmp_path / "runs" / name).symlink_to(trained / run)
    monkeypatch.chdir(tmp_path)
    for line in lines:
        done = CliRunner().invoke(app, smaller(line))
        assert done.exit_code == 0, f"{line}\n{done.output[-2000:]}"


def test_what_is_run_elsewhere_is_on_a_page():
    lines = [line for page in (ROOT / "docs").glob("*.md") for line in commands(page.stem)] + commands("README")
    assert [pattern for pattern in ELSEWHERE if not any(re.search(pattern, line) for line in lines)] == []
