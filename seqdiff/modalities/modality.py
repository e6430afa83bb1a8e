"""What the settings of any modality say of themselves."""

from abc import ABC, abstractmethod
from typing import Any

from seqdiff.alphabet import Alphabet
from seqdiff.config import Config
from seqdiff.modalities.opened import Opened


class Modality(Config, ABC):
    """Where sequences come from and what they are made of: a frozen value with a `kind` and a `context`."""

    @property
    @abstractmethod
    def alphabet(self) -> Alphabet: ...

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes that a sequence may be of, once `resolved`; none where nothing is told of it."""
        return ()

    @property
    def grid(self) -> tuple[int, int, int] | None:
        """Rows, columns and channels of an image, whose product is the context; None of what is a line."""
        return None

    def resolved(self) -> Any:
        """Itself with what only the data can say filled in."""
        return self

    @abstractmethod
    def open(self) -> Opened:
        """The data, encoded if need be. Raises DataError where they are missing, damaged or too few."""
