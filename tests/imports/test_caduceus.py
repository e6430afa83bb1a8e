"""Importing a published Caduceus: the same logits, and every way in which a folder can be something else."""

import json
import os
import pickle

import numpy as np
import published
import pytest
import torch
from safetensors.torch import load_file

import seqdiff
from seqdiff.checkpoint import RunFolder
from seqdiff.denoisers import kernels, paths
from seqdiff.errors import ConfigError, DataError
from seqdiff.files import checksum
from seqdiff.imports import CaduceusFolder
from seqdiff.imports.caduceus import TOKENS

OURS = torch.full((16,), -1)
OURS[list(TOKENS.values())] = torch.arange(6)
ACGT = slice(7, 11)


def load(folder, run, **settings):
    CaduceusFolder(path=folder, **{"context": 64} | settings).read().write(run)
    return seqdiff.load(run, "cpu")


def one_strand(model, ids):
    """Ph answers with one strand in training, as the public code always does; PS is the same in both."""
    network = model.denoise.network
    with torch.no_grad():
        answer = network.train()(OURS[ids])
    network.eval()
    return answer


def error(folder, **settings):
    with pytest.raises(DataError) as caught:
        CaduceusFolder(path=folder, **{"context": 64} | settings).read()
    assert str(folder) in str(caught.value)
    return str(caught.value)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "published"


@pytest.mark.parametrize("path", ["reference", *([] if kernels.unavailable() else ["cpu"])])
@pytest.mark.parametrize("name", ["ps_d32_n2", "ph_d32_n2"])
def test_logits_are_those_of_the_public_implementation(name, path, tmp_path):
    """To 2e-5, as README says; the largest are 23, and float32 alone makes differences of 6e-6."""
    folder = published.FIXTURES / name
    if not folder.is_dir():
        pytest.skip("the fixtures are not here")
    with np.load(folder / "io.npz") as file:
        ids, logits = (torch.from_numpy(file[key]) for key in ("input_ids", "logits"))
    config = json.loads((folder / "config.json").read_text())
    slow = published.answer(config, load_file(folder / "model.safetensors"), ids)
    torch.testing.assert_close(slow, logits.double(), rtol=0, atol=2e-5)  # the tests' own computation is right
    with paths.use(path):
        answer = one_strand(load(folder, tmp_path / "run"), ids)
    padded = (ids == TOKENS["[PAD]"]).any(1)
    assert padded.tolist() == [False, False, True]
    torch.testing.assert_close(answer[~padded], logits[~padded][..., ACGT], rtol=0, atol=2e-5)
    # [PAD] acts on its neighbours there and is past the end here: such rows cannot be expressed.
    assert (answer[padded] - logits[padded][..., ACGT])[ids[padded] != TOKENS["[PAD]"]].abs().max() > 0.1


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("drop_tied", [False, True])
@pytest.mark.parametrize(("rcps", "fused"), [(True, True), (True, False), (False, True)])
def test_logits_are_those_of_the_published_structure(folder, tmp_path, rcps, fused, drop_tied, file):
    config = published.make_config(rcps=rcps, fused=fused)
    tensors = published.make_tensors(config)
    published.write(folder, config, tensors, file=file, drop_tied=drop_tied)
    model = load(folder, tmp_path / "run")
    ids = published.ids_of("ACGTNNNACCGTGATNACGA")
    expected = published.answer(config, tensors, ids)[..., ACGT]
    torch.testing.assert_close(one_strand(model, ids).double(), expected, rtol=1e-5, atol=1e-5)
    if not rcps:  # after training both strands answer
        other = published.answer(config, tensors, published.COMPLEMENT[ids].flip(1))[..., ACGT].flip(1, 2)
        expected = (expected + other) / 2
    torch.testing.assert_close(model.denoise(OURS[ids]).double(), expected, rtol=1e-5, atol=1e-5)


def test_the_exchange_of_strands_follows_the_config_and_matters(folder, tmp_path):
    config = published.make_config(fused=True)
    published.write(folder, config, published.make_tensors(config))
    model = load(folder, tmp_path / "run")
    assert model.recipe.denoiser.swap_strands
    ids = published.ids_of("ACGTNNNACCGTGATNACGA")
    other = published.answer(config | {"fused_add_norm": False}, published.make_tensors(config), ids)[..., ACGT]
    assert (model.denoise(OURS[ids]) - other).abs().max() > 0.1


