"""The samplers `tweedie` and `d3pm`: the steps of processes whose network says how many letters they reveal."""

import itertools
import math

import pytest
import torch
from diffusion.samplers import test_contract as contract
from laws import M, tiny, vector
from oracles import MarkovChain
from scipy.stats import chi2

from seqdiff.diffusion.processes.discrete import D3pm, Discrete
from seqdiff.diffusion.processes.score import Score, Tweedie
from seqdiff.diffusion.samplers import Ancestral
from seqdiff.diffusion.samplers.reverse import Reverse
from seqdiff.streams import Streams

chain = MarkovChain()
WITH_MASK = Discrete(steps=8, zero_masking=False)


class Told:
    """An oracle as a network of a process that is told the time: scores log q + log K that need not add up to the right
    sum, where `factor` is another than 1, and a logit for the mask where the process predicts one."""

    takes_time = True

    def __init__(self, module, process, factor=1.0):
        self.module, self.process, self.factor = module, process, factor
        self.symbols = getattr(module, "symbols", 4)
        self.times = []

    def __call__(self, tokens, time):
        self.times.append(time)
        logits = self.module(tokens)
        if self.process.kind == "score":
            context = 1 + (tokens == 0).sum(1)[:, None, None]  # the sum of scores depends on what is visible
            return logits.log_softmax(-1) + math.log(self.symbols) + math.log(self.factor) * context
        of_mask = logits.logsumexp(-1, keepdim=True) - 1 + (tokens == 1).sum(1)[:, None, None]
        return torch.cat([logits, of_mask], -1) if self.process.predicts_mask else logits


class Untold:
    """A sampler of a process, asked as those of masked diffusion are."""

    def __init__(self, sampler, process, factor=1.0):
        self.sampler, self.process, self.factor = sampler, process, factor

    def __getattr__(self, name):
        return getattr(self.sampler, name)

    def model_copy(self, update):
        return Untold(self.sampler.model_copy(update=update), self.process, self.factor)

    def __call__(self, network, tokens, evidence=None, *, rng):
        return self.sampler(Told(network, self.process, self.factor), tokens, evidence, rng=rng)


PROMISES = [
    contract.test_every_mask_is_filled_and_nothing_else_is_touched,
    contract.test_allowed_sets_are_obeyed_and_a_mask_that_may_be_nothing_stays,
    contract.test_likelihoods_of_letters_are_obeyed_and_weigh_what_the_network_makes_of_them,
    contract.test_a_single_allowed_letter_is_filled_in_first_and_for_free,
    contract.test_the_most_restricted_letters_come_first,
    contract.test_a_row_is_bitwise_the_same_alone_and_in_a_batch_and_with_padding,
    contract.test_streams_of_other_seeds_draw_other_rows,
    contract.test_calls_count_the_rows_that_the_network_sees,
    contract.test_nothing_to_fill_is_no_pass,
    contract.test_log_prob_is_that_of_the_values_drawn,
    contract.test_log_weight_is_the_mass_of_the_sets,
    contract.test_greedy_at_the_smallest_nucleus_and_cold,
    contract.test_evidence_that_the_model_rules_out_is_filled_and_weighs_nothing,
    contract.test_a_broken_network_is_an_error_for_people,
    contract.test_no_gradient_and_no_writing_into_the_network,
]


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
@pytest.mark.parametrize(
    "sampler",
    [
        Untold(Tweedie(), Score()),
        Untold(Tweedie(), Score(), factor=1.4),
        Untold(D3pm(), Discrete(steps=200)),
        Untold(D3pm(), WITH_MASK),
    ],
    ids=["exact-scores", "other-scores", "discrete", "mask-mass"],
)
def test_they_hold_the_contract(sampler, promise):
    promise(sampler)


@pytest.mark.parametrize("sampler", [Tweedie, D3pm])
@pytest.mark.parametrize("steps", [1, 3, 40])
def test_where_the_network_holds_no_mask_for_one_it_is_ancestral_letter_for_letter(sampler, steps):
    """T7: Tweedie's step of scores that add up to r, and D3PM's without mask mass. Unequal rows, sets and a stretch."""
    process = Score() if sampler is Tweedie else Discrete(steps=steps)
    x, rows = torch.full((30, 9), chain.mask), range(30)
    x[5:10, 2:4] = 1
    x[20:, 6:] = chain.pad
    sets = torch.ones(*x.shape, 4, dtype=torch.bool)
    sets[3, 4, :2] = sets[7, 1, 2:] = sets[8, 5, 1:] = False
    for evidence in (None, sets):
        found = sampler(steps=steps)(Told(chain, process), x, evidence, rng=Streams.of(1, rows))
        expected = Ancestral(steps=steps)(chain, x, evidence, rng=Streams.of(1, rows))
        assert torch.equal(found.tokens, expected.tokens)
        assert torch.allclose(found.log_prob, expected.log_prob, atol=1e-12)
        assert torch.equal(found.log_weight, expected.log_weight)
        assert (found.calls >= expected.calls).all()
        assert (found.calls <= steps).all()


