"""How a head learns: ridge regression, then a small network for what that leaves, by the squared error."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline.config import RankingConfig
from trainer.heads.linear import PENALTIES, Linear
from trainer.ranking.network import RankingNetwork

Floats = npt.NDArray[np.float32]

_MOST_EPOCHS, _PATIENCE = 40, 8
_BATCH = 256
_RATE, _DECAY, _CLIP = 0.003, 0.01, 1.0
_SMALL = {"embedding": 4, "cross_layers": 1, "cross_rank": 8, "hidden": (32,), "dropout": 0.2}
_COLUMNS = ("features", "starts", "rivals", "targets", "rows")
_QUIET = 0.1  # of the network's usual start: it begins as nearly nothing


@dataclass(frozen=True)
class Pairs:
    """Customers and items with what turned out to be right.

    Args:
      features: float32 [pairs, features].
      starts: float32 [pairs], what is predicted without anything learned.
      rivals: float32 [pairs], what the trivial rival predicts.
      targets: float32 [pairs].
      rows: int64 [pairs], the items.
    """

    features: Floats
    starts: Floats
    rivals: Floats
    targets: Floats
    rows: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.targets)

    def where(self, keep: npt.NDArray[np.bool_]) -> Pairs:
        """Returns the pairs where `keep` [pairs] is true."""
        return Pairs(**{name: getattr(self, name)[keep] for name in _COLUMNS})

    def few_of_each_item(self, most: int) -> Pairs:
        """Returns at most so many pairs of each item, the first ones."""
        order = np.argsort(self.rows, kind="stable")
        starts = np.searchsorted(self.rows[order], self.rows[order])
        return self.where(np.isin(np.arange(len(self)), order[np.arange(len(order)) - starts < most]))

    @property
    def rest(self) -> Floats:
        """What is left to learn, [pairs]."""
        return self.targets - self.starts


@dataclass(frozen=True)
class Recipe:
    """How long and how freely a head may learn, and how well it then did on pairs that it had not seen.

    Args:
      penalty: of the ridge regression.
      epochs: of the network; 0 goes without.
      error: root mean squared error on the held-out pairs; NaN without any.
      rival_error: that of the trivial rival.
    """

    penalty: float = 300.0
    epochs: int = 0
    error: float = float("nan")
    rival_error: float = float("nan")


class Regression(tf.Module):
    """What is added to what a head starts with.

    Args:
      linear: the ridge regression.
      network: adds to it; None goes without.
    """

    def __init__(self, linear: Linear, network: RankingNetwork | None) -> None:
        super().__init__(name="regression")
        self._linear = linear
        # The Keras model stays out of the saved object; only its weights are served.
        self._weights = [] if network is None else [variable.value for variable in network.variables]
        self._network: tuple[Any, ...] = () if network is None else (network.__call__,)

    def __call__(self, features: tf.Tensor) -> tf.Tensor:
        """Computes what is added, [n, features] to [n]."""
        return tf.add_n([self._linear(features), *(network(features) for network in self._network)])


def join(parts: Sequence[Pairs]) -> Pairs:
    """Puts pairs of several windows together, at least one part."""
    return Pairs(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS})


def choose(pairs: Pairs, held_out: Pairs, config: RankingConfig, seed: int, *, by_item: bool = False) -> Recipe:
    """Finds the penalty and the number of epochs that are best for pairs that are not learned from.

    Args:
      pairs: to learn from, at least one.
      held_out: others, at least one.
      config: of the ranking stage, whose network is made in a smaller version.
      seed: of the network.
      by_item: whether every item of the held-out pairs counts once, however often it is there.
    """
    features = tf.constant(held_out.features)
    items = np.unique(held_out.rows, return_inverse=True)[1] if by_item else np.arange(len(held_out))
    counts = np.bincount(items)

    def squares_of(predicted: Floats) -> Floats:
        found: Floats = (np.bincount(items, np.square(predicted - held_out.rest)) / counts).astype(np.float32)
        return found

    linears = [Linear(pairs.features, pairs.rest, penalty) for penalty in PENALTIES]
    squares = [squares_of(linear(features).numpy()) for linear in linears]
    place = plainest(squares)
    linear, squares = linears[place], [squares[place]]
    base = linear(features).numpy()
    for network in _trained(pairs, linear, config, seed):
        squares.append(squares_of(base + network(features).numpy()))
        best = int(np.argmin([each.mean() for each in squares]))
        if len(squares) > min(best + _PATIENCE, _MOST_EPOCHS):
            break
    epochs = plainest(squares)
    error = float(np.sqrt(squares[epochs].mean()))
    rival = float(np.sqrt(squares_of(held_out.rivals - held_out.starts).mean()))
    return Recipe(PENALTIES[place], epochs, error, rival)


def plainest(squares: Sequence[Floats]) -> int:
    """Picks the first candidate that is as good as the best, as far as the pairs can tell.

    The one-standard-error rule of Breiman et al., Classification and regression trees, 1984, with paired differences.

    Args:
      squares: for each candidate, the plainest first, its squared errors [pairs].
    """
    best = squares[int(np.argmin([each.mean() for each in squares]))]
    for place, each in enumerate(squares):
        behind = (each - best).astype(np.float64)
        if behind.mean() <= behind.std() / np.sqrt(len(behind)):
            return place
    return 0


def fit(pairs: Pairs, recipe: Recipe, config: RankingConfig, seed: int) -> Regression:
    """Learns from all pairs, at least one, as a recipe says."""
    linear = Linear(pairs.features, pairs.rest, recipe.penalty)
    networks = list(itertools.islice(_trained(pairs, linear, config, seed), recipe.epochs))
    return Regression(linear, networks[-1] if networks else None)


def rmse(predicted: Floats, targets: Floats) -> float:
    """Computes the root of the mean squared error."""
    return float(np.sqrt(np.mean(np.square(predicted.astype(np.float64) - targets))))


def _trained(pairs: Pairs, linear: Linear, config: RankingConfig, seed: int) -> Iterator[RankingNetwork]:
    """Yields a network after each epoch, without an end."""
    keras.utils.set_random_seed(seed)
    network = RankingNetwork(pairs.features.shape[1], config.model_copy(update=_SMALL), seed)
    network.bins.adapt(pairs.features)
    network(tf.constant(pairs.features[:1]))
    network.bias.assign(0.0)
    network.vectors.assign(_QUIET * network.vectors)
    step = _step(network, pairs.features.shape[1])
    rest = pairs.rest - linear(tf.constant(pairs.features)).numpy()
    generator = np.random.default_rng(seed)
    while True:
        order = generator.permutation(len(pairs))
        for first in range(0, len(order), _BATCH):
            some = order[first : first + _BATCH]
            step(tf.constant(pairs.features[some]), tf.constant(rest[some]))
        yield network


def _step(network: RankingNetwork, width: int) -> tf.types.experimental.PolymorphicFunction:
    optimizer = keras.optimizers.AdamW(_RATE, weight_decay=_DECAY, global_clipnorm=_CLIP)
    optimizer.build(network.trainable_variables)

    specs = [tf.TensorSpec([None, width], tf.float32), tf.TensorSpec([None], tf.float32)]

    @tf.function(input_signature=specs, autograph=False)
    def step(features: tf.Tensor, rest: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(network(features, training=True) - rest))
        variables = [variable.value for variable in network.trainable_variables]
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), network.trainable_variables, strict=True))
        return loss

    return step
