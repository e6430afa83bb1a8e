"""Importing a published EvoDiff or CARP: the same logits, and every way in which a file can be something else."""

import os
import random

import public
import pytest
import torch

import seqdiff
from seqdiff.errors import ConfigError, DataError
from seqdiff.imports import EvodiffFile

SHAPES = {"evodiff": {"max_dilation": 4}, "evodiff-rank": {"max_dilation": 2, "activation": "relu"}, "carp": {}}
"""What the file does not say; CARP's does."""


def load(file, run, **settings):
    EvodiffFile(path=file, **settings).read().write(run)
    return seqdiff.load(run, "cpu")


def error(file, kind=DataError, **settings):
    with pytest.raises(kind) as caught:
        EvodiffFile(path=file, **settings).read()
    assert str(file) in str(caught.value)
    return str(caught.value)


@pytest.fixture
def evodiff(tmp_path):
    return public.copy("evodiff", tmp_path)


@pytest.mark.parametrize("name", SHAPES)
def test_logits_are_those_of_the_public_implementation(name, tmp_path):
    """To 1e-5, of up to 5; rows of unequal lengths in one batch, as the public code was given them."""
    model = load(public.path(name), tmp_path / "run", **SHAPES[name])
    rows, logits = public.answers(name)
    together = model.denoise(public.padded(rows))
    for row, expected, mine in zip(rows, logits, together, strict=True):
        torch.testing.assert_close(mine[: len(row)], expected[:, :20], rtol=0, atol=1e-5)
        torch.testing.assert_close(model.denoise(row[None])[0], mine[: len(row)], rtol=0, atol=1e-5)


def test_what_the_file_does_not_say_is_as_published_and_the_recipe_says_so(evodiff):
    imported = EvodiffFile(path=evodiff).read()
    network = imported.recipe.denoiser
    assert (network.activation, network.max_dilation) == ("gelu", 128)
    assert (network.width, network.hidden, network.depth, network.kernel, network.embedding_width) == (16, 8, 4, 5, 4)
    assert imported.recipe.process.kind == "masked"
    assert imported.recipe.name == "oaar-tiny"
    assert imported.recipe.data.context == 2048
    assert "activation is as published, max_dilation as published" in imported.remarks[0]
    said = EvodiffFile(path=evodiff, activation="relu", max_dilation=5, context=64).read()
    assert (said.recipe.denoiser.activation, said.recipe.denoiser.max_dilation) == ("relu", 4)
    assert "activation is from --activation, max_dilation from --max-dilation" in said.remarks[0]
    assert "data.context is from --context" in said.remarks[1]


def test_carp_says_it_all_and_is_a_masked_language_model():
    imported = EvodiffFile(path=public.path("carp")).read()
    assert (imported.recipe.denoiser.activation, imported.recipe.denoiser.max_dilation) == ("relu", 8)
    assert imported.recipe.process.kind == "mlm"
    assert "activation is from the file, max_dilation from the file" in imported.remarks[0]
    EvodiffFile(path=public.path("carp"), activation="relu").read()
    assert "--activation gelu:" in error(public.path("carp"), ConfigError, activation="gelu")


def test_weights_alone_are_read_too(evodiff, tmp_path):
    expected = EvodiffFile(path=evodiff).read().weights
    torch.save(torch.load(evodiff, weights_only=True)["model_state_dict"], tmp_path / "weights.pt")
    found = EvodiffFile(path=tmp_path / "weights.pt").read().weights
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_the_mask_is_zeros(evodiff):
    weights = EvodiffFile(path=evodiff).read().weights
    assert weights["embedding.weight"].abs().amax(1)[:21].tolist().index(0) == 20


