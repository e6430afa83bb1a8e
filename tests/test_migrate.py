"""Recipes as older seqdiffs wrote them, word for word."""

import pytest
import yaml

from seqdiff import recipe
from seqdiff.checkpoint import RunFolder
from seqdiff.errors import ConfigError
from seqdiff.recipe.migrate import STEPS, migrated

FIRST = """\
schema: 1
written_by: seqdiff 0.1.0
name: tiny
seed: 3
data:
  kind: dna
  genome: null
  fasta: /data/genome.fa
  context: 32
  splits:
    valid: 0.1
    test: 0.1
    train: null
  max_unknown: 0.1
  repeat_weight: 1.0
  reverse_complement: true
process:
  kind: masked
  estimator: exact-count
  schedule: null
  steps: null
denoiser:
  kind: convolution
  width: 16
  hidden: 16
  depth: 2
  kernel: 5
  max_dilation: 64
  dropout: 0.0
training:
  start: null
  steps: 4
  batch_size: 8
  micro_batch_size: null
  optimizer: adamw
  learning_rate: 0.01
  matrix_learning_rate: null
  final_learning_rate: 0.0
  warmup_steps: 0
  weight_decay: 0.0
  betas:
  - 0.9
  - 0.999
  clip: 1.0
  ema: 0.5
  validate_every: 6
  validation_windows: 4
  save_every: 2
  log_every: 1
  precision: float32
  compile: false
  activation_checkpointing: false
"""

BYTENET = """\
schema: 1
written_by: seqdiff 0.1.0
name: protein-uniref50
seed: 1
data:
  kind: protein
  proteins: null
  fasta: null
  context: 1024
  splits:
    valid: 0.001
    test: 0.002
  clusters: null
  balance: null
  balance_power: null
  min_length: 1
process:
  kind: masked
  estimator: exact-count
  schedule: null
  steps: null
denoiser:
  kind: bytenet
  width: 1024
  hidden: 512
  depth: 16
  kernel: 5
  max_dilation: 128
  learned_positions: false
  dropout: 0.0
  embedding_width: 8
  activation: gelu
training:
  start: null
  steps: 500000
  batch_size: 320
  micro_batch_size: 40
  optimizer: adamw
  learning_rate: 0.0001
  matrix_learning_rate: null
  final_learning_rate: 1.0e-05
  warmup_steps: 16000
  weight_decay: 0.0
  betas:
  - 0.9
  - 0.999
  clip: 1.0
  ema: 0.9999
  validate_every: 5000
  validation_windows: 2048
  save_every: 1000
  log_every: 50
  precision: bfloat16
  compile: false
  activation_checkpointing: false
"""


@pytest.fixture
def run(tmp_path):
    def write(text):
        (tmp_path / "recipe.yaml").write_text(text)
        return RunFolder(tmp_path)

    return write


@pytest.mark.parametrize("text", [FIRST, BYTENET])
def test_an_old_recipe_is_carried_over_and_means_what_it_meant(run, text):
    found = run(text).read_recipe()
    now, then = yaml.safe_load(found.to_yaml()), yaml.safe_load(text)
    assert now["schema"] == recipe.SCHEMA
    assert now["written_by"] == "seqdiff 0.1.0"
    for part in ("data", "process", "denoiser", "training"):
        for name, value in then[part].items():
            if (part, name) != ("denoiser", "learned_positions"):
                assert now[part].get(name) == value, (part, name)
    assert found.network()


def test_it_can_be_given_as_a_recipe_and_be_changed(run):
    file = run(BYTENET).recipe_file
    assert recipe.load(str(file), ["training.batch_size=7"]).training.batch_size == 7
    with pytest.raises(ConfigError, match="learned_positions: no such setting"):  # of today's seqdiff, as a setting is
        recipe.load(str(file), ["denoiser.learned_positions=false"])


def test_what_is_not_done_any_more_is_refused_with_the_reason(run):
    text = BYTENET.replace("learned_positions: false", "learned_positions: true")
    with pytest.raises(ConfigError, match=r"recipe.yaml: schema 1 cannot .* denoiser.learned_positions: a bytenet"):
        run(text).read_recipe()


@pytest.mark.parametrize("schema", ["0", "-1", "true", "1.5", "old"])
def test_what_never_was_a_schema_is_refused(run, schema):
    with pytest.raises(ConfigError, match=r"recipe.yaml: schema .* is none: it is a number from 1"):
        run(FIRST.replace("schema: 1", f"schema: {schema}")).read_recipe()


def test_a_newer_one_names_who_wrote_it(run):
    text = FIRST.replace("schema: 1", "schema: 99").replace("seqdiff 0.1.0", "seqdiff 9.9")
    with pytest.raises(ConfigError, match=r"schema 99 \(written by seqdiff 9.9\) is newer than this seqdiff"):
        run(text).read_recipe()


def test_there_is_a_step_from_each_older_schema():
    assert sorted(STEPS) == list(range(1, recipe.SCHEMA))


def test_what_is_carried_over_is_not_changed_where_it_came_from():
    values = {"schema": 1, "denoiser": {"kind": "bytenet", "learned_positions": False}}
    migrated(values, "old")
    assert values["denoiser"] == {"kind": "bytenet", "learned_positions": False}
