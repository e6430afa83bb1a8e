"""Images in and images out: what infill, score and sample do with a model of images."""

import contextlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqdiff.cli import inputs, options
from seqdiff.cli.text import COMMON, given
from seqdiff.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from seqdiff.data.fasta import Record
    from seqdiff.diffusion.samplers import Sampler
    from seqdiff.inference.images import Canvas
    from seqdiff.model import Model

Files = Annotated[
    list[str] | None,
    typer.Option(
        "--image", help="For a model of images: PNG or JPEG, a folder of them, IDX, .npz or a table. Repeatable."
    ),
]
Mask = Annotated[
    str | None,
    typer.Option(
        "--mask",
        help="--image: what is to be filled: an image of that size, white where to fill; or left, right, top, bottom, "
        "center. Default: what is transparent.",
    ),
]
NO_SEQUENCE = {"length", "format", "stride", "gc", "forbid", "translate", "genetic_code"}
"""Options of `sample` that are for sequences."""


def asked(context: typer.Context, image: list[str] | None, fasta: str | None, text: str | None, *others: str) -> bool:
    """Whether the command is given images. UsageError where it is given sequences or text as well, and for options that
    images have not: all but the common ones and `others`."""
    if not image:
        if "mask" in given(context):
            raise UsageError("--mask: it says what is to be filled in --image")
        return False
    if fasta is not None or text is not None:
        raise UsageError("--image: give it, --fasta or --text, one of them")
    wrong = given(context) - (COMMON - {"text"}) - {"image", *others}
    for option in context.command.params:
        if option.name in wrong:
            raise UsageError(f"{option.opts[0]}: it is for sequences, not for --image")
    if context.params.get("model") is None:
        raise UsageError("--image: the model that ships reads DNA; give a run that was trained on images: --model RUN")
    return True


def is_image(loaded: "Model") -> bool:
    """Whether a model was trained on images."""
    return loaded.recipe.data.grid is not None


def canvas_of(loaded: "Model") -> "Canvas":
    """The images of a model of images. UsageError for any other."""
    if not is_image(loaded):
        other = "--text" if hasattr(loaded.alphabet, "dtype") else "--fasta"
        raise UsageError(f"--image: {loaded.recipe.name} was trained on {loaded.alphabet.name}; give it {other} FILE")
    return loaded.canvas


def sample(
    context: typer.Context,
    loaded: "Model",
    number: int,
    output: Path | None,
    chosen: "Sampler",
    *,
    report: Path | None,
    seed: int,
    quiet: bool,
) -> None:
    """Draws new images."""
    from seqdiff.inference.images import some

    for option in context.command.params:
        if option.name in given(context) & NO_SEQUENCE:
            raise UsageError(f"{option.opts[0]}: it is for sequences, and {loaded.recipe.name} is a model of images")
    canvas = canvas_of(loaded)
    images = Pictures(output)
    records = (canvas.blank(f"sample{place}") for place in range(1, number + 1))
    with _progress("sample", canvas, quiet, number) as advance, _reported(report) as write:
        for part in some(records, canvas.together):
            for result in loaded.infill_records(part, chosen, seed=seed, progress=advance):
                images.add(result.record.name, canvas.values(result.record))
                write(result)
        images.write()