def rename(tensors, old, new):
    for name in [name for name in tensors if old in name]:
        tensors[name.replace(old, new)] = tensors.pop(name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: rename(t, ".conv.weight", ".conv.conv.weight"), "reads from left to right alone (LR-AR)"),
        (lambda t: rename(t, "embedder.embedder", "embedder.tokens"), "has no embedder.embedder.weight with 2 axes"),
        (lambda t: rename(t, "layers.0.", "layers.9."), "has no embedder.layers.0.conv.weight with 3 axes"),
        (lambda t: rename(t, "layers.1.", "layers.9."), "missing: embedder.layers.1."),
        (lambda t: rename(t, "layers.3.", "layers.1000000000."), "unknown: embedder.layers.1000000000."),
        (
            lambda t: t.update({"module.embedder.up_embedder.conv.weight": torch.zeros(()).expand(10**9, 4, 1)}),
            "larger than what is saved of it",
        ),
        (lambda t: t.update({"module.time.weight": torch.zeros(2)}), "unknown: time.weight"),
        (lambda t: t.update({"module.last_norm.bias": torch.zeros(2)}), "last_norm.bias (2, float32; it should be 16)"),
        (lambda t: t.update({"last_norm.bias": torch.zeros(16)}), "holds tensors twice"),
        (lambda t: t["module.last_norm.bias"].fill_(float("inf")), "not every weight is a finite number"),
        (
            lambda t: t.update({"module.embedder.embedder.weight": torch.zeros(12, 4)}),
            "its vocabulary has 12 tokens; those known here have 31 (EvoDiff) and 30 (CARP)",
        ),
        (
            lambda t: t.update({"module.embedder.layers.0.conv.weight": torch.zeros(8, 8, 4)}),
            "its kernels have 4 taps; only an odd number can be imported",
        ),
    ],
)
def test_what_cannot_be_imported_is_named(evodiff, change, message):
    public.change_weights(evodiff, change)
    assert message in error(evodiff)


@pytest.mark.parametrize(("about", "message"), [({"r": "x"}, "r, is 'x'"), ({"activation": "swish"}, "is 'swish'")])
def test_settings_of_the_file_that_cannot_be_imported(evodiff, about, message):
    torch.save(torch.load(evodiff, weights_only=True) | about, evodiff)
    assert message in error(evodiff)


def test_a_network_that_denoises_random_letters_is_refused(evodiff):
    assert "denoises random letters, not masks" in error(evodiff.rename(evodiff.with_name("d3pm-uniform-38M.tar")))


def test_what_is_no_file_of_weights(tmp_path):
    assert "is a folder; give the file with the weights" in error(tmp_path)
    assert "no such file" in error(tmp_path / "oaar-38M.tar")
    for number, content in enumerate([[1, 2], {"model_state_dict": 3}, {"model_state_dict": {"a": 1}}, {}]):
        torch.save(content, tmp_path / f"{number}.tar")
        error(tmp_path / f"{number}.tar")


@pytest.mark.parametrize(
    "text", ["not weights at all", "root:x:0:0:root:/root:/bin/bash\n", "", "\n" * 99, "q0q1q2.", "}."]
)
def test_a_file_of_something_else(tmp_path, text):
    """Torch's reader of pickles fails at them in many ways."""
    (tmp_path / "text.tar").write_text(text)
    assert "damaged" in error(tmp_path / "text.tar")


def test_any_file_of_random_bytes(tmp_path):
    draw = random.Random(1)
    for _ in range(300):
        (tmp_path / "bytes.tar").write_bytes(
            bytes(draw.choices(b"()]}.qXu\x80\x02K\x00cts0aeN", k=draw.randint(1, 30)))
        )
        error(tmp_path / "bytes.tar")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_file_that_was_cut_short(evodiff, share):
    whole = evodiff.read_bytes()
    evodiff.write_bytes(whole[: int(share * len(whole))])
    assert "damaged" in error(evodiff)


class Attack:
    def __reduce__(self):
        return os.mkdir, ("attacked",)


def test_code_in_a_file_is_not_run(evodiff, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(torch.load(evodiff, weights_only=True) | {"attack": Attack()}, evodiff)
    assert "could run code of its author, so it is not read" in error(evodiff)
    assert not (tmp_path / "attacked").exists()
