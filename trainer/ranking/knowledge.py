"""What the ranking stage knows of the shop at a moment, as tables of the graph."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline.config import RankingConfig
from trainer.interactions import Interactions
from trainer.ranking import item_statistics, neighbours
from trainer.ranking.neighbours import Neighbours

Floats = npt.NDArray[np.float32]

TEXT_NEIGHBOURS = 32


@dataclass(frozen=True)
class Wares:
    """What of the catalogue does not change with time.

    Args:
      price_levels: [items], a price on a scale on which differences are ratios; NaN where unknown.
      texts: [items, width] text vectors; None where the towers read no item text.
    """

    price_levels: Floats
    texts: Floats | None

    @cached_property
    def alike(self) -> Neighbours | None:
        """Items with nearly the same text; None without texts. Found once, for all moments."""
        return None if self.texts is None else neighbours.alike(self.texts, TEXT_NEIGHBOURS)


class Knowledge(tf.Module):
    """All that is looked up for a request: no event at or after the moment has gone into it.

    Args:
      bought: truth events before the moment.
      wares: what is known of the items at any time.
      config: of the ranking stage.
    """

    def __init__(self, bought: Interactions, wares: Wares, config: RankingConfig) -> None:
        super().__init__(name="knowledge")
        statistics = item_statistics.item_statistics(bought)
        sizes = {"most_items": config.copurchase_items, "count": config.neighbours}
        self.items = bought.items
        self.statistics = _constant(statistics, "statistics")
        self.prices = _constant(wares.price_levels, "prices")
        self.together = NeighbourTable(neighbours.copurchases(bought, **sizes), "together")
        following = neighbours.next_purchases(bought, window_days=config.window_days, **sizes)
        self.following = NeighbourTable(following, "following")
        self.alike = None if wares.alike is None else NeighbourTable(wares.alike, "alike")
        self.popular = tf.Variable(_popular(statistics, config.candidates.popular), trainable=False, name="popular")


class NeighbourTable(tf.Module):
    """Neighbours in the graph.

    Args:
      neighbours: of every item.
      name: of the table.
    """

    def __init__(self, neighbours: Neighbours, name: str) -> None:
        super().__init__(name=name)
        self._rows = tf.Variable(neighbours.rows, trainable=False, name=f"{name}_rows")
        self._weights = _constant(neighbours.weights, f"{name}_weights")

    def votes(self, cells: tf.Tensor, loudness: tf.Tensor, *, batch: tf.Tensor, items: int) -> tf.Tensor:
        """Lets the items of histories speak for others.

        Args:
          cells: [n] int64, line of the batch x items + row of the item that speaks.
          loudness: [n, v] float32, how loudly, in v variants.
          batch: number of lines, a scalar.
          items: size of the catalogue.

        Returns:
          [batch x items, v], the sum for each item of each line.
        """
        speakers = cells % items
        rows = tf.cast(tf.gather(self._rows, speakers), tf.int64)
        said = tf.gather(self._weights, speakers)[:, :, tf.newaxis] * loudness[:, tf.newaxis, :]
        heard = tf.where(rows >= 0, (cells - speakers)[:, tf.newaxis] + rows, -1)
        count = tf.cast(batch, tf.int64) * items
        variants = loudness.shape[1]
        return tf.math.unsorted_segment_sum(tf.reshape(said, [-1, variants]), tf.reshape(heard, [-1]), count)


def _constant(values: npt.NDArray[np.generic], name: str) -> tf.Variable:
    return tf.Variable(np.asarray(values, np.float32), trainable=False, name=name)


def _popular(statistics: Floats, count: int) -> npt.NDArray[np.int64]:
    """Finds the items that most customers bought in the last 30 days, then of all time, [count]."""
    names = item_statistics.NAMES
    recent, ever = statistics[:, names.index("buyers_30d")], statistics[:, names.index("buyers")]
    return np.lexsort((-ever, -recent))[:count].astype(np.int64)
