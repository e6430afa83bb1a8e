"""Importing a published ESM: the same logits and hidden states, and all that a folder can be instead."""

import json

import public
import pytest
import torch
from safetensors.torch import load_file, save_file

import seqdiff
from seqdiff.errors import ConfigError, DataError
from seqdiff.imports import Esm2Folder
from seqdiff.imports.esm2 import LETTERS, VOCABULARY

NAMES = ["esm2", "esm2-half", "esm1b", "esm1v"]


def load(folder, run, **settings):
    Esm2Folder(path=folder, **settings).read().write(run)
    return seqdiff.load(run, "cpu")


def error(folder, kind=DataError, **settings):
    with pytest.raises(kind) as caught:
        Esm2Folder(path=folder, **settings).read()
    assert str(folder) in str(caught.value)
    return str(caught.value)


def configure(folder, **changes):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    return folder


def change(folder, do):
    public.change_weights(folder / "model.safetensors", do)
    return folder


@pytest.fixture
def esm2(tmp_path):
    return public.copy("esm2", tmp_path)


def test_the_vocabulary_is_the_one_that_is_published():
    assert len(VOCABULARY) == 33
    assert [VOCABULARY[i] for i in LETTERS] == list("ACDEFGHIKLMNPQRSTVWY")


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_those_of_the_public_implementation(name, tmp_path):
    """To 1e-5, of up to 3; rows of unequal lengths in one batch, of masks alone, and of a single mask."""
    model = load(public.path(name), tmp_path / "run")
    rows, logits = public.answers(name)
    together = model.denoise(public.padded(rows))
    for row, expected, mine in zip(rows, logits, together, strict=True):
        torch.testing.assert_close(mine[: len(row)], expected[:, LETTERS], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_hidden_states_are_the_last_ones_of_the_public_implementation(name, tmp_path):
    network = load(public.path(name), tmp_path / "run").denoise.network
    rows, states = public.answers(name, "hidden")
    with torch.no_grad():
        together = network.hidden(public.padded(rows))
    for row, expected, mine in zip(rows, states, together, strict=True):
        torch.testing.assert_close(mine[: len(row)], expected, rtol=0, atol=1e-5)


def test_what_the_run_says_of_itself(esm2):
    imported = Esm2Folder(path=esm2).read()
    assert (imported.recipe.name, imported.recipe.process.kind) == ("esm2", "mlm")
    assert imported.recipe.data.context == 32  # 36 positions: two have no letter, and <cls> and <eos> take two
    assert "model.safetensors" in imported.source
    assert "from max_position_embeddings" in imported.remarks[0]
    assert Esm2Folder(path=esm2, context=500).read().recipe.data.context == 500
    assert imported.recipe.training.batch_size == 2_000_000 // 34


def test_dplm_is_esm2_that_was_trained_to_diffuse(esm2, tmp_path):
    expected = load(esm2, tmp_path / "before").score(["MKTAYIAK"])
    dplm = load(configure(esm2, architectures=["EsmForDPLM"]), tmp_path / "dplm")
    assert dplm.recipe.process.kind == "masked"
    assert dplm.score(["MKTAYIAK"]).equals(expected)


def test_learned_positions_end(tmp_path):
    folder = public.copy("esm1b", tmp_path)
    assert "has learned positions for 32 residues and no more" in error(folder, ConfigError, context=33)
    run = tmp_path / "run"
    load(folder, run)
    recipe = (run / "recipe.yaml").read_text()
    (run / "recipe.yaml").write_text(recipe.replace("context: 32", "context: 64"))
    with pytest.raises(ConfigError, match=r"learned positions for 32 letters, not for 64: set data\.context=32"):
        seqdiff.load(run, "cpu")


def test_weights_of_several_files(esm2, tmp_path):
    expected = Esm2Folder(path=esm2).read()
    tensors = load_file(esm2 / "model.safetensors")
    names = sorted(tensors)
    parts = {"model-1-of-2.safetensors": names[:20], "model-2-of-2.safetensors": names[20:]}
    for part, inside in parts.items():
        save_file({name: tensors[name] for name in inside}, esm2 / part)
    (esm2 / "model.safetensors").unlink()
    places = {name: part for part, inside in parts.items() for name in inside}
    index = esm2 / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    found = Esm2Folder(path=esm2).read()
    assert all(torch.equal(found.weights[name], tensor) for name, tensor in expected.weights.items())
    assert "model-1-of-2.safetensors" in found.source
    assert "model-2-of-2.safetensors" in found.source
    (esm2 / "model-2-of-2.safetensors").unlink()
    assert "names model-2-of-2.safetensors, which is not there" in error(esm2)
    index.write_text("{}")
    assert "does not say in which files the weights are" in error(esm2)


def test_what_is_not_of_the_function_is_left_aside(esm2):
    """Published files hold a table of positions that nothing reads, contacts, and buffers that follow from settings."""
    before = Esm2Folder(path=esm2).read().weights

    def add(tensors):
        assert any("contact_head" in name for name in tensors)
        assert any(name.endswith("inv_freq") for name in tensors)
        tensors["esm.embeddings.position_ids"] = torch.arange(36)[None]
        tensors["esm.embeddings.position_embeddings.weight"] = torch.randn(36, 16)
        tensors["esm.pooler.dense.weight"] = torch.randn(16, 16)
        tensors["lm_head.decoder.weight"] = tensors["esm.embeddings.word_embeddings.weight"].clone()

    after = Esm2Folder(path=change(esm2, add)).read().weights
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_names_without_the_prefix_are_read(esm2):
    before = Esm2Folder(path=esm2).read().weights

    def strip(tensors):
        for name in [name for name in tensors if name.startswith("esm.")]:
            tensors[name.removeprefix("esm.")] = tensors.pop(name)

    after = Esm2Folder(path=change(esm2, strip)).read().weights
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_norms_have_the_names_of_transformers_5_too(esm2):
    """Which saves what it calls weight and bias as gamma and beta (5.23.0)."""
    before = Esm2Folder(path=esm2).read().weights

    def rename(tensors):
        for name in [name for name in tensors if "LayerNorm" in name]:
            new = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
            tensors[new] = tensors.pop(name)

    configure(change(esm2, rename), rope_theta=10000.0, rope_parameters={"rope_type": "default", "rope_theta": 10000.0})
    after = Esm2Folder(path=esm2).read().weights
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_a_head_of_its_own_where_one_is_shared_is_refused(esm2):
    def own(tensors):
        tensors["lm_head.decoder.weight"] = tensors["esm.embeddings.word_embeddings.weight"] + 1

    assert "not the same, but one matrix here" in error(change(esm2, own))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "bert"}, "model_type is 'bert', so this is no ESM ('esm')"),
        ({"model_type": "caduceus"}, "so this is no ESM ('esm'): try `seqdiff import caduceus`"),
        ({"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}, "model_type is 't5'"),
        ({"architectures": ["EsmModel"]}, "a EsmModel, which gives no logits of letters; import a EsmForMaskedLM"),
        ({"is_folding_model": True}, "is_folding_model is True; only networks with False can be imported"),
        ({"is_decoder": True}, "is_decoder is True"),
        ({"vocab_size": 25}, "vocab_size is 25; only networks with 33 can be imported"),
        ({"mask_token_id": 4}, "mask_token_id is 4"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key'"),
        ({"rope_theta": 500000.0}, "rope_theta is 500000.0; only networks with 10000.0 can be imported"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_scaling is {'type': 'linear', 'factor': 2.0}"),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 1.0}}, "rope_parameters is"),
        ({"num_attention_heads": 3}, "hidden_size 16 does not divide into 3 heads of even width"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0; it should be a number from 1 on"),
        ({"layer_norm_eps": "small"}, "layer_norm_eps is 'small'"),
        ({"token_dropout": 1}, "token_dropout is 1; it should be true or false"),
        ({"emb_layer_norm_before": "yes"}, "emb_layer_norm_before is 'yes'; it should be true or false"),
        ({"max_position_embeddings": 9}, "max_position_embeddings is 9; that leaves 5 residues"),
        ({"num_hidden_layers": 3}, "missing: esm.encoder.layer.2."),
        ({"num_hidden_layers": 1}, "unknown: esm.encoder.layer.1."),
        ({"intermediate_size": 32}, "intermediate.dense.weight (24 x 16, float32; it should be 32 x 16)"),
        ({"hidden_size": 10**9}, "word_embeddings.weight (33 x 16, float32; it should be at least 33 x 1000000000)"),
        ({"num_hidden_layers": 10**9}, "missing: esm.encoder.layer.2."),
        ({"tie_word_embeddings": False}, "missing: lm_head.decoder.weight"),
        ({"emb_layer_norm_before": True}, "missing: esm.embeddings.layer_norm.weight"),
        ({"position_embedding_type": "absolute"}, "missing: esm.embeddings.position_embeddings.weight"),
    ],
)
def test_what_cannot_be_imported_is_named(esm2, changes, message):
    assert message in error(configure(esm2, **changes))


def test_another_epsilon_is_another_network(esm2, tmp_path):
    before = load(esm2, tmp_path / "before").score(["MKTAYIAK"]).nats[0]
    after = load(configure(esm2, layer_norm_eps=1e-2), tmp_path / "after").score(["MKTAYIAK"]).nats[0]
    assert abs(before - after) > 1e-4


def test_another_vocabulary_is_refused(esm2):
    words = (esm2 / "vocab.txt").read_text().split()
    words[4], words[5] = words[5], words[4]
    (esm2 / "vocab.txt").write_text("\n".join(words))
    assert "token 4 is not that of ESM's vocabulary" in error(esm2)
    (esm2 / "vocab.txt").unlink()
    Esm2Folder(path=esm2).read()
    assert "vocab_list: token 4" in error(configure(esm2, vocab_list=words))


def test_unknown_missing_misshapen_and_damaged_tensors(esm2):
    def break_(tensors):
        tensors["esm.adapter.weight"] = torch.zeros(2)
        del tensors["lm_head.bias"]
        tensors["lm_head.dense.bias"] = torch.zeros(3)

    message = error(change(esm2, break_))
    assert "unknown: esm.adapter.weight" in message
    assert "missing: lm_head.bias" in message
    assert "lm_head.dense.bias (3, float32; it should be 16)" in message


def test_weights_that_are_not_finite_are_refused(esm2):
    name = "esm.encoder.layer.1.output.dense.weight"
    assert f"not every weight is a finite number in {name}" in error(
        change(esm2, lambda tensors: tensors[name][3].fill_(float("nan")))
    )


def test_other_frequencies_are_refused(esm2):
    name = "esm.encoder.layer.0.attention.self.rotary_embeddings.inv_freq"
    assert f"{name} holds other frequencies" in error(change(esm2, lambda tensors: tensors[name].mul_(1.1)))


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_file_that_was_cut_short(esm2, share):
    whole = (esm2 / "model.safetensors").read_bytes()
    (esm2 / "model.safetensors").write_bytes(whole[: int(share * len(whole))])
    assert "damaged or cut short" in error(esm2)


def test_a_folder_without_what_is_needed(esm2, tmp_path):
    assert "config.json: no such file" in error(tmp_path / "nowhere")
    assert "give the folder of the published model" in error(esm2 / "config.json")
    (esm2 / "model.safetensors").unlink()
    assert "holds no weights" in error(esm2)
