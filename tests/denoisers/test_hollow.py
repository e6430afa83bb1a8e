import pytest
import torch

from seqdiff.denoisers import HollowConvolution


@pytest.mark.parametrize(("radius", "kernel", "cycle"), [(1, 3, 1), (2, 5, 3), (8, 3, 4)])
def test_a_prediction_depends_on_everything_near_but_its_own_letter(radius, kernel, cycle):
    settings = HollowConvolution(width=8, depth=3, radius=radius, kernel=kernel, cycle=cycle)
    length = 2 * settings.reach + 41
    middle = length // 2
    network = settings.build(4).double().eval()
    torch.nn.init.normal_(network.head.weight)
    tokens = torch.zeros(1, length, dtype=torch.long)
    changed = tokens.clone()
    changed[0, middle] = 1
    moved = (network(changed) != network(tokens)).any(-1)[0].nonzero().flatten().tolist()
    assert middle not in moved
    assert {middle - 1, middle + 1} <= set(moved)
    assert min(moved) == middle - settings.reach
    assert max(moved) == middle + settings.reach


def test_an_even_kernel_is_named():
    with pytest.raises(ValueError, match="4 is even"):
        HollowConvolution(kernel=4)


def test_time_starts_as_if_it_were_not_there():
    plain = HollowConvolution(width=12, depth=3, radius=2).build(4).eval()
    timed = HollowConvolution(width=12, depth=3, radius=2, time_conditioning=True).build(4).eval()
    torch.nn.init.normal_(plain.head.weight)
    loaded = timed.load_state_dict(plain.state_dict(), strict=False)
    assert not loaded.unexpected_keys
    assert {name.split(".")[-2] for name in loaded.missing_keys} == {"first", "second", "modulation"}
    tokens = torch.arange(10).remainder(5)[None]
    assert torch.equal(timed(tokens, torch.tensor([0.3])), plain(tokens))