def infill(
    loaded: "Model",
    paths: list[str],
    mask: str | None,
    output: Path | None,
    chosen: "Sampler",
    *,
    samples: int,
    report: Path | None,
    seed: int,
    quiet: bool,
) -> None:
    """Fills the hidden pixels of images and changes nothing else."""
    import numpy as np

    from seqdiff.inference.images import hidden_by, read, some
    from seqdiff.model import logger
    from seqdiff.report.grid import coloured, covered

    canvas, images = canvas_of(loaded), Pictures(output)
    pictures = _said(*read(paths, canvas.grid))
    if mask is None:
        hidden = {picture.name: picture.transparent for picture in pictures}
        if not all(each.any() for each in hidden.values()):
            name = next(name for name, each in hidden.items() if not each.any())
            raise UsageError(f"--mask: say what is to be filled; nothing of {name} is transparent")
    else:
        same = hidden_by(mask, canvas.grid)
        hidden = {picture.name: same for picture in pictures}
        if not same.any():
            logger.warning("--mask %s: no white in it, so that nothing is filled", mask)
    total, single = samples * len(pictures), samples == 1 and len(pictures) == 1
    with _progress("infill", canvas, quiet, total) as advance, _reported(report) as write:
        for part in some(pictures, max(1, canvas.together // samples)):
            by_name = {picture.name: picture for picture in part}
            records = [canvas.record(name, picture.values, hidden[name]) for name, picture in by_name.items()]
            for result in loaded.infill_records(records, chosen, seed=seed, samples=samples, progress=advance):
                name, picture = result.record.name, by_name[result.record.name]
                if images.kind == "png" and not single and result.replicate == 0:
                    images.add(name, coloured(picture.values))
                    images.add(name, covered(picture.values, hidden[name]))
                filled = canvas.filled(picture.values, hidden[name], result.record)
                beside = images.kind == "png" and not single
                title = name if samples == 1 else f"{name}_sample{result.replicate + 1}"
                images.add(title, coloured(filled) if beside else filled)
                write(result)
        images.write(columns=None if single else samples + 2, alone=single)
    pixels = samples * int(sum(np.count_nonzero(each) for each in hidden.values()))
    logger.info("filled %s pixels in %s images", f"{pixels:,}", f"{len(pictures):,}")


@contextlib.contextmanager
def records(paths: list[str], loaded: "Model") -> Iterator[tuple[Iterator["Record"], inputs.Lengths]]:
    """The records of images, as their model takes them, and how many values each has."""
    from seqdiff.inference.images import read

    canvas = canvas_of(loaded)
    pictures = _said(*read(paths, canvas.grid))
    found = (canvas.record(picture.name, picture.values) for picture in pictures)
    yield found, inputs.Lengths.of({picture.name: canvas.length for picture in pictures})


class Pictures:
    """Images on their way out: side by side in one PNG, as arrays in .npz, or a file each in a folder."""

    def __init__(self, output: Path | None):
        self._path = output
        self.kind = self._kind()
        self._names: list[str] = []
        self._images: list[np.ndarray] = []
        if self.kind == "folder":
            from seqdiff.files import require_vacant

            require_vacant(output)

    def add(self, name: str, values: "np.ndarray") -> None:
        """One image (H, W, C)."""
        self._names.append(name)
        self._images.append(values)

    def write(self, columns: int | None = None, *, alone: bool = False) -> None:
        """All of them; `alone`: the one there is, as it is."""
        import numpy as np

        from seqdiff.data.image_files import written
        from seqdiff.data.output import Output
        from seqdiff.files import appearing
        from seqdiff.report.grid import grid

        images = np.stack(self._images)
        if self.kind == "folder":
            with appearing(self._path) as folder:
                for name, image in zip(self._names, images, strict=True):
                    (folder / f"{name}.png").write_bytes(written(image))
            return
        if self.kind == "npz":
            file = io.BytesIO()
            np.savez_compressed(file, images=images, names=np.array(self._names))
            data = file.getvalue()
        else:
            data = written(images[0] if alone else grid(images, columns))
        with Output(self._path) as out:
            out.write(data)

    def _kind(self) -> str:
        if self._path is None:
            raise UsageError("-o: images are written to a .png, side by side, to .npz, or each into a folder: name one")
        if str(self._path) == "-":
            if sys.stdout.isatty():
                raise UsageError("-o -: a PNG is not shown on a terminal: give -o FILE.png")
            return "png"
        suffix = self._path.suffix.lower()
        if suffix in (".png", ".npz") and not self._path.is_dir():
            return suffix[1:]
        if suffix and not self._path.is_dir():
            raise UsageError(f"-o {self._path}: a name that ends in .png or .npz, or a folder")
        return "folder"


@contextlib.contextmanager
def _progress(label: str, canvas: "Canvas", quiet: bool, total: int):
    """In images, of what is told in values."""
    with options.progress(label, "image", quiet, total) as advance:
        yield lambda values: advance(values / canvas.length)


@contextlib.contextmanager
def _reported(report: Path | None):
    """What writes the line of a filling to the report, where there is one."""
    from seqdiff.data.output import Output
    from seqdiff.inference.filled import REPORT_HEADER, report_line

    if report is None:
        yield lambda result: None
        return
    with Output(report) as out:
        out.write(REPORT_HEADER)
        yield lambda result: out.write(report_line(result))


def _said(pictures: list, remarks: list[str]) -> list:
    from seqdiff.model import logger

    for remark in remarks:
        logger.warning("%s", remark)
    return pictures
