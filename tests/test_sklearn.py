"""The embeddings as a step of scikit-learn, with its own checks."""

import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_array, validate_data

import seqdiff
from seqdiff.errors import ConfigError, DataError, UsageError
from seqdiff.sklearn import Embedder

SEQUENCES = ["ACGTACGT", "GGGCC", "TTTTTTTTTT", "acgnt"]


class Written(Embedder):
    """Numbers written as DNA. scikit-learn has a single check for estimators of text, and runs them all on this one."""

    def fit(self, X, y=None):
        validate_data(self, X)
        return super().fit(X, y)

    def transform(self, X):
        X = validate_data(self, X, reset=False) if hasattr(self, "n_features_in_") else check_array(X)
        return super().transform(["".join("ACGT"[int(7 * value) % 4] for value in row) for row in X.astype(float)])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.string, tags.input_tags.one_d_array = True, False, False
        tags.no_validation = False
        return tags


@parametrize_with_checks([Embedder("human-chr20", device="cpu"), Written("human-chr20", device="cpu")])
@pytest.mark.filterwarnings("ignore")
def test_every_check_of_scikit_learn_that_applies(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def model():
    return seqdiff.load("human-chr20", "cpu")


def test_rows_are_the_embeddings_of_the_model(model):
    expected = model.embed(SEQUENCES)
    embedder = Embedder("human-chr20", device="cpu")
    np.testing.assert_array_equal(embedder.transform(SEQUENCES), expected)  # nothing needs to be fitted
    np.testing.assert_array_equal(Embedder(model).fit_transform(SEQUENCES), expected)
    for given in (
        np.array(SEQUENCES),
        np.array(SEQUENCES, object)[:, None],
        pd.Series(SEQUENCES),
        [[s] for s in SEQUENCES],
    ):
        np.testing.assert_array_equal(embedder.transform(given), expected)
    forward = Embedder("human-chr20", strand="forward", device="cpu").transform(SEQUENCES)
    np.testing.assert_array_equal(forward, model.embed(SEQUENCES, strand="forward"))
    assert embedder.transform([]).shape == (0, 112)


def test_names_and_frames():
    embedder = Embedder("human-chr20", device="cpu").set_output(transform="pandas")
    frame = embedder.fit_transform(pd.DataFrame({"sequence": SEQUENCES}, index=list("wxyz")))
    assert list(frame.columns) == list(embedder.get_feature_names_out())
    assert (frame.columns[0], frame.columns[-1]) == ("embedder0", "embedder111")
    assert list(frame.index) == list("wxyz")


def test_copies_share_one_network_and_are_small(model):
    embedder = Embedder("human-chr20", device="cpu").fit(SEQUENCES)
    assert clone(embedder)._model() is embedder._model()
    assert len(pickle.dumps(embedder)) < 1000
    copy = pickle.loads(pickle.dumps(Embedder(model)))
    np.testing.assert_array_equal(copy.transform(SEQUENCES), embedder.transform(SEQUENCES))


def test_a_search_over_a_pipeline():
    rng = np.random.default_rng(0)
    rich = ["".join(rng.choice(list("GC"), 20)) for _ in range(12)]
    poor = ["".join(rng.choice(list("AT"), 20)) for _ in range(12)]
    table = pd.DataFrame({"sequence": rich + poor, "length": 20})
    columns = ColumnTransformer([("embedding", Embedder("human-chr20", device="cpu"), "sequence")], remainder="drop")
    pipeline = make_pipeline(columns, LogisticRegression())
    settings = {"columntransformer__embedding__strand": ["both", "forward"], "logisticregression__C": [0.1, 1.0]}
    with joblib.parallel_config("threading", n_jobs=2):
        search = GridSearchCV(pipeline, settings, cv=3).fit(table, [1] * 12 + [0] * 12)
    assert search.best_score_ == 1
    assert search.cv_results_["params"][-1]["columntransformer__embedding__strand"] == "forward"


def test_what_is_wrong_is_said():
    with pytest.raises(ConfigError, match="no run directory"):
        Embedder("nowhere").fit(SEQUENCES)
    with pytest.raises(UsageError, match="strand='reverse': both or forward"):
        Embedder("human-chr20", strand="reverse").fit(SEQUENCES)
    with pytest.raises(DataError, match="'E' at position 2"):
        Embedder("human-chr20").transform(["MEEP"])
    with pytest.raises(TypeError, match="one column"):
        Embedder("human-chr20").transform(pd.DataFrame({"a": SEQUENCES, "b": SEQUENCES}))