def test_shapes_of_another_mamba_are_taken_from_the_config(folder, tmp_path):
    config = published.make_config(width=18, depth=1, ssm_cfg={"d_state": 3, "d_conv": 2, "expand": 3, "dt_rank": 2})
    tensors = published.make_tensors(config)
    model = load(published.write(folder, config, tensors), tmp_path / "run")
    ids = published.ids_of("GATTACA")
    expected = published.answer(config, tensors, ids)[..., ACGT]
    torch.testing.assert_close(model.denoise(OURS[ids]).double(), expected, rtol=1e-5, atol=1e-5)


def test_a_head_of_its_own_is_kept(folder, tmp_path):
    config = published.make_config(tie_word_embeddings=False)
    tensors = published.make_tensors(config)
    tensors["lm_head.lm_head.weight"] = tensors["lm_head.lm_head.weight"].flip(0) + 0.5
    model = load(published.write(folder, config, tensors), tmp_path / "run")
    ids = published.ids_of("GATTACANNN")
    expected = published.answer(config, tensors, ids)[..., ACGT]
    torch.testing.assert_close(model.denoise(OURS[ids]).double(), expected, rtol=1e-5, atol=1e-5)


def test_half_precision_weights_become_float32(folder, tmp_path):
    config = published.make_config()
    tensors = {n: t.bfloat16() if t.is_floating_point() else t for n, t in published.make_tensors(config).items()}
    run = tmp_path / "run"
    load(published.write(folder, config, tensors), run)
    assert {t.dtype for t in load_file(RunFolder(run).weights_file).values()} == {torch.float32}


def test_the_run_says_what_it_is(folder, tmp_path):
    config = published.make_config()
    published.write(folder, config, published.make_tensors(config))
    model = load(folder, tmp_path / "run", context=128)
    assert (model.context, model.recipe.name, model.recipe.process.kind) == (128, "published", "mlm")
    assert str(folder) in model.provenance.data
    assert f"model.safetensors {checksum(folder / 'model.safetensors')}" in model.provenance.data
    assert model.provenance.data.startswith("unknown: ")
    assert (model.provenance.data_checksum, model.provenance.nats_per_symbol) == ("", None)
    assert model.provenance.doubts("anything") == ["the model was imported, and what it was trained on is not known"]
    head = RunFolder(tmp_path / "run").recipe_file.read_text().splitlines()[:3]
    assert all(line.startswith("# ") for line in head)
    assert "data.context from --context" in head[1]


@pytest.mark.parametrize(("rcps", "augmented"), [(True, False), (False, True)])
def test_only_a_network_that_is_not_equivariant_is_to_be_shown_both_strands(folder, rcps, augmented):
    config = published.make_config(rcps=rcps)
    published.write(folder, config, published.make_tensors(config))
    assert CaduceusFolder(path=folder, context=64).read().recipe.data.reverse_complement is augmented


def test_the_context_comes_from_the_name_or_the_tokenizer_or_the_user(tmp_path):
    config = published.make_config()
    tensors = published.make_tensors(config)
    named = published.write(tmp_path / "ps_seqlen-1k_d_model-12" / "snapshots" / "f00", config, tensors)
    assert CaduceusFolder(path=named).read().recipe.data.context == 1024
    told = published.write(tmp_path / "told", config | {"_name_or_path": "a/b_seqlen-131k_n_layer-3"}, tensors)
    assert CaduceusFolder(path=told).read().recipe.data.context == 131_072
    assert CaduceusFolder(path=told, context=99).read().recipe.data.context == 99
    silent = published.write(tmp_path / "silent", config, tensors)
    with pytest.raises(ConfigError, match=r"silent: nothing says which length .* --context 1024"):
        CaduceusFolder(path=silent).read()
    tokenizer = silent / "tokenizer_config.json"
    tokenizer.write_text(json.dumps({"model_max_length": 512}))
    assert CaduceusFolder(path=silent).read().recipe.data.context == 512
    tokenizer.write_text(json.dumps({"model_max_length": 10**30}))
    with pytest.raises(ConfigError, match="nothing says"):
        CaduceusFolder(path=silent).read()


