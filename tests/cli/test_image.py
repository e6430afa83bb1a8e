"""infill, score and sample with models of images, in this process."""

import numpy as np
import pytest
import torch
from image_files import COLOUR, GREY, png
from PIL import Image
from typer.testing import CliRunner

from seqdiff import model as models
from seqdiff import recipe
from seqdiff.checkpoint import Provenance
from seqdiff.cli import app
from seqdiff.errors import UsageError
from seqdiff.model import Model
from seqdiff.report.grid import HIDDEN

SMALL = ["denoiser={kind: convolution, width: 8, depth: 1, kernel: 3}", "process.estimator=exact-count"]
DATA = {
    "grey": "{kind: image, size: [4, 6], levels: 16}",
    "colour": "{kind: image, size: [4, 6], channels: 3}",
}


def untrained(name):
    loaded = recipe.load("demo", [*SMALL, f"data={DATA[name]}"])
    torch.manual_seed(0)
    network = loaded.network()
    torch.nn.init.normal_(network.head.weight)
    return Model(network, loaded, Provenance(name, loaded.data.context, "", "", 0, None), torch.device("cpu"))


@pytest.fixture(scope="module", autouse=True)
def loaded_once():
    runs = {name: untrained(name) for name in DATA}
    shipped = models.load(device="cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "load", lambda run, device: runs.get(str(run), shipped))
        yield


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    """Runs a command in a folder that holds images."""
    monkeypatch.chdir(tmp_path)
    for name, values in (("grey", GREY), ("colour", COLOUR)):
        for number in range(2):
            png(tmp_path / name / f"{number}.png", values[number])
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def run(invoke):
    def run(*words):
        result = invoke(*words)
        assert result.exit_code == 0, result.stderr
        return result

    return run


def read(path):
    values = np.asarray(Image.open(path))
    return values[..., None] if values.ndim == 2 else values


@pytest.mark.parametrize(("model", "channels"), [("grey", 1), ("colour", 3)])
def test_samples_side_by_side_as_arrays_and_in_a_folder(run, tmp_path, model, channels):
    run("sample", "--model", model, "-n", 5, "-o", "a.npz", "--report", "r.tsv")
    images = np.load("a.npz")["images"]
    assert images.shape == (5, 4, 6, channels)
    assert len(np.unique(images.reshape(5, -1), axis=0)) == 5
    assert len((tmp_path / "r.tsv").read_text().splitlines()) == 6
    if model == "grey":
        assert set(images.ravel()) <= {17 * level for level in range(16)}
    run("sample", "--model", model, "-n", 5, "-o", "each")
    for number, image in enumerate(images, 1):
        assert (read(f"each/sample{number}.png") == image).all()
    run("sample", "--model", model, "-n", 5, "-o", "a.png")
    whole = read("a.png")
    assert whole.shape == (2 * 44 + 4, 3 * 66 + 8, channels)
    assert (whole[5:44:11, 5:66:11] == images[0]).all()
    assert (whole[48 + 5 :: 11, 70 + 5 : 136 : 11] == images[4]).all()


def test_an_image_does_not_depend_on_its_neighbours(run):
    run("sample", "--model", "grey", "-n", 2, "-o", "two.npz")
    run("sample", "--model", "grey", "-n", 5, "-o", "five.npz")
    assert (np.load("two.npz")["images"] == np.load("five.npz")["images"][:2]).all()
    run("sample", "--model", "grey", "-n", 2, "-o", "other.npz", "--seed", 1)
    assert (np.load("two.npz")["images"] != np.load("other.npz")["images"]).any()


@pytest.mark.parametrize(("model", "values"), [("grey", GREY[0]), ("colour", COLOUR[0])])
def test_what_the_mask_names_is_filled_and_nothing_else(run, tmp_path, model, values):
    result = run("infill", "--model", model, "--image", f"{model}/0.png", "--mask", "left", "-o", "out.png")
    filled = read("out.png")
    assert (filled[:, 3:] == values[:, 3:]).all()
    assert (filled[:, :3] != values[:, :3]).any()
    assert "filled 12 pixels in 1 images" in result.stderr
    mask = np.zeros((4, 6, 1), np.uint8)
    mask[:, :3] = 255
    png(tmp_path / "mask.png", mask)
    run("infill", "--model", model, "--image", f"{model}/0.png", "--mask", "mask.png", "-o", "same.png")
    assert (read("same.png") == filled).all()


def test_several_fillings_stand_beside_the_image(run):
    run("infill", "--model", "grey", "--image", "grey", "--mask", "top", "--samples", 3, "-o", "out.png")
    whole = read("out.png")[5::11, 5:]
    rows, columns = [whole[0:4], whole[4:8]], [0, 70, 140, 210, 280]
    assert read("out.png").shape == (2 * 44 + 4, 5 * 66 + 16, 3)
    for number, left in enumerate(columns):
        image = rows[0][:, left : left + 61 : 11]
        assert (image[2:] == GREY[0][2:]).all(), number
    assert (rows[0][:, :61:11] == GREY[0]).all()
    assert (rows[0][:2, 70:131:11] == HIDDEN).all()
    run("infill", "--model", "grey", "--image", "grey", "--mask", "top", "--samples", 3, "-o", "each")
    assert (read("each/0_sample2.png")[:, :, 0] == rows[0][:, 210:271:11, 0]).all()
    run("infill", "--model", "grey", "--image", "grey", "--mask", "top", "--samples", 3, "-o", "a.npz")
    assert np.load("a.npz")["names"].tolist()[:4] == ["0_sample1", "0_sample2", "0_sample3", "1_sample1"]


def test_what_is_transparent_is_filled_without_a_mask(run, tmp_path):
    opaque = np.full((4, 6), 255, np.uint8)
    opaque[0] = 0
    Image.fromarray(np.dstack([COLOUR[0], opaque])).save(tmp_path / "hole.png")
    run("infill", "--model", "colour", "--image", "hole.png", "-o", "out.png")
    assert (read("out.png")[1:] == COLOUR[0][1:]).all()
    assert (read("out.png")[0] != 255).any()


def test_scores_are_bits_per_dimension(run):
    lines = run("score", "--model", "grey", "--image", "grey", "--draws", 4).stdout.splitlines()
    assert lines[1].split("\t")[:3] == ["name", "length", "scored"]
    assert "bits_per_dimension" in lines[1]
    assert [line.split("\t")[:3] for line in lines[2:]] == [["0", "24", "24"], ["1", "24", "24"]]
    np.savez("a.npz", images=GREY[:2])
    arrays = run("score", "--model", "grey", "--image", "a.npz", "--method", "pseudo").stdout.splitlines()
    files = run("score", "--model", "grey", "--image", "grey", "--method", "pseudo").stdout.splitlines()
    assert [line.split("\t")[3] for line in arrays[3:]] == [line.split("\t")[3] for line in files[3:]]


INFILL = ["infill", "--model", "grey", "--image", "grey/0.png"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["sample", "--model", "grey"], 2, "name one"),
        (["sample", "--model", "grey", "-o", "a.fa"], 2, "ends in .png or .npz"),
        (["sample", "--model", "grey", "-o", "grey"], 1, "exists already"),
        (["sample", "--model", "grey", "-o", "a.png", "--length", 24], 2, "--length"),
        (["sample", "--model", "grey", "-o", "a.png", "--stride", 4], 2, "--stride"),
        (["sample", "--model", "grey", "-o", "a.png", "--format", "fasta"], 2, "--format"),
        (["sample", "--model", "grey", "-o", "a.png", "--gc", "0.4-0.6"], 2, "DNA"),
        ([*INFILL, "-o", "a.png"], 2, "nothing of 0 is transparent"),
        ([*INFILL, "-o", "a.png", "--mask", "middle"], 2, "choose one of left"),
        ([*INFILL, "-o", "a.png", "--mask", "nowhere.png"], 1, "nowhere.png: no such file"),
        ([*INFILL, "-o", "a.png", "--mask", "left", "--bed", "a.bed"], 2, "--bed: it is for sequences"),
        ([*INFILL, "-o", "a.png", "--mask", "left", "--stride", 3], 2, "--stride: it is for sequences"),
        ([*INFILL, "--mask", "left"], 2, "name one"),
        ([*INFILL, "--fasta", "a.fa", "--mask", "left"], 2, "one of them"),
        (["infill", "--model", "colour", "--image", "grey/2.png", "--mask", "left", "-o", "a.png"], 1, "2.png"),
        (["infill", "--image", "grey/0.png", "--mask", "left", "-o", "a.png"], 2, "the model that ships reads DNA"),
        (["infill", "--fasta", "a.fa", "--mask", "left"], 2, "--mask: it says what is to be filled in --image"),
        (["infill", "--model", "dna", "--image", "grey/0.png", "--mask", "left", "-o", "a.png"], 2, "--fasta FILE"),
        (["score", "--model", "dna", "--image", "grey/0.png"], 2, "was trained on DNA; give it --fasta FILE"),
        (["score", "--model", "grey", "--image", "grey", "--region", "0:1-2"], 2, "--region: it is for sequences"),
        (["score", "--model", "grey", "--fasta", "a.fa"], 2, "images of 16 levels"),
        (["score", "--model", "grey", "--text", "a.fa"], 2, "give it --image FILE"),
        (["score", "--model", "grey"], 2, "give --fasta FILE; or --text or --image"),
    ],
)
def test_what_cannot_be_done_is_said(invoke, tmp_path, words, code, says):
    (tmp_path / "a.fa").write_text(">a\nACGT\n")
    before = sorted(tmp_path.rglob("*"))
    result = invoke(*words)
    assert (result.exit_code, says in result.stderr) == (code, True), result.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_arrays_in_and_arrays_out(run):
    """As the commands, from Python."""
    loaded = models.load("colour", "cpu")
    run("sample", "--model", "colour", "-n", 3, "-o", "a.npz", "--seed", 2)
    assert (loaded.sample_images(3, seed=2) == np.load("a.npz")["images"]).all()
    hidden = np.zeros((4, 6), bool)
    hidden[:2] = True
    filled = loaded.infill_images(COLOUR[:2], hidden, samples=2)
    assert filled.shape == (2, 2, 4, 6, 3)
    assert (filled[:, :, 2:] == COLOUR[:2, None, 2:]).all()
    assert (filled[:, 0, :2] != filled[:, 1, :2]).any()
    assert [score.scored for score in loaded.score_images(COLOUR[:2])] == [72, 72]
    assert loaded.sample_images(0).shape == (0, 4, 6, 3)
    with pytest.raises(UsageError, match=r"4 x 6 x 3 .* not of 4 x 6 x 1"):
        loaded.score_images(GREY[:2])
    with pytest.raises(UsageError, match="was trained on DNA, not on images"):
        models.load(None, "cpu").sample_images(1)
