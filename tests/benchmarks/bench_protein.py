"""What length buckets save: `python tests/benchmarks/bench_protein.py [padding | speed | encode] [FASTA]`

Rivals, each with as many letters a step, pads included, as the context times the batch size:
`random` takes rows as they come in a shuffled order and pads to the longest; `budget` does so until the budget is
full; `chunks` sorts each 64 batches' worth of a shuffled order by length (as fairseq and fastai do), and pads to the
longest. `padding` prints the share of pads, `speed` known residues a second through the demo's network, forward and
backward, rivals in turn, and the time that reading takes; `encode` residues a second into the encoded file.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from seqdiff import recipe as recipes
from seqdiff.data.batches import Batch
from seqdiff.data.encoded import write
from seqdiff.data.proteins import Registry
from seqdiff.data.proteome import Records
from seqdiff.data.sequences import Sequences
from seqdiff.modalities.protein import Protein, ProteinData
from seqdiff.streams import Streams


def items(data: ProteinData, rival: str, batch_size: int, seed: int = 0) -> Iterator[np.ndarray]:
    """The examples of each step of an epoch, cut at the context."""
    context = data.config.context
    sizes = np.minimum(data.proteome.lengths[data.records("train")], context)
    order = np.random.default_rng(seed).permutation(len(sizes))
    if rival == "random":
        yield from np.split(order, range(batch_size, len(order), batch_size))
        return
    if rival == "chunks":
        chunk = 64 * batch_size * context // int(sizes.mean())
        parts = [part[np.argsort(sizes[part])] for part in np.split(order, range(chunk, len(order), chunk))]
        order = np.concatenate(parts)
    first, longest = 0, 0
    for at, size in enumerate(sizes[order]):
        longest = max(longest, size)
        if longest * (at + 1 - first) > batch_size * context:
            yield order[first:at]
            first, longest = at, size
    yield order[first:]


def batches(data: ProteinData, rival: str, batch_size: int) -> Iterator[Batch]:
    """The batches of an epoch."""
    if rival == "buckets":
        loader, seen, step = data.loader(0, batch_size), 0, 0
        while seen < len(data.records("train")):
            step += 1
            seen += loader.rows(step)
            yield loader.batch(step, range(loader.rows(step)))
        return
    records, context = data.records("train"), data.config.context
    whole = Sequences(data.proteome, records, int(data.proteome.lengths[records].max()))
    for chosen in items(data, rival, batch_size):
        batch = whole.batch(chosen)
        yield Batch(batch.tokens[:, :context], batch.weight[:, :context])


RIVALS = ("buckets", "chunks", "budget", "random")


def padding(data: ProteinData, batch_size: int) -> None:
    """Share of pads of each rival, in one epoch."""
    print(f"{data.contents}\n{'':12} {'pads':>8} {'letters a step':>16} {'steps':>8} {'ms to read one':>16}")
    for rival in RIVALS:
        begun = time.perf_counter()
        pads = letters = steps = 0
        for batch in batches(data, rival, batch_size):
            pads += int((batch.tokens == data.config.alphabet.pad).sum())
            letters += batch.tokens.numel()
            steps += 1
        spent = 1000 * (time.perf_counter() - begun) / steps
        print(f"{rival:12} {pads / letters:8.1%} {letters / steps:16,.0f} {steps:8,} {spent:16.2f}")


def speed(data: ProteinData, batch_size: int, rounds: int = 12) -> None:
    """Known residues a second of each rival, in turn, so that the machine's moods strike all of them alike."""
    recipe = recipes.load("protein-demo")
    network = recipe.network()
    streams = {rival: batches(data, rival, batch_size) for rival in RIVALS}
    rates: dict[str, list[float]] = {rival: [] for rival in RIVALS}
    for step in range(rounds):
        for rival in RIVALS:
            begun, residues = time.perf_counter(), 0.0
            for _ in range(2):
                batch = next(streams[rival])
                rng = Streams.of_step(0, step, range(len(batch)), len(batch))
                recipe.process.loss(network, batch, rng).nats.backward()
                residues += float(batch.weight.sum())
            rates[rival].append(residues / (time.perf_counter() - begun))
    for rival, values in rates.items():
        print(f"{rival:12} {statistics.median(values):10,.0f} residues/s")


def encode(path: Path) -> None:
    """Residues a second from FASTA to the encoded file."""
    layout = Records(Protein().alphabet)
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        write(path, Path(folder) / "encoded", layout, None)
        spent = time.perf_counter() - begun
        size = (Path(folder) / "encoded").stat().st_size
    print(f"{path.name}: {spent:.2f} s, {size:,} bytes, {size / spent / 1e6:.1f} MB/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", default="padding", choices=["padding", "speed", "encode"])
    parser.add_argument("fasta", nargs="?", type=Path)
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.what == "encode":
        encode(arguments.fasta or Registry.load()["swissprot-sample"].path)
        return
    source = {"fasta": arguments.fasta} if arguments.fasta else {"proteins": "swissprot-sample"}
    data = Protein(**source, context=arguments.context).open()
    task: Callable[[ProteinData, int], None] = {"padding": padding, "speed": speed}[arguments.what]
    task(data, arguments.batch_size)


if __name__ == "__main__":
    main()