def test_what_is_no_folder_of_a_model(folder):
    assert "config.json: no such file; give the folder of a published model" in error(folder)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(published.make_config()))
    assert "neither model.safetensors nor pytorch_model.bin" in error(folder)


@pytest.mark.parametrize(("text", "message"), [
    ("", "cannot be read as JSON"), ("{'d_model': 3}", "cannot be read as JSON"),
    ("[1]", "config.json: is a list, not a mapping of settings"),
    ("version https://git-lfs.github.com/spec/v1\n", "run `git lfs pull`"),
])  # fmt: skip
def test_a_damaged_config(folder, text, message):
    folder.mkdir()
    (folder / "config.json").write_text(text)
    assert message in error(folder)


@pytest.mark.parametrize(("changes", "message"), [
    ({"model_type": "bert"}, "model_type is 'bert', so this is no Caduceus"),
    ({"architectures": ["CaduceusForSequenceClassification"]}, "which gives no logits of letters"),
    ({"architectures": 5}, "which gives no logits of letters"),
    ({"bidirectional": False}, "bidirectional is False; only networks with True"),
    ({"bidirectional_strategy": "ew_multiply"}, "bidirectional_strategy is 'ew_multiply'; only networks with 'add'"),
    ({"bidirectional_weight_tie": False}, "bidirectional_weight_tie is False"),
    ({"rms_norm": False}, "rms_norm is False"),
    ({"norm_epsilon": 1e-6}, "norm_epsilon is 1e-06"),
    ({"ssm_cfg": {"bias": True}}, "ssm_cfg.bias is True"),
    ({"ssm_cfg": {"conv_bias": False}}, "ssm_cfg.conv_bias is False"),
    ({"ssm_cfg": {"dt_rank": 7}}, "ssm_cfg.dt_rank is 7; only 'auto' can be imported, which is 1 here"),
    ({"ssm_cfg": {"headdim": 64}}, "ssm_cfg.headdim is no setting of Mamba-1"),
    ({"ssm_cfg": {"d_state": 0}}, "d_state is 0; it should be a number from 1 on"),
    ({"ssm_cfg": [3]}, "ssm_cfg is [3], not settings of Mamba"),
    ({"d_model": None}, "d_model is None"), ({"n_layer": "4"}, "n_layer is '4'"),
    ({"rcps": "true"}, "rcps is 'true'; it should be true or false"),
    ({"complement_map": {"3": 6, "4": 5, "5": 4, "6": 3, "7": 7}}, "complement_map pairs 7 with 7, so its vocabulary"),
])  # fmt: skip
def test_what_cannot_be_imported_is_named(folder, changes, message):
    config = published.make_config()
    published.write(folder, config | changes, published.make_tensors(config))
    assert message in error(folder)


def test_another_vocabulary_of_the_tokenizer_is_refused(folder):
    config = published.make_config()
    published.write(folder, config, published.make_tensors(config))
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps({"added_tokens_decoder": {"3": {"content": "[MASK]"}, "4": {"content": "[PAD]"}}}))
    CaduceusFolder(path=folder, context=64).read()
    file.write_text(json.dumps({"added_tokens_decoder": {"6": {"content": "[MASK]"}}}))
    assert "[MASK] is token 6; in the published vocabulary it is 3" in error(folder)


def test_missing_unknown_and_misshapen_tensors_are_named_together(folder):
    config = published.make_config()
    tensors = published.make_tensors(config)
    first = "caduceus.backbone.layers.0.mixer.submodule.mamba_fwd."
    del tensors[first + "A_log"]
    tensors[first + "D"] = tensors[first + "D"][:5]
    tensors["caduceus.backbone.layers.9.norm.weight"] = torch.ones(12)
    message = error(published.write(folder, config, tensors))
    assert f"missing: {first}A_log\n" in message
    assert f"of another shape: {first}D (5, float32; it should be 24)" in message
    assert "unknown: caduceus.backbone.layers.9.norm.weight" in message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(folder, value):
    config = published.make_config()
    tensors = published.make_tensors(config)
    name = "caduceus.backbone.layers.1.mixer.submodule.mamba_fwd.D"
    tensors[name][3] = value
    message = error(published.write(folder, config, tensors))
    assert f"not every weight is a finite number in {name}: " in message


