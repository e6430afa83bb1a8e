import torch

from seqdiff.diffusion import denoise


class Network(torch.nn.Module):
    symbols = 7

    def forward(self, tokens, time=None):
        raise AssertionError("asked without need")

    def ask(self, tokens, time=None):
        raise AssertionError("asked without need")


class Wrapper(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.module = Network()


def test_symbols_are_read_off_the_network_its_wrapper_or_its_method():
    tokens = torch.zeros(2, 3, dtype=torch.int64)
    for network in (Network(), Wrapper(), Network().ask):
        assert denoise.symbols(network, tokens) == 7


def test_symbols_of_a_plain_function_are_counted_on_one_row():
    shapes = []

    def plain(tokens):
        shapes.append(tuple(tokens.shape))
        return torch.zeros(*tokens.shape, 5)

    assert denoise.symbols(plain, torch.full((8, 3), 5)) == 5
    assert shapes == [(1, 3)]
