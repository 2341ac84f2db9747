"""Boosted regression trees beside the networks: learnt by scikit-learn, answered by the graph's own ops."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from sklearn.ensemble import HistGradientBoostingClassifier

from pipeline.config.ranking import TreesConfig
from trainer.ranking.lists import CandidateLists

_LOG = logging.getLogger(__name__)
# What is missing lies below every value that a shop can have: it goes with the lowest, in training and in the graph.
_MISSING = np.float32(-1e30)

# Trees whose conditions are held at once: those of eight requests stay in a processor's own memory.
_AT_ONCE = 10

Arrays = list[npt.NDArray[Any]]


class BoostedTrees(tf.Module):
    """Log-odds that a customer buys a candidate, added up over trees.

    Trees add to what those before them say: the first of them say roughly what all do, and cost little.

    A leaf is reached where every condition on its path holds. That is one product of matrices for each tree: no op
    beyond TensorFlow's own, and no loop.

    Args:
      tables: of the trees, as `tables_of` makes them. In a graph they are constants, which is faster; as variables they
        are only saved.
    """

    def __init__(self, tables: Sequence[npt.NDArray[Any]]) -> None:
        super().__init__(name="trees")
        self.tables = [tf.Variable(each, trainable=False) for each in tables]
        self._blocks = [_part(tables, begin, begin + _AT_ONCE) for begin in range(0, len(tables[2]), _AT_ONCE)]

    def __call__(self, values: tf.Tensor) -> tf.Tensor:
        """Computes log-odds, features in rows: [features, n] to [n]; NaN is missing."""
        known = tf.where(values > _MISSING, values, _MISSING)
        return tf.add_n([tf.zeros_like(values[0]), *(_odds(block, known) for block in self._blocks)])


def _odds(tables: Sequence[npt.NDArray[Any]], values: tf.Tensor) -> tf.Tensor:
    """What some trees say of values [features, n], none of which is NaN: [n]."""
    features, thresholds, paths, leaves, start = tables
    count, leaf_count, splits = paths.shape
    above = tf.cast(tf.gather(values, features) > thresholds, tf.float32)
    # 1 at the leaf that is reached, 0 at all others.
    reached = tf.nn.relu(tf.matmul(paths, tf.reshape(above, [count, splits, tf.shape(values)[1]])))
    return start + tf.matmul(leaves, tf.reshape(reached, [count * leaf_count, tf.shape(values)[1]]))[0]


def fit_trees(lists: CandidateLists, config: TreesConfig, seed: int) -> tuple[BoostedTrees, BoostedTrees]:
    """Learns which candidates are bought, each for itself.

    Friedman, Greedy function approximation: a gradient boosting machine, 2001.

    Args:
      lists: candidates of past requests; some were bought and some were not.
      config: sizes.
      seed: of what is drawn at random.

    Returns:
      The first `config.first` trees, and those after them, maybe none: what both say, added up, is the answer.
    """
    learner = HistGradientBoostingClassifier(
        max_iter=config.count,
        learning_rate=config.learning_rate,
        max_leaf_nodes=config.leaves,
        min_samples_leaf=config.least_candidates,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    )
    learner.fit(np.where(lists.features > _MISSING, lists.features, _MISSING), lists.labels)
    _LOG.info("ranking: %d trees of at most %d leaves", config.count, config.leaves)
    tables = tables_of(learner)
    return BoostedTrees(_part(tables, 0, config.first)), BoostedTrees(_part(tables, config.first, config.count))


def _part(tables: Sequence[npt.NDArray[Any]], begin: int, end: int) -> Arrays:
    """Cuts some trees out of the tables of `tables_of`; only the first of all has the start of the sum."""
    features, thresholds, paths, leaves, start = tables
    width = paths.shape[1]
    cells = slice(begin * width, end * width)
    return [
        features[cells],
        thresholds[cells],
        paths[begin:end],
        leaves[:, cells],
        start if begin == 0 else np.zeros_like(start),
    ]


def tables_of(learner: HistGradientBoostingClassifier) -> Arrays:
    """Writes fitted trees down as `BoostedTrees` reads them: T trees of at most L leaves and L - 1 splits.

    After its splits each tree has a condition that always holds, so S = L.

    Args:
      learner: of two classes, without categorical features, fitted to values none of which is NaN.

    Returns:
      The feature of each split, int32 [T x S]; its threshold, float32 [T x S, 1]; the path to each leaf, float32
      [T, L, S]: 1 where the value must be above the threshold, -1 where not, 0 off the path, and last of all 1 less
      how many must be above; the leaves' values, [1, T x L]; where the sum starts, a scalar.
    """
    # scikit-learn has no public way to its trees; a test compares the answers with its own.
    trees: list[npt.NDArray[np.void]] = [each[0].nodes for each in learner._predictors]
    leaves = max(int(nodes["is_leaf"].sum()) for nodes in trees)
    features = np.zeros((len(trees), leaves), np.int32)
    thresholds = np.full((len(trees), leaves), -np.inf, np.float32)
    paths = np.zeros((len(trees), leaves, leaves), np.float32)  # a leaf that is not there is never reached
    values = np.zeros((len(trees), leaves), np.float32)
    for tree, nodes in enumerate(trees):
        split = leaf = 0
        waiting: list[tuple[int, dict[int, float]]] = [(0, {})]
        while waiting:
            number, path = waiting.pop()
            node = nodes[number]
            if node["is_leaf"]:
                paths[tree, leaf, list(path)] = list(path.values())
                paths[tree, leaf, -1] = 1.0 - sum(side > 0 for side in path.values())
                values[tree, leaf] = node["value"]
                leaf += 1
            else:
                features[tree, split] = node["feature_idx"]
                thresholds[tree, split] = _highest_below(float(node["num_threshold"]))
                waiting += [(int(node["left"]), {**path, split: -1.0}), (int(node["right"]), {**path, split: 1.0})]
                split += 1
    start = np.float32(learner._baseline_prediction.item())
    return [features.ravel(), thresholds.reshape(-1, 1), paths, values.reshape(1, -1), np.asarray(start)]


def _highest_below(threshold: float) -> np.float32:
    """Returns the highest float32 that is not above a threshold: no value of that type lies between the two."""
    rounded = np.float32(threshold)
    return np.nextafter(rounded, np.float32(-np.inf)) if float(rounded) > threshold else rounded
