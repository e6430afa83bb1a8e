"""A training step of Caduceus PS, beside the published structure and beside what the machine's arithmetic allows.

python tests/benchmarks/bench_caduceus.py step    times as fast as the published structure on mambapy's scan
python tests/benchmarks/bench_caduceus.py bound   the share reached of the bound of rates.py, and where the time goes

A step is forward, cross-entropy of the masked letters, backward and fused AdamW, in float32. Contenders take turns in
one run; ratios are taken within a round. For the bound the network has the memory that seqdiff's commands have, for
the comparison only with --keep-freed, and then the rival has it too. The scan alone is in bench_scan.py, cost against
length in bench_length.py.
"""

import argparse
import copy
import statistics
from collections.abc import Callable
from importlib.metadata import version

import torch
from bench_scan import available, mambapy_scan, relative
from published import published_ps
from rounds import interleaved, machine, prepare, ratio, summary
from training import Training, caduceus, spent

from seqdiff.denoisers import paths


def step(length: int, batch: int, width: int, depth: int, rounds: int, seconds: float) -> None:
    """Against the published structure, after a check that it is the same network."""
    network = caduceus(width, depth)
    rival = copy.deepcopy(network)
    published = Training(rival, batch, length, lambda tokens: published_ps(rival, tokens, mambapy_scan))
    name = f"published, mambapy {version('mambapy')}"
    print(f"Caduceus PS, width {width}, depth {depth}, L {length:,}, batch {batch}, float32; {machine()}")

    steps: dict[str, Callable[[], None]] = {}
    expected, gradients = published.logits().detach(), published.gradients()
    for path in available():
        ours = Training(copy.deepcopy(network), batch, length)
        with paths.use(path):
            errors = {"logits": relative(ours.logits().detach(), expected)}
            errors |= {of: relative(grad, gradients[of]) for of, grad in ours.gradients().items()}
        worst = max(errors, key=errors.__getitem__)
        print(f"  seqdiff {path}: differs from the published structure by {errors[worst]:.1e} at most ({worst})")
        if errors[worst] > 1e-3:
            raise SystemExit("they are not the same network: there is nothing to compare")
        steps[f"seqdiff {path}"] = paths.use(path)(ours.step)
    taken = interleaved({**steps, name: published.step}, rounds, seconds)
    best = next(iter(taken))
    for contender, times in taken.items():
        speed = batch * length / statistics.median(times)
        print(f"  {contender:26} {speed:8,.0f} tokens/s   {best} is {ratio(times, taken[best])} times as fast")


def bound(length: int, batch: int, width: int, depth: int, rounds: int, seconds: float) -> None:
    """The share of the bound in every round; each measures the machine anew, before and after the steps."""
    import rates

    path, threads, tokens = available()[0], torch.get_num_threads(), batch * length
    training, work = Training(caduceus(width, depth), batch, length), rates.caduceus_ps(width, depth)
    print(f"Caduceus PS, width {width}, depth {depth}, L {length:,}, batch {batch}, path {path}; {machine()}")
    print(f"  a token needs {work.product / 1e6:.2f} MFLOP of products and {work.fma / 1e6:.2f} M operations of scan")
    measured, reached, shares = [], [], []
    with paths.use(path):
        for _ in range(rounds):
            before = rates.measure(threads)
            taken = interleaved({"step": training.step}, 1, seconds)["step"][0]
            after = rates.measure(threads)
            measured.append(rates.Rates(*map(max, before, after)))
            reached.append(tokens / taken)
            shares.append(work.seconds(measured[-1]) * tokens / taken)
        parts = spent(training.step)
    figures = {
        "matrix products": ([rate.product / 1e9 for rate in measured], "GFLOP/s"),
        "FMA": ([2 * rate.fma / 1e9 for rate in measured], "GFLOP/s"),
        "bound": ([1 / work.seconds(rate) for rate in measured], "tokens/s"),
        "reached": (reached, "tokens/s"),
        "share of the bound": ([100 * share for share in shares], "%"),
    }
    for what, (values, unit) in figures.items():
        print(f"  {what:18} {summary(values, digits=0)} {unit}")
    for part, share in parts.items():
        print(f"    {part:30} {share:6.1%} of a step")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["step", "bound"])
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one turn, at least one step")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep-freed", action="store_true", help="give both the memory that seqdiff's commands have")
    options = vars(parser.parse_args())
    what = {"step": step, "bound": bound}[options.pop("what")]
    prepare(options.pop("threads"), keep_freed=options.pop("keep_freed") or what is bound)
    what(**options)


if __name__ == "__main__":
    main()
