"""Questions about images, of a model that knows each place by itself: its profile, exactly."""

import numpy as np
import pytest
import torch
from questions import Bounded

from seqdiff.evaluate import Calibration, Likelihood, Recovery, heldout
from seqdiff.modalities.image import Image


class Places(Bounded):
    """A model whose marginals are the profile of the training images."""

    def __init__(self, data):
        self.alphabet, self.batch_tokens = data.alphabet, 4096
        self._log_p = torch.from_numpy(np.log(data.profile())).float()

    def denoise(self, tokens, time=None):
        return self._log_p.expand(len(tokens), -1, -1)


@pytest.fixture(scope="module")
def data():
    return Image(source="digits", size=(8, 8), levels=4).open()


@pytest.fixture(scope="module")
def places(data):
    return Places(data)


def test_a_model_of_places_costs_what_the_profile_does(places, data):
    answer = Likelihood(bases=1500, strata=16, replicates=2, masked_draws=0, order=2).ask(places, data)
    summary = answer.summary
    assert (summary["unit"], summary["examples"]) == ("dimension", "images")
    difference = summary["profile"]["difference"]
    assert abs(difference["bits"]) < 3 * summary["model"]["se_monte_carlo"]
    assert abs(difference["bits"]) < 0.05
    assert "23 test images of 64" in answer.table().title
    assert any("profile (each place by itself)" in row[0] for row in answer.table().rows)


def test_gaps_lie_anywhere_in_an_image(places, data):
    question = Recovery(lengths=(1, 4), gaps=300, order=2)
    gaps = question.place(data.test, 1, 300, heldout.markov(data, 2))
    assert len(np.unique(gaps.start)) > 30
    assert (np.diff(gaps.start)[np.diff(gaps.row) == 0] > 4).all()
    summary = question.ask(places, data).summary
    assert [gap["length"] for gap in summary["gaps"]] == [1, 4]
    assert not summary["skipped"]


def test_a_model_of_places_is_calibrated(places, data):
    summary = Calibration(bases=6000).ask(places, data).summary
    assert summary["ece"] < 0.02
