"""`Embedder`: a model's embeddings of sequences as a step of a scikit-learn pipeline.

>>> from sklearn.linear_model import LogisticRegression
>>> from sklearn.pipeline import make_pipeline
>>> repeats, others = ["CACACACACA", "TGTGTGTGTG", "ACACACACAC"], ["GATTCGCATG", "CCGTATAGCA", "ATGCCGTTAG"]
>>> classifier = make_pipeline(Embedder("human-chr20", device="cpu"), LogisticRegression())
>>> classifier.fit(repeats + others, [1, 1, 1, 0, 0, 0]).predict(["GTGTGTGTGT", "TAGGACTCAT"]).tolist()
[1, 0]
"""

import functools
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float32
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin

from seqdiff.checkpoint import RunFolder
from seqdiff.model import SHIPPED, Model, load
from seqdiff.model.embedding import check_strand
from seqdiff.resources import run_folder

if TYPE_CHECKING:
    from typing import Self

    from sklearn.utils import Tags

_loading = threading.Lock()


class Embedder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """The mean hidden state of each sequence over its known letters, as `seqdiff embed` writes it: a frozen network, so
    there is nothing to fit.

    X holds sequences as `Model.infill` takes them: a list, an array or a Series, or a table of one column. A sequence
    without a known letter has NaN, which `sklearn.impute.SimpleImputer` fills in. The network is loaded when it is
    first used, once for all copies in a process, and is not pickled: workers load it from its run.

    Parameters
    ----------
    run : the run directory of a model, or the name of one that ships; None is the small model of human DNA. A `Model`
        works as well, and is copied and pickled whole.
    strand : "both", the mean of both strands of DNA, or "forward", the one that is written.
    device : "auto", "cpu", "cuda" or "cuda:N"; a `Model` stays where it is.
    """

    def __init__(
        self,
        run: str | Path | Model | None = None,
        *,
        strand: Literal["both", "forward"] = "both",
        device: str = "auto",
    ):
        self.run = run
        self.strand = strand
        self.device = device

    def fit(self, X: Any, y: Any = None) -> "Self":
        """Checks that there is such a model, and such a strand, and nothing else."""
        check_strand(self.strand)
        self._model()
        return self

    def transform(self, X: Any) -> Float32[np.ndarray, "N D"]:
        """A row a sequence. Raises DataError for letters that the model does not know."""
        return self._model().embed(_one_column(X), strand=self.strand)

    @property
    def _n_features_out(self) -> int:
        return self._model().states(self.strand).width

    def _model(self) -> Model:
        if isinstance(self.run, Model):
            return self.run
        folder = SHIPPED if self.run is None else run_folder(self.run)
        weights = RunFolder(folder).weights_file
        with _loading:
            written = weights.stat().st_mtime_ns if weights.exists() else 0
            return _loaded(folder.absolute(), self.device, written)

    def __sklearn_tags__(self) -> "Tags":
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.two_d_array, tags.input_tags.one_d_array = True, False, True
        tags.requires_fit, tags.no_validation = False, True
        tags.transformer_tags.preserves_dtype = []
        return tags


@functools.lru_cache(maxsize=4)
def _loaded(run: Path, device: str, written: int) -> Model:
    """A model, loaded again where its weights were `written` since."""
    return load(run, device)


def _one_column(given: Any) -> Any:
    """An array of one column as the row that it is."""
    if isinstance(given, np.ndarray) and given.ndim == 2 and given.shape[1] == 1:
        return given[:, 0]
    if isinstance(given, Sequence) and given and all(isinstance(row, list | tuple) and len(row) == 1 for row in given):
        return [row[0] for row in given]
    return given
