"""The exact index against NumPy and TFRS: scores, order, ties."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_recommenders as tfrs

from trainer.index import NO_ROW, ExactIndex, best, pick

ITEMS, DIMENSION = 40, 3
# Small whole numbers: products are exact, and many scores are equal.
VECTORS = np.random.default_rng(1).integers(-2, 3, (ITEMS, DIMENSION)).astype(np.float32)
QUERIES = np.array([[1, 0, 0], [0, 2, -1], [0, 0, 0]], np.float32)


def test_it_ranks_as_a_stable_sort_does() -> None:
    scores = ExactIndex(VECTORS).scores(tf.constant(QUERIES))
    np.testing.assert_array_equal(scores, QUERIES @ VECTORS.T)
    for count in (0, 1, 7, ITEMS):
        rows = best(scores, tf.constant(count)).numpy()
        assert rows.dtype == np.int64
        np.testing.assert_array_equal(rows, np.argsort(-(QUERIES @ VECTORS.T), axis=1, kind="stable")[:, :count])


def test_it_agrees_with_the_index_of_tfrs() -> None:
    generator = np.random.default_rng(5)
    items, queries = (generator.normal(size=(count, 8)).astype(np.float32) for count in (50, 3))
    rival = tfrs.layers.factorized_top_k.BruteForce()
    rival.index(tf.constant(items), tf.range(50, dtype=tf.int64))
    expected, rows = rival(tf.constant(queries), k=7)
    scores = ExactIndex(items).scores(tf.constant(queries))
    np.testing.assert_array_equal(best(scores, tf.constant(7)), rows)
    np.testing.assert_allclose(pick(scores, rows), expected, rtol=1e-5)


def test_rows_end_where_nothing_is_allowed() -> None:
    scores = tf.constant([[-np.inf, 1.0, -np.inf, 2.0], [-np.inf] * 4])
    rows = best(scores, tf.constant(3))
    assert rows.numpy().tolist() == [[3, 1, NO_ROW], [NO_ROW] * 3]
    assert pick(scores, rows).numpy().tolist() == [[2.0, 1.0, -np.inf], [-np.inf] * 3]
    assert best(tf.zeros([0, 4]), tf.constant(2)).shape == (0, 2)


def test_scores_of_given_items() -> None:
    index = ExactIndex(VECTORS)
    scores = index.scores_of(tf.constant(QUERIES[:2]), tf.constant([[0, -1, 5], [7, 7, -1]], tf.int64)).numpy()
    assert scores[0].tolist() == [VECTORS[0, 0], -np.inf, VECTORS[5, 0]]
    assert scores[1].tolist() == [VECTORS[7] @ QUERIES[1]] * 2 + [-np.inf]


def test_other_vectors_take_the_place_of_the_first() -> None:
    index = ExactIndex(np.zeros_like(VECTORS))
    index.fill(VECTORS)
    np.testing.assert_array_equal(index.scores(tf.constant(QUERIES)), QUERIES @ VECTORS.T)
    found = index.scores_of(tf.constant(QUERIES[:1]), tf.constant([[5]], tf.int64)).numpy()
    assert found.tolist() == [[VECTORS[5] @ QUERIES[0]]]
    with pytest.raises(ValueError, match="row 2 is not finite"):
        index.fill(np.where(np.arange(ITEMS)[:, np.newaxis] == 2, np.nan, VECTORS))


def test_useless_vectors_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at least one item, got shape \(0, 3\)"):
        ExactIndex(np.zeros((0, 3), np.float32))
    with pytest.raises(ValueError, match="row 1 is not finite"):
        ExactIndex(np.array([[1, 2], [np.nan, 0]], np.float32))
