"""The verbs of a model over many records, with the records spread over worker processes that each hold the model.

    records -> parts of like work -> workers -> results in the order of the records, as one process gives them

On a CPU they are the same to the last bit, since a record has the same numbers whatever it shares a batch with
(`denoisers.alone`), and what is drawn depends on its name alone; on GPUs batches of other sizes move last digits.
"""

import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch

from seqdiff.data.fasta import Record
from seqdiff.data.genome import Genome
from seqdiff.data.intervals import Interval
from seqdiff.diffusion.likelihood import ScorerConfig
from seqdiff.diffusion.samplers import Sampler
from seqdiff.inference import frozen
from seqdiff.inference.changes import ChangeScorer, Outcome, VariantScorer
from seqdiff.inference.design import Design
from seqdiff.inference.embed import Embedded, Strand, Stretch
from seqdiff.inference.filled import Infilled
from seqdiff.inference.score import RecordScore, require_room
from seqdiff.inference.stretches import Changes
from seqdiff.model.pool import Pool

if TYPE_CHECKING:
    from seqdiff.model import Model

RECORDS = 64
"""Records of a part at most: many small ones."""
LETTERS = 1 << 22
"""Letters of a part at most, a single longer record alone: what is known of a genome costs memory, but no work."""
CHANGES = 128
"""Changes of a part: neighbours share windows."""

Progress = Callable[[float], None] | None


