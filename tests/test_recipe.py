import pytest
import yaml

from seqdiff import recipe
from seqdiff.errors import ConfigError

WHOLE = """
schema: 1
name: tiny
data: {kind: dna, genome: human-chr20, context: 64}
process: {kind: masked}
denoiser: {kind: convolution}
training: {steps: 4, batch_size: 2, learning_rate: 3e-4}
"""


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "tiny.yaml"
    file.write_text(WHOLE)
    return str(file)


def error(path, *settings):
    with pytest.raises(ConfigError) as caught:
        recipe.load(path, settings)
    return str(caught.value)


def test_a_recipe_survives_being_written_and_read(path, tmp_path):
    first = recipe.load(path)
    again = tmp_path / "again.yaml"
    again.write_text(first.to_yaml())
    assert recipe.load(str(again)) == first
    assert first.differences(recipe.load(str(again))) == []


def test_what_the_context_says_of_a_network_is_filled_in_and_kept(path):
    """So that a run that goes on with longer rows has filters of the length that they learned."""
    first = recipe.load(path, ["denoiser={kind: hyena}"]).resolved()
    assert first.denoiser.length == 64
    assert first.resolved() == first
    longer = first.model_copy(update={"data": first.data.model_copy(update={"context": 128})}).resolved()
    assert longer.denoiser == first.denoiser
    assert recipe.load(path).resolved().denoiser == recipe.load(path).denoiser


def test_a_number_that_yaml_reads_as_text_is_a_number(path):
    assert recipe.load(path).training.learning_rate == 3e-4


def test_settings_change_values(path):
    changed = recipe.load(path, ["training.steps=9", "data.context=128", "name=other"])
    assert (changed.training.steps, changed.data.context, changed.name) == (9, 128, "other")
    assert recipe.load(path).differences(changed) == ["data.context: 64 -> 128", "training.steps: 4 -> 9"]


def test_a_fasta_is_a_copy_of_the_genome_unless_that_is_taken_out(path, tmp_path):
    copy = recipe.load(path, [f"data.fasta={tmp_path}/x.fa"])
    assert (copy.data.genome, copy.data.fasta) == ("human-chr20", tmp_path / "x.fa")
    own = recipe.load(path, [f"data.fasta={tmp_path}/x.fa", "data.genome=null"])
    assert (own.data.genome, own.data.fasta) == (None, tmp_path / "x.fa")


def test_a_setting_inside_a_part_that_is_null_can_be_set(path):
    first = recipe.load(path)
    assert first.data.splits is None
    values = yaml.safe_load(first.to_yaml())
    recipe.apply(values, "data.splits.valid=0.2")
    assert recipe.parse(values, "x").data.splits.valid == 0.2


def test_a_misspelt_setting_says_what_was_meant(path):
    assert error(path, "training.step=5") == f"{path}: training.step: no such setting; did you mean 'steps'?"
    assert "denoiser.detph: no such setting" in error(path, "denoiser.detph=3")
    assert "trainign: no such setting; did you mean 'training'?" in error(path, "trainign.steps=3")


def test_settings_that_another_kind_left_are_said_with_the_form_that_replaces_them_all(path):
    left = error(path, "denoiser={kind: caduceus, width: 24, depth: 2, strands: ph}", "denoiser.kind=mamba")
    assert "denoiser.kind: 'mamba' has no strands, which the recipe sets for 'caduceus'" in left
    assert "did you mean" not in left
    form = "denoiser={kind: mamba, width: 24, depth: 2}"
    assert left.endswith(f"--set '{form}'")
    assert recipe.load(path, [form]).denoiser.depth == 2
    misspelt = error(path, "denoiser.kind=mamba", "denoiser.widht=24")
    assert misspelt == f"{path}: denoiser.widht: no such setting; did you mean 'width'?"


@pytest.mark.parametrize("name", recipe.names())
def test_shipped_recipes_show_both_strands_or_treat_them_alike(name):
    assert not recipe.load(name).sees_one_strand


def test_a_network_that_is_shown_one_strand_alone(path):
    one = "data.reverse_complement=false"
    assert not recipe.load(path).sees_one_strand
    assert recipe.load(path, [one]).sees_one_strand
    for strands, alone in (("ph", True), ("ps", False)):
        caduceus = f"denoiser={{kind: caduceus, width: 8, depth: 1, strands: {strands}}}"
        assert recipe.load(path, [one, caduceus]).sees_one_strand == alone


def test_every_wrong_setting_is_named_at_once(path):
    message = error(path, "training.steps=0", "data.context=many", "denoiser.kind=convolutoin")
    assert "training.steps" in message
    assert "data.context" in message
    assert "denoiser.kind: 'convolutoin' is none of" in message


def test_wrong_forms_of_set(path):
    assert "write it as key.key=value" in error(path, "training.steps")
    assert "is a single value" in error(path, "name.first=x")
    assert "no valid YAML" in error(path, "name=[")


def test_a_missing_setting(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(WHOLE.replace("batch_size: 2, ", ""))
    assert "training.batch_size: missing" in error(str(file))


@pytest.mark.parametrize("text", ["- a list", "just text", "", "a: [1,", "\x00"])
def test_what_is_no_recipe(tmp_path, text):
    file = tmp_path / "a.yaml"
    file.write_text(text)
    assert str(file) in error(str(file))


def test_unknown_names_list_what_there_is():
    assert "did you mean 'demo'?" in error("demoo")
    assert "hg38" in error("nothing-like-it")
    assert "no such recipe file" in error("nowhere/a.yaml")


def test_a_newer_schema_is_refused(path):
    assert "newer than this seqdiff" in error(path, "schema=99")


def test_values_that_do_not_fit_each_other(path):
    assert "longer than the run" in error(path, "training.warmup_steps=99")
    assert "recipe: process.estimator 'hollow' needs a network" in error(path, "process.estimator=hollow")


@pytest.mark.parametrize("process", ["{kind: masked}", "{kind: masked, estimator: hollow}", "{kind: mlm}"])
@pytest.mark.parametrize(
    "denoiser", ["{kind: transformer, causal: true}", "{kind: hyena, causal: true}", "{kind: mamba, causal: true}"]
)
def test_a_network_that_sees_one_side_is_no_filler_of_masks(path, process, denoiser):
    refused = error(path, f"process={process}", f"denoiser={denoiser}")
    kind = "mlm" if "mlm" in process else "masked"
    assert f"denoiser.causal: process '{kind}' fills letters given both sides" in refused
    assert refused.endswith("set denoiser.causal=false")


def test_a_network_for_images_is_for_those_of_its_data(path):
    digits = "data={kind: image, source: digits, size: [8, 8], levels: 17}"
    unet = "denoiser={{kind: unet, grid: {}, width: 8, groups: 2, depth: 1, value_width: 4}}"
    assert recipe.load(path, [digits, unet.format([8, 8, 1])]).network().columns == 64
    assert "network is for images of 4 x 16 x 1 (rows, columns, channels), and the data has images of 8 x 8 x 1" in (
        error(path, digits, unet.format([4, 16, 1]))
    )
    transformer = "denoiser={kind: transformer, grid: [8, 8, 1]}"
    assert "and the data has no images" in error(path, transformer)
    assert recipe.load(path, [digits, transformer]).denoiser.grid == (8, 8, 1)


def test_networks_that_can_do_what_a_process_needs_are_named(path):
    told = error(path, "process={kind: autoregressive}", "denoiser={kind: pairwise}")
    assert "(convolution, transformer, hyena, mamba can)" in told
    assert "set denoiser.causal=true" in error(path, "process={kind: autoregressive}")
