"""What each process costs beside masked diffusion: a training step, and a sample by its own sampler.

python tests/benchmarks/bench_processes.py step       loss and backward pass of one batch
python tests/benchmarks/bench_processes.py samples    new sequences, beside `ancestral` of masked diffusion

The network is one transformer, told the time, from the left, in blocks, or hollow where the process needs it so; its
weights are random, since no time depends on them. Contenders take turns in one run, and ratios are those of a round.
"""

import argparse
import statistics
from collections.abc import Callable

import torch
from rounds import interleaved, machine, milliseconds, prepare, ratio
from torch import nn

from seqdiff.data.batches import Batch
from seqdiff.denoisers import Network, Transformer
from seqdiff.diffusion.processes import (
    AnyOrder,
    Autoregressive,
    Block,
    Discrete,
    GenMasked,
    Masked,
    Mlm,
    Process,
    Score,
    Uniform,
)
from seqdiff.inference.frozen import Frozen
from seqdiff.streams import Streams

SYMBOLS = 4
RIVAL = "masked"
PROCESSES: dict[str, Process] = {
    RIVAL: Masked(),
    "mlm": Mlm(),
    "discrete": Discrete(),
    "discrete, D3PM": Discrete(carry_over=False, zero_masking=False),
    "genmasked": GenMasked(),
    "score": Score(),
    "uniform": Uniform(),
    "uniform, 100 steps": Uniform(steps=100),
    "autoregressive": Autoregressive(),
    "anyorder": AnyOrder(),
    "block": Block(),
}


def settings(process: Process, depth: int) -> Network:
    return Transformer(
        width=96,
        depth=depth,
        heads=3,
        hidden=272,
        time_conditioning=process.time == "needed",
        causal=process.needs_left_to_right,
        block_length=process.needs_blocks,
    )


def built(process: Process, depth: int) -> nn.Module:
    """With a head that does not start at zero."""
    torch.manual_seed(0)
    network = settings(process, depth).build(SYMBOLS)
    network.attach(learned=process.learned(SYMBOLS), mask_logit=process.predicts_mask)
    nn.init.normal_(network.head.weight, std=96**-0.5)
    return network


def step(process: Process, network: nn.Module, batch: Batch) -> Callable[[], None]:
    def taken() -> None:
        loss = process.loss(network, batch, Streams.of_step(0, 1, range(len(batch)), len(batch)))
        (loss.nats / loss.count).backward()
        network.zero_grad()

    return taken


def steps(depth: int, rows: int, length: int, rounds: int, seconds: float) -> None:
    print(f"a training step of {rows} x {length:,} letters, without its optimizer; {machine()}")
    tokens = torch.randint(0, SYMBOLS, (rows, length), generator=torch.Generator().manual_seed(0))
    batch = Batch(tokens, torch.ones(tokens.shape))
    taken = interleaved(
        {name: step(process, built(process, depth), batch) for name, process in PROCESSES.items()}, rounds, seconds
    )
    for name, times in taken.items():
        beside = "" if name == RIVAL else f"   {ratio(times, taken[RIVAL])} times as long as {RIVAL}"
        print(f"  {name:20} {milliseconds(times)}{beside}")


def samples(depth: int, rows: int, length: int, rounds: int, seconds: float) -> None:
    """Each process's own samplers, and the default one."""
    print(f"{rows} new sequences of {length:,} letters; {machine()}")
    masks = torch.full((rows, length), SYMBOLS)
    calls, contenders = {}, {}
    for name, process in PROCESSES.items():
        frozen = Frozen(built(process, depth), torch.device("cpu"), process)
        for sampler in {one.kind: one for one in (process.sampler(), *(kind() for kind in process.samplers))}.values():
            asked = frozen if sampler.of else process.filling(frozen)

            def draw(sampler=sampler, asked=asked):
                return sampler(asked, masks, rng=Streams.of(0, range(rows)))

            label = f"{name}: {sampler.kind}"
            calls[label], contenders[label] = draw().calls.double().mean().item(), draw
    taken = interleaved(contenders, rounds, seconds)
    rival = f"{RIVAL}: ancestral"
    for name, times in taken.items():
        each = 1000 * statistics.median(times) / rows
        beside = "" if name == rival else f"   {ratio(times, taken[rival])} times as long"
        print(f"  {name:32} {calls[name]:6.0f} calls {each:9.1f} ms a sample{beside}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["step", "samples"])
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of one turn")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    prepare(given.threads, keep_freed=True)
    measure = steps if given.what == "step" else samples
    measure(given.depth, given.rows, given.length, given.rounds, given.seconds)


if __name__ == "__main__":
    main()