def law_of_steps(process, network, steps, start=(M,) * 4):
    """The law of the strings after so many steps from t = 1, each mask revealed by itself."""
    law = {start: 1.0}
    for left in range(steps, 0, -1):
        t, s = (torch.tensor([count / steps], dtype=torch.float64) for count in (left, left - 1))
        after = {}
        for state, probability in law.items():
            logits = network(torch.tensor([state]), t)
            reveals = process.reveals(logits, t, s)[0].tolist() if left > 1 else [1.0] * 4
            mu = logits[0, :, :3].softmax(-1)
            each = [
                [(v, 1.0)] if v != M else [(M, 1 - r)] + [(w, r * q) for w, q in enumerate(p.tolist())]
                for v, r, p in zip(state, reveals, mu, strict=True)
            ]
            for choice in itertools.product(*each):
                new, weight = tuple(v for v, _ in choice), math.prod(w for _, w in choice)
                after[new] = after.get(new, 0.0) + probability * weight
        law = {state: p for state, p in after.items() if p > 0}
    return vector(law)


@pytest.mark.parametrize(
    ("sampler", "process", "factor"), [(Tweedie, Score(), 1.3), (Tweedie, Score(), 0.6), (D3pm, WITH_MASK, 1.0)]
)
def test_the_letters_drawn_have_the_law_of_the_steps(sampler, process, factor):
    network, rows = Told(tiny, process, factor), 5_000
    filled = sampler(steps=3)(network, torch.full((rows, 4), M), rng=Streams.of(5, range(rows)))
    seen = torch.bincount((filled.tokens * 3 ** torch.arange(3, -1, -1)).sum(1), minlength=81)
    law = law_of_steps(process, network, 3)
    assert law.sum().item() == pytest.approx(1, abs=1e-12)

    def surprise(law):
        return chi2.sf(((seen - rows * law) ** 2 / (rows * law)).sum(), 80)

    assert surprise(law) > 1e-3
    plain = law_of_steps(Score() if sampler is Tweedie else Discrete(), Told(tiny, Discrete()), 3)
    assert surprise(plain) < 1e-3  # it is not that of the network without the factor or the mask


@pytest.mark.parametrize("sampler", [Tweedie(), D3pm()])
def test_the_clock_begins_where_as_many_are_masked_and_every_step_is_a_pass(sampler):
    process = Score() if sampler.kind == "tweedie" else Discrete(steps=1000)
    network = Told(chain, process)
    filled = sampler(network, torch.full((1, 6), chain.mask), rng=Streams.of(0, "a"))
    times = torch.cat(network.times)
    assert times.tolist() == pytest.approx([1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6][: filled.calls.item()])
    half = Told(chain, process)
    sampler(half, torch.tensor([[4, 4, 0, 1, 2, 3, 1, 4, 5]]), rng=Streams.of(0, "a"))
    assert torch.cat(half.times)[0].item() == pytest.approx(3 / 8, rel=2e-3)
    sampler(late := Told(chain, process), torch.tensor([[0] * 2999 + [4]]), rng=Streams.of(0, "a"))
    assert torch.cat(late.times)[0] >= (process.first_time if sampler.kind == "tweedie" else 0)


def test_no_more_steps_than_the_network_was_trained_with_unless_they_are_asked_for():
    x = torch.full((1, 20), chain.mask)
    for sampler, calls in ((D3pm(), 3), (D3pm(steps=9), 9)):
        network = Told(chain, Discrete(steps=3, zero_masking=False))
        assert sampler(network, x, rng=Streams.of(0, "a")).calls.item() <= calls
        steps = [round(1 / (1 - b.item() / a.item())) for a, b in itertools.pairwise(network.times)][:1]
        assert steps == [calls]


@pytest.mark.parametrize("sampler", [Tweedie(), D3pm()])
def test_the_network_of_another_process_is_refused(sampler):
    assert isinstance(sampler, Reverse)
    other = Told(chain, Discrete() if sampler.kind == "tweedie" else Score())
    with pytest.raises(ValueError, match=f"trained by process {sampler.of}"):
        sampler(other, torch.full((1, 3), chain.mask), rng=Streams.of(0, "a"))
    with pytest.raises(ValueError, match=f"trained by process {sampler.of}"):
        sampler.marginals(chain, torch.full((1, 3), chain.mask))


def test_qualities_are_the_posterior_whatever_scores_add_up_to_and_without_the_mask():
    x = torch.tensor([[0, M, M, 1]])
    for sampler, process, factor in ((Tweedie(), Score(), 1.7), (D3pm(), WITH_MASK, 1.0)):
        found = sampler.marginals(Told(tiny, process, factor), x)
        assert torch.allclose(found, tiny(x).softmax(-1), atol=1e-12)


def test_a_network_that_takes_no_time_is_told_none():
    class WithMaskLogit(Told):
        takes_time = False

        def __init__(self, module):
            super().__init__(module, WITH_MASK)

        def __call__(self, tokens, time=None):
            assert time is None
            return super().__call__(tokens, None)

    x = torch.full((2, 5), chain.mask)
    found = D3pm()(WithMaskLogit(chain), x, rng=Streams.of(0, "ab"))
    assert torch.equal(found.tokens, D3pm()(Told(chain, WITH_MASK), x, rng=Streams.of(0, "ab")).tokens)
