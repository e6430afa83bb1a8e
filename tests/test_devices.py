import logging

import pytest
import torch

from seqdiff import devices
from seqdiff.errors import UsageError


def test_auto_is_what_is_there():
    assert devices.find("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["warp-drive", "cuda:99", "xla", ""])
def test_a_device_that_is_not_here_is_wrong_usage(name):
    with pytest.raises(UsageError, match="not usable here"):
        devices.find(name)


def test_bfloat16_on_a_cpu_falls_back_and_says_so(caplog):
    with caplog.at_level(logging.WARNING, "seqdiff"):
        assert devices.autocast_dtype("bfloat16", torch.device("cpu")) is None
    assert "float32" in caplog.text
    assert devices.autocast_dtype("bfloat16", torch.device("cuda")) == torch.bfloat16
    assert devices.autocast_dtype("float32", torch.device("cuda")) is None