def test_a_setting_that_is_missing(folder):
    config = published.make_config()
    published.write(folder, {k: v for k, v in config.items() if k != "d_model"}, published.make_tensors(config))
    assert error(folder).endswith("d_model is missing")


def test_a_file_of_the_folder_in_place_of_the_folder(folder):
    config = published.make_config()
    published.write(folder, config, published.make_tensors(config))
    with pytest.raises(DataError, match=f"give the folder of the published model: {folder}$"):
        CaduceusFolder(path=folder / "config.json").read()


def test_directions_that_share_no_projection_are_refused(folder):
    config = published.make_config(rcps=False)
    tensors = published.make_tensors(config)
    name = "caduceus.backbone.layers.1.mixer.mamba_rev.in_proj.weight"
    tensors[name] = tensors[name] + 1e-3
    message = error(published.write(folder, config, tensors))
    assert "not the same, but one matrix here" in message
    assert f"{name.replace('rev', 'fwd')} and {name}" in message


def test_a_small_vocabulary_is_refused(folder):
    config = published.make_config()
    tensors = published.make_tensors(config)
    for name in [n for n in tensors if n.endswith(("embedding.weight", "lm_head.weight"))]:
        tensors[name] = tensors[name][:8]
    assert "(8 x 12, float32; it should be at least 11 x 12)" in error(published.write(folder, config, tensors))


def test_a_config_of_another_size_lists_a_few_tensors_and_how_many_more(folder):
    config = published.make_config()
    published.write(folder, config | {"n_layer": 20}, published.make_tensors(config))
    assert "missing: caduceus.backbone.layers.3.norm.weight" in (message := error(folder))
    assert "more" in message
    assert len(message) < 1000


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_a_file_that_was_cut_short(folder, file, share):
    config = published.make_config()
    path = published.write(folder, config, published.make_tensors(config), file=file) / file
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert "damaged" in error(folder)


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_a_pointer_that_git_left_instead_of_the_weights(folder, file):
    config = published.make_config()
    path = published.write(folder, config, published.make_tensors(config), file=file) / file
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert "run `git lfs pull`" in error(folder)


class Attack:
    def __reduce__(self):
        return os.mkdir, ("attacked",)


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_a_pickle_with_code_in_it_is_not_run(folder, monkeypatch, how):
    config = published.make_config()
    path = (
        published.write(folder, config, published.make_tensors(config), file="pytorch_model.bin") / "pytorch_model.bin"
    )
    monkeypatch.chdir(folder)
    if how == "torch":
        torch.save(published.make_tensors(config) | {"attack": Attack()}, path)
    else:
        path.write_bytes(pickle.dumps(Attack(), protocol=2))
    assert "could run code of its author, so it is not read" in error(folder)
    assert not (folder / "attacked").exists()


def test_a_pickle_of_something_else(folder):
    config = published.make_config()
    published.write(folder, config, {"model": {"a": torch.zeros(2)}}, file="pytorch_model.bin")
    assert "holds no tensors by name" in error(folder)


def test_a_run_is_not_overwritten_and_nothing_is_half_written(folder, tmp_path, monkeypatch):
    config = published.make_config()
    imported = CaduceusFolder(path=published.write(folder, config, published.make_tensors(config)), context=64).read()
    run = tmp_path / "runs" / "here"
    imported.write(run)
    before = RunFolder(run).weights_file.read_bytes()
    with pytest.raises(DataError, match="exists already and is not overwritten"):
        imported.write(run)
    assert RunFolder(run).weights_file.read_bytes() == before
    file = tmp_path / "runs" / "file"
    file.write_text("precious")
    with pytest.raises(DataError, match="exists already"):
        imported.write(file)
    assert file.read_text() == "precious"

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("seqdiff.tensorfile.save_file", full)
    with pytest.raises(
        DataError, match="^" + str(tmp_path / "runs" / "there" / "model.safetensors") + ".*disk is full"
    ):
        imported.write(tmp_path / "runs" / "there")
    assert {p.name for p in (tmp_path / "runs").iterdir()} == {"here", "file"}


def test_an_empty_folder_can_be_filled(folder, tmp_path):
    config = published.make_config()
    published.write(folder, config, published.make_tensors(config))
    (tmp_path / "run").mkdir()
    assert load(folder, tmp_path / "run").infill(["ACGTNN"])[0][:4] == "ACGT"