class Spread:
    """A model held by several processes, as a context manager. Its verbs are those of `Model` for records."""

    def __init__(self, model: "Model", processes: int, *, threads: int | None = None):
        """`threads` are those of each process. With several GPUs the processes take one after the other."""
        self.model = model
        self._tokens = model.batch_tokens
        self._pool = Pool(processes, partial(_Server, pickle.dumps(model)), threads=threads)

    def __enter__(self) -> "Spread":
        self._pool.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.__exit__(kind, error, trace)

    def infill_records(
        self,
        records: Iterable[Record],
        sampler: Sampler | None = None,
        *,
        spans: Mapping[str, Sequence[Interval]] | None = None,
        design: Design | None = None,
        inserted: Callable[[Record], Sequence[tuple[Record, str | None]]] | None = None,
        progress: Progress = None,
        **settings: Any,
    ) -> Iterator[Infilled]:
        """See `Model.infill_records`."""

        def work(record: Record) -> int:
            if spans is not None:
                masked = spans.get(record.name, ())
                return sum(span.length for span in masked) + context * len(masked)
            if settings.get("trusted") is not None or inserted:
                return len(record.sequence)
            unknown = len(record.sequence) - len(record.sequence.translate(None, known))
            return min(len(record.sequence), unknown * context)

        context = self.model.context
        known = self.model.alphabet.symbols.encode() + self.model.alphabet.symbols.lower().encode()
        tasks = (
            (
                "infill", part,
                [inserted(record) for record in part] if inserted else None,
                settings | {
                    "sampler": sampler,
                    "spans": _of(spans, part),
                    "design": design and replace(design, codings=_of(design.codings, part) or {}),
                },
            )
            for part in self._parts(records, work)
        )  # fmt: skip
        return self._pool.ordered(tasks, progress)

    def score_records(
        self,
        records: Iterable[Record],
        scorer: ScorerConfig | None = None,
        *,
        spans: Mapping[str, Sequence[Interval]] | None = None,
        progress: Progress = None,
        **settings: Any,
    ) -> Iterator[RecordScore]:
        """See `Model.score_records`."""

        def work(record: Record) -> int:
            return len(record.sequence) if spans is None else context * len(spans.get(record.name, ()))

        context = self.model.context
        require_room(spans, context)
        tasks = (
            ("score", part, settings | {"scorer": scorer, "spans": _of(spans, part)})
            for part in self._parts(records, work)
        )
        return self._pool.ordered(tasks, progress)

    def embed_records(
        self, records: Iterable[Record], *, progress: Progress = None, **settings: Any
    ) -> Iterator[Embedded]:
        """See `Model.embed_records`."""
        return self._pool.ordered(self._numbered("embed", records, settings), progress)

    def residues(
        self, records: Iterable[Record], *, strand: Strand = "both", progress: Progress = None, **settings: Any
    ) -> Iterator[Stretch]:
        """See `Model.residues`."""
        return self._pool.ordered(self._numbered("residues", records, settings | {"strand": strand}), progress)

    def change_scorer(self, genome: Genome, settings: VariantScorer | None = None, *, seed: int = 0) -> ChangeScorer:
        """See `Model.change_scorer`."""
        scorer = self.model.change_scorer(genome, settings, seed=seed)
        made_of = genome.path.absolute(), genome.alphabet, settings, seed  # workers stay where they were started
        return SpreadChanges(scorer, self._pool, pickle.dumps(made_of))

    def _numbered(self, verb: str, records: Iterable[Record], settings: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
        number = 0
        for part in self._parts(records, lambda record: len(record.sequence)):
            yield verb, number, part, settings
            number += len(part)

    def _parts(self, records: Iterable[Record], work: Callable[[Record], int]) -> Iterator[list[Record]]:
        """Records in their order, a few together: about a batch of the network of work."""
        part: list[Record] = []
        letters = done = 0
        for record in records:
            part.append(record)
            letters += len(record.sequence)
            done += work(record)
            if len(part) >= RECORDS or letters >= LETTERS or done >= self._tokens:
                yield part
                part, letters, done = [], 0, 0
        if part:
            yield part


def _of(values: Mapping[str, Any] | None, records: Iterable[Record]) -> dict[str, Any] | None:
    """What there is of some records, by name."""
    return None if values is None else {one.name: values[one.name] for one in records if one.name in values}


class SpreadChanges(ChangeScorer):
    """A scorer of changes that has them scored by workers, neighbours together."""

    def __init__(self, scorer: ChangeScorer, pool: Pool, made_of: bytes):
        vars(self).update(vars(scorer))
        self._pool, self._made_of = pool, made_of

    def __call__(self, wanted: Sequence[Changes], progress: Callable[[int], None] | None = None) -> list[Outcome]:
        different = sorted(set(wanted), key=lambda changes: (self._number[changes[0].contig], changes[0].start))
        copies: dict[Changes, int] = dict.fromkeys(different, 0)
        for changes in wanted:
            copies[changes] += 1
        parts = [different[first : first + CHANGES] for first in range(0, len(different), CHANGES)]
        tasks = (("changes", self._made_of, part) for part in parts)
        found: dict[Changes, Outcome] = {}
        for part, outcomes in zip(parts, self._pool.ordered(tasks), strict=True):
            found.update(zip(part, outcomes, strict=True))
            if progress:
                progress(sum(copies[changes] for changes in part))
        return [found[changes] for changes in wanted]


class _Server:
    """In a worker: the model, and the verbs as tasks name them."""

    def __init__(self, model: bytes, number: int):
        frozen.elsewhere = None
        if (gpus := torch.cuda.device_count()) > 1:
            frozen.elsewhere = torch.device("cuda", number % gpus)
        self.model: Model = pickle.loads(model)
        self.model.device = self.model.frozen.device
        self._changes: tuple[bytes, ChangeScorer] | None = None

    def __call__(self, verb: str, *task: Any, progress: Progress) -> Iterable[Any]:
        return getattr(self, verb)(*task, progress=progress)

    def infill(
        self, records: list[Record], versions: list[Any] | None, settings: dict[str, Any], progress: Progress
    ) -> Iterator[Infilled]:
        each = iter(versions or ())
        inserted = None if versions is None else lambda record: next(each)
        return self.model.infill_records(records, inserted=inserted, progress=progress, **settings)

    def score(self, records: list[Record], settings: dict[str, Any], progress: Progress) -> Iterator[RecordScore]:
        return self.model.score_records(records, progress=progress, **settings)

    def embed(
        self, first: int, records: list[Record], settings: dict[str, Any], progress: Progress
    ) -> Iterator[Embedded]:
        for row in self.model.embed_records(records, progress=progress, **settings):
            yield replace(row, number=first + row.number)

    def residues(
        self, first: int, records: list[Record], settings: dict[str, Any], progress: Progress
    ) -> Iterator[Stretch]:
        for part in self.model.residues(records, progress=progress, **settings):
            yield part._replace(number=first + part.number)

    def changes(self, made_of: bytes, wanted: list[Changes], progress: Progress) -> list[list[Outcome]]:
        if self._changes is None or self._changes[0] != made_of:
            path, alphabet, settings, seed = pickle.loads(made_of)
            self._changes = made_of, self.model.change_scorer(Genome.open(path, alphabet), settings, seed=seed)
        return [self._changes[1](wanted)]
