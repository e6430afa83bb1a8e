"""Exact predictions of letters under uniform noise, of the tiny joint: networks of the process `uniform`."""

import itertools

import torch
from oracles import TinyJoint

from seqdiff.diffusion.processes.uniform import Uniform

tiny = TinyJoint()
K = 3
states = torch.tensor(list(itertools.product(range(K), repeat=4)))


def noise(x, z, t):
    """q(z_i | x_i) of each position at the times t (B,)."""
    t = t[:, None]
    return torch.where(x == z, 1 - t + t / K, t / K)


def kernel(keep):
    """(K, K): from a letter to what it is when it is kept with probability `keep`."""
    return keep * torch.eye(K, dtype=torch.float64) + (1 - keep) / K


class Noised:
    """P(x_i | z) or, leaving z_i out, P(x_i | the rest of z), by enumeration of the strings. Masks say nothing."""

    symbols = K

    def __init__(self, prediction, joint=tiny, **settings):
        self.prediction, self.joint, self.process = prediction, joint, Uniform(prediction=prediction, **settings)

    def __call__(self, z, time):
        both = torch.cat([z.double(), time.double()[:, None]], 1)
        both, back = both.unique(dim=0, return_inverse=True)
        z, t = both[:, :-1].long(), both[:, -1]
        q = torch.stack([torch.where(z < K, noise(x, z, t), 1.0) for x in self.joint.strings], 1)
        letters = torch.nn.functional.one_hot(self.joint.strings, K).double()
        columns = []
        for i in range(4):
            others = [j for j in range(4) if j != i or self.prediction == "posterior"]
            columns.append(torch.einsum("bs,sk->bk", self.joint.p * q[:, :, others].prod(-1), letters[:, i]))
        table = torch.stack(columns, 1)
        return (table / table.sum(-1, keepdim=True)).log()[back]
