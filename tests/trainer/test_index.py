"""The exact index against NumPy: order, ties, exclusions, any k."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.index import NO_ROW, ExactIndex

ITEMS, DIMENSION = 40, 3
# Small whole numbers: products are exact, and many scores are equal.
VECTORS = np.random.default_rng(1).integers(-2, 3, (ITEMS, DIMENSION)).astype(np.float32)


class Asked:
    """An index behind a graph function, as it is served."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.index = ExactIndex(vectors)
        width = vectors.shape[1]
        self.top = tf.function(
            self.index.top,
            input_signature=[
                tf.TensorSpec([None, width], tf.float32),
                tf.TensorSpec([None], tf.int32),
                tf.TensorSpec([None, None], tf.int64),
            ],
        )


@pytest.fixture(scope="module")
def asked() -> Asked:
    return Asked(VECTORS)


def _oracle(query: np.ndarray, k: int, excluded: list[int]) -> tuple[list[int], list[float]]:
    scores = VECTORS @ query
    order = [int(row) for row in np.argsort(-scores, kind="stable") if row not in excluded][:k]
    return order, [float(scores[row]) for row in order]


lines = st.tuples(st.integers(0, 10_000), st.integers(1, ITEMS + 9), st.lists(st.integers(-1, ITEMS - 1), max_size=60))


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(lines, min_size=1, max_size=5))
def test_it_is_numpy_without_the_excluded(asked: Asked, rows: list[tuple[int, int, list[int]]]) -> None:
    queries = np.stack([np.random.default_rng(seed).integers(-2, 3, DIMENSION) for seed, _, _ in rows])
    k = np.array([each for _, each, _ in rows], np.int32)
    width = max(len(gone) for _, _, gone in rows)
    excluded = np.full((len(rows), width), -1, np.int64)
    for line, (_, _, gone) in enumerate(rows):
        excluded[line, : len(gone)] = gone
    answered, scores = (each.numpy() for each in asked.top(queries.astype(np.float32), k, excluded))
    assert answered.shape == scores.shape == (len(rows), min(int(k.max()), ITEMS))
    for line, (_, wanted, gone) in enumerate(rows):
        expected, values = _oracle(queries[line], wanted, gone)
        kept = len(expected)
        assert answered[line, :kept].tolist() == expected
        assert scores[line, :kept].tolist() == values
        assert (answered[line, kept:] == NO_ROW).all()
        assert np.isneginf(scores[line, kept:]).all()


def test_everything_excluded(asked: Asked) -> None:
    rows, scores = asked.top(np.ones((1, DIMENSION), np.float32), [5], np.arange(ITEMS)[np.newaxis, :])
    assert rows.numpy().tolist() == [[NO_ROW] * 5]
    assert np.isneginf(scores.numpy()).all()


def test_no_exclusions_at_all_and_an_empty_batch(asked: Asked) -> None:
    rows, _ = asked.top(np.ones((2, DIMENSION), np.float32), [1, 4], np.zeros((2, 0), np.int64))
    assert rows.shape == (2, 4)
    assert rows.numpy()[0, 1:].tolist() == [NO_ROW] * 3
    rows, scores = asked.top(np.zeros((0, DIMENSION), np.float32), np.zeros(0, np.int32), np.zeros((0, 3), np.int64))
    assert rows.shape == scores.shape == (0, 0)


@pytest.mark.parametrize("k", [0, -1, -(2**31)])
def test_a_k_below_one_is_an_invalid_argument(asked: Asked, k: int) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="k must be at least 1"):
        asked.top(np.ones((2, DIMENSION), np.float32), [3, k], np.zeros((2, 0), np.int64))


def test_the_largest_k_answers_the_catalogue(asked: Asked) -> None:
    rows, _ = asked.top(np.ones((1, DIMENSION), np.float32), [2**31 - 1], np.array([[3, 3, -1]]))
    assert rows.shape == (1, ITEMS)
    assert sorted(rows.numpy()[0, :-1].tolist()) == [row for row in range(ITEMS) if row != 3]
    assert rows.numpy()[0, -1] == NO_ROW


def test_scores_of_given_items(asked: Asked) -> None:
    queries = np.array([[1, 0, 0], [0, 2, -1]], np.float32)
    scores = asked.index.scores_of(tf.constant(queries), tf.constant([[0, -1, 5], [7, 7, -1]], tf.int64)).numpy()
    assert scores[0].tolist() == [VECTORS[0, 0], -np.inf, VECTORS[5, 0]]
    assert scores[1].tolist() == [VECTORS[7] @ queries[1]] * 2 + [-np.inf]


def test_useless_vectors_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at least one item, got shape \(0, 3\)"):
        ExactIndex(np.zeros((0, 3), np.float32))
    with pytest.raises(ValueError, match="row 1 is not finite"):
        ExactIndex(np.array([[1, 2], [np.nan, 0]], np.float32))
