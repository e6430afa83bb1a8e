import pytest
from questions import keeps_the_contract

from seqdiff.evaluate import QUESTIONS

OTHERS = {"assay", "probe", "couplings"}
"""Questions about other data than the windows of a genome: their own tests ask them for the contract."""


@pytest.mark.parametrize("name", [name for name in QUESTIONS if name not in OTHERS])
def test_questions_keep_the_contract(name, oracle, data, variants, tmp_path):
    quick = {"bases": 4000, "order": 2, "gap": 4, "flank": 8, "samples": 20, "length": 60}
    quick |= variants if name == "variants" else {}
    small = {setting: value for setting, value in quick.items() if setting in QUESTIONS[name].model_fields}
    keeps_the_contract(name, small, oracle, data, tmp_path)
