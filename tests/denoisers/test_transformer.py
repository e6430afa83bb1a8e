import pytest
import torch

from seqdiff.denoisers import Transformer


def test_time_starts_as_if_it_were_not_there():
    plain = Transformer(width=16, depth=2, heads=2, hidden=24).build(4).eval()
    timed = Transformer(width=16, depth=2, heads=2, hidden=24, time_conditioning=True).build(4).eval()
    torch.nn.init.normal_(plain.head.weight)
    loaded = timed.load_state_dict(plain.state_dict(), strict=False)
    assert not loaded.unexpected_keys
    assert {name.split(".")[-2] for name in loaded.missing_keys} == {"first", "second", "modulation"}
    tokens = torch.arange(10).remainder(5)[None]
    torch.testing.assert_close(timed(tokens, torch.tensor([0.3])), plain(tokens), rtol=1e-6, atol=1e-6)


def test_time_changes_the_answer_of_its_own_row():
    network = Transformer(width=16, depth=2, heads=2, hidden=24, time_conditioning=True).build(4).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    tokens = torch.arange(10).remainder(5).expand(2, 10)
    before, after = (network(tokens, torch.tensor([0.3, late])) for late in (0.3, 0.9))
    assert torch.equal(before[0], after[0])
    assert (before[1] - after[1]).abs().max() > 1e-3


def test_width_must_divide_into_heads_of_even_width():
    with pytest.raises(ValueError, match="width 20 does not divide into 4 heads of even width"):
        Transformer(width=20, heads=4)
