"""PNG and JPEG, one image a file, read as 8 bits a channel: what had to be changed for that is counted and said."""

import contextlib
import io
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from seqdiff.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg")


class Reader:
    """Reads images of one shape, rows x columns x channels; counts in `changed` what was changed.

    With `crop`, an image of another size gives its largest piece of these proportions, from the middle, made smaller or
    larger (Lanczos); without, it is refused.
    """

    def __init__(self, shape: tuple[int, int, int], crop: bool = False):
        self.shape, self.crop = shape, crop
        self.changed: Counter[str] = Counter()

    def read(self, path: Path) -> UInt8[np.ndarray, "H W C"]:
        """An image's values, transparent pixels shown on white. Raises DataError: damaged, no image, another size."""
        return self._read(path)[0]

    def read_open(self, path: Path) -> tuple[UInt8[np.ndarray, "H W C"], UInt8[np.ndarray, "H W"]]:
        """An image's values, and how opaque each pixel is: 0, transparent, to 255."""
        return self._read(path)

    def _read(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        with _opened(path) as image:
            rows, columns, channels = self.shape
            if image.size != (columns, rows) and not self.crop:
                raise DataError(
                    f"{path} has {image.height:,} x {image.width:,} pixels (rows x columns), not {rows:,} x "
                    f"{columns:,}: resize it first, or train with data.crop: true, which cuts and resizes"
                )
            image = self._upright(image)
            if self.crop:
                image = self._cropped(image)
            image = self._eight_bits(image, path)
            opaque = np.full((rows, columns), 255, np.uint8)
            if image.mode in ("RGBA", "LA"):
                opaque = np.asarray(image.getchannel("A"))
                if opaque.min() < 255:
                    self.changed["transparent: shown on white"] += 1
                image = _on_white(image)
            if image.mode != ("L" if channels == 1 else "RGB"):
                if image.mode in ("L", "RGB"):
                    self.changed["in colour: made grey" if channels == 1 else "grey: given three channels"] += 1
                image = image.convert("L" if channels == 1 else "RGB")
            return np.asarray(image).reshape(self.shape), opaque

    def _upright(self, image: Image.Image) -> Image.Image:
        if getattr(image, "n_frames", 1) > 1:
            self.changed["of several frames: the first was taken"] += 1
        turned = ImageOps.exif_transpose(image)
        if not self.crop and turned.size != image.size:  # the size that was asked for is that of the file
            return image
        return turned

    def _cropped(self, image: Image.Image) -> Image.Image:
        rows, columns, _ = self.shape
        if image.size == (columns, rows):
            return image
        self.changed["of another size: cut and resized"] += 1
        if image.mode in ("P", "1") or image.mode.startswith("I;16"):
            image = image.convert("RGBA" if image.mode == "P" else "L" if image.mode == "1" else "I")
        return ImageOps.fit(image, (columns, rows), Image.Resampling.LANCZOS)

    def _eight_bits(self, image: Image.Image, path: Path) -> Image.Image:
        """As one of L, LA, RGB and RGBA."""
        if image.mode in ("L", "LA", "RGB", "RGBA"):
            return image if "transparency" not in image.info else image.convert("RGBA")
        if image.mode == "1":
            return image.convert("L")
        if image.mode == "P":
            image = image.convert("RGBA" if "transparency" in image.info else "RGB")
            red, green, blue = (np.asarray(image.getchannel(name)) for name in "RGB")
            grey = image.mode == "RGB" and (red == green).all() and (green == blue).all()
            return image.convert("L") if grey else image
        if image.mode == "I" or image.mode.startswith("I;16"):
            self.changed["of 16 bits: the upper 8 were taken"] += 1
            return Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65535) >> 8).astype(np.uint8))
        if image.mode in ("CMYK", "YCbCr", "LAB", "HSV", "PA", "RGBX"):
            self.changed[f"in {image.mode}: made RGB"] += 1
            return image.convert("RGBA" if image.mode == "PA" else "RGB")
        raise DataError(f"{path}: pixels of kind {image.mode!r} cannot be read: save it as PNG with 8 bits a channel")


def written(values: UInt8[np.ndarray, "H W C"]) -> bytes:
    """An image as PNG, grey or RGB; the same values give the same bytes.

    >>> written(np.zeros((2, 3, 1), np.uint8))[:4]
    b'\\x89PNG'
    """
    file = io.BytesIO()
    Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values).save(file, format="PNG")
    return file.getvalue()


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An image whose pixels have been read; all that Pillow may say of a bad file as a DataError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG", "JPEG")) as image:
                image.load()
                yield image
    except DataError:
        raise
    except Image.UnidentifiedImageError as error:
        raise DataError(f"{path}: damaged, or neither PNG nor JPEG") from error
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: too large to be read: {error}") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DataError(f"{path}: cannot be read: {reason}") from error


def _on_white(image: Image.Image) -> Image.Image:
    opaque = image.convert("RGBA")
    white = Image.new("RGBA", opaque.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, opaque).convert("L" if image.mode == "LA" else "RGB")
