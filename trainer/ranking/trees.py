"""Boosted regression trees beside the networks: learnt by CatBoost, answered by the graph's own ops."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline.config.ranking import TreesConfig
from trainer.ranking.lists import CandidateLists

if TYPE_CHECKING:
    from catboost import CatBoost

_LOG = logging.getLogger(__name__)
# What is missing lies below every value that a shop can have: it goes with the lowest, in training and in the graph.
_MISSING = np.float32(-1e30)

# Trees whose conditions are held at once: those of eight requests stay in a processor's own memory.
_AT_ONCE = 50

Arrays = list[npt.NDArray[Any]]


class BoostedTrees(tf.Module):
    """Log-odds that a customer buys a candidate, added up over trees.

    Trees add to what those before them say: the first of them say roughly what all do, and cost little.

    All branches of a tree ask the same question at the same depth. The answers, yes for 1 and no for 0, are the number
    of the leaf in binary: one product and one look-up for each tree, no loop, and no op beyond TensorFlow's own.

    Args:
      tables: of the trees, as `tables_of` makes them. In a graph they are constants, which is faster; as variables they
        are only saved.
    """

    def __init__(self, tables: Sequence[npt.NDArray[Any]]) -> None:
        super().__init__(name="trees")
        self.symmetric = [tf.Variable(each, trainable=False) for each in tables]
        *trees, self._start = tables
        self._blocks = [
            [each[begin : begin + _AT_ONCE] for each in trees] for begin in range(0, len(trees[0]), _AT_ONCE)
        ]

    def __call__(self, values: tf.Tensor) -> tf.Tensor:
        """Computes log-odds, features in rows: [features, n] to [n]; NaN is missing."""
        known = tf.where(values > _MISSING, values, _MISSING)
        return tf.add_n(
            [tf.fill([tf.shape(values)[1]], self._start), *(_odds(known, *block) for block in self._blocks)]
        )


def _odds(
    values: tf.Tensor,
    features: npt.NDArray[np.int32],
    thresholds: npt.NDArray[np.float32],
    leaves: npt.NDArray[np.float32],
) -> tf.Tensor:
    """What T trees of depth D say of values [features, n], none of which is NaN: [n]."""
    trees, depth = features.shape
    above = tf.cast(tf.gather(values, features.ravel()) > thresholds.reshape(-1, 1), tf.float32)
    powers = np.tile(np.exp2(np.arange(depth, dtype=np.float32)), [trees, 1, 1])
    reached = tf.matmul(powers, tf.reshape(above, [trees, depth, tf.shape(values)[1]]))[:, 0]
    firsts = leaves.shape[1] * np.arange(trees, dtype=np.float32)[:, np.newaxis]
    return tf.reduce_sum(tf.gather(leaves.ravel(), tf.cast(reached + firsts, tf.int32)), axis=0)


def fit_trees(lists: CandidateLists, config: TreesConfig, seed: int) -> tuple[BoostedTrees, BoostedTrees]:
    """Learns which candidates are bought, each for itself.

    Friedman, Greedy function approximation: a gradient boosting machine, 2001; Prokhorenkova et al., CatBoost: unbiased
    boosting with categorical features, 2018.

    Args:
      lists: candidates of past requests; some were bought and some were not.
      config: sizes.
      seed: of what is drawn at random.

    Returns:
      The first `config.first` trees, and those after them, maybe none: what both say, added up, is the answer.
    """
    values = np.where(lists.features > _MISSING, lists.features, _MISSING)
    if lists.labels.all() or not np.ptp(values, axis=0).any():
        _LOG.warning("ranking: nothing tells the candidates apart that were bought: no trees")
        tables = _no_trees(float(lists.labels.mean()))
    else:
        tables = tables_of(_learn(values, lists.labels, config, seed))
        _LOG.info("ranking: %d trees of depth %d", config.count, config.depth)
    *trees, start = tables
    first = [each[: config.first] for each in trees]
    rest = [each[config.first :] for each in trees]
    return BoostedTrees([*first, start]), BoostedTrees([*rest, np.zeros_like(start)])


def _learn(values: npt.NDArray[np.float32], labels: npt.NDArray[np.bool_], config: TreesConfig, seed: int) -> CatBoost:
    from catboost import CatBoostClassifier  # a second that only a training should wait

    learner = CatBoostClassifier(
        iterations=config.count,
        learning_rate=config.learning_rate,
        depth=config.depth,
        boost_from_average=True,
        random_seed=seed,
        allow_writing_files=False,
        verbose=False,
    )
    return learner.fit(values, labels)


def tables_of(learner: CatBoost) -> Arrays:
    """Writes fitted trees down as `BoostedTrees` reads them: T trees of depth D at most.

    Args:
      learner: of two classes, of numbers none of which is NaN.

    Returns:
      The feature of each level's question, int32 [T, D]; its threshold, float32 [T, D]: the answer is yes where the
      value is above; the leaves' values by the number that the answers make, the first level's the lowest digit,
      float32 [T, 2^D]; where the sum starts, float32, a scalar.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trees.json")
        learner.save_model(str(path), format="json")
        model = json.loads(path.read_bytes())
    trees = model["oblivious_trees"]
    # A tree without a question has null for them.
    splits = [tree["splits"] or [] for tree in trees]
    depth = max(map(len, splits))
    features = np.zeros((len(trees), depth), np.int32)
    thresholds = np.full((len(trees), depth), np.inf, np.float32)  # nothing is above: the answer is no
    leaves = np.zeros((len(trees), 2**depth), np.float32)
    scale, (start,) = model["scale_and_bias"]
    for number, (tree, asked) in enumerate(zip(trees, splits, strict=True)):
        levels = len(asked)
        features[number, :levels] = [split["float_feature_index"] for split in asked]
        thresholds[number, :levels] = [split["border"] for split in asked]
        leaves[number, : 2**levels] = scale * np.array(tree["leaf_values"])
    return [features, thresholds, leaves, np.asarray(start, np.float32)]


def _no_trees(share: float) -> Arrays:
    """Makes the tables of no tree: all candidates have the log-odds of a share that was bought."""
    some = np.clip(share, 1e-3, 1.0 - 1e-3)
    start = np.asarray(np.log(some / (1.0 - some)), np.float32)
    return [np.zeros((0, 1), np.int32), np.zeros((0, 1), np.float32), np.zeros((0, 2), np.float32), start]
