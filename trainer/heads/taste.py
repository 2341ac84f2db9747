"""What histories tell of tastes, in the graph: likeness of texts, categories and prices met, one file for all heads."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline import schema
from trainer.heads.goods import Goods
from trainer.interactions import Interactions
from trainer.ranking_stage import Request

Floats = npt.NDArray[np.float32]

MISSING = np.float32(np.nan)
STEPS = ("view", "click", "cart", "purchase")  # from looking to buying
KINDS = (*STEPS, "all")
_PRIOR = 5.0
_FEW = 10.0  # a taste counts as if so many more events had shown none


@dataclass(frozen=True)
class Met:
    """What the histories of a batch hold, by kind of event, in the order of `KINDS`; `all` are those of any type.

    Args:
      counts: [batch, kinds] events.
      tastes: [batch, kinds, n] sums of the items' taste vectors.
      items: [batch x items, kinds] events with each item.
      categories: [batch x categories, kinds] events with each category.
      dearness: [batch x categories, kinds] sums of how dear the items were, of those that are priced.
      priced: [batch x categories, kinds] events with items that are priced.
    """

    counts: tf.Tensor
    tastes: tf.Tensor
    items: tf.Tensor
    categories: tf.Tensor
    dearness: tf.Tensor
    priced: tf.Tensor


class Taste(tf.Module):
    """Reads histories.

    Args:
      goods: the items.
      events: of any type before the moment.
      length: newest events of a history that are read.
    """

    def __init__(self, goods: Goods, events: Interactions, length: int) -> None:
        super().__init__(name="taste")
        self._length = length
        self.items, self.category_count = len(goods), goods.category_count
        self.dearness = _constant(goods.dearness, "dearness")
        self.around = _constant(goods.around, "around")
        self.texts = _constant(goods.texts, "texts")
        self.funnel = _constant(funnel_rates(events), "funnel")
        self._vectors = _constant(goods.tastes, "tastes")
        self._categories = tf.Variable(goods.categories, trainable=False, name="categories")

    def look(self, request: Request) -> Met:
        """Sums up the histories of a batch."""
        rows = request.history_rows[:, : self._length]
        known = (rows >= 0)[..., tf.newaxis]
        steps = tf.equal(request.history_types[:, : self._length, tf.newaxis], list(STEPS))
        kinds = tf.cast(tf.concat([known & steps, known], axis=-1), tf.float32)
        rows = tf.maximum(rows, 0)
        categories = tf.gather(self._categories, rows)
        dear = tf.gather(self.dearness, rows)
        is_priced = tf.math.is_finite(dear)
        dear = tf.where(is_priced, dear, 0.0)
        return Met(
            counts=tf.reduce_sum(kinds, axis=1),
            tastes=tf.einsum("bnt,bnd->btd", kinds, tf.gather(self._vectors, rows)),
            items=_by_cell(kinds, rows, self.items),
            categories=_by_cell(kinds, categories, self.category_count),
            dearness=_by_cell(kinds * dear[..., tf.newaxis], categories, self.category_count),
            priced=_by_cell(kinds * tf.cast(is_priced, tf.float32)[..., tf.newaxis], categories, self.category_count),
        )

    def likeness(self, met: Met, rows: tf.Tensor) -> list[tf.Tensor]:
        """How near items [batch, C] are to what was met, by kind of event, [batch, C] each; none without texts."""
        if not self._vectors.shape[1]:
            return []
        mean = met.tastes / (met.counts + _FEW)[..., tf.newaxis]
        near = tf.einsum("btd,bcd->tbc", mean, tf.gather(self._vectors, rows))
        told = tf.transpose(met.counts)[..., tf.newaxis] > 0
        return tf.unstack(tf.where(told, near, MISSING), num=len(KINDS))

    def familiarity(self, met: Met, rows: tf.Tensor) -> list[tf.Tensor]:
        """How often items [batch, C] and their categories were met, by kind of event, [batch, C] each."""
        own = tf.math.log1p(_cells(met.items, rows, self.items))
        of_category = _cells(met.categories, tf.gather(self._categories, rows), self.category_count)
        share = of_category / met.counts[:, tf.newaxis]
        return [*tf.unstack(own, num=len(KINDS), axis=-1), *tf.unstack(share, num=len(KINDS), axis=-1)]

    def spending(self, met: Met, rows: tf.Tensor) -> list[tf.Tensor]:
        """How dear within theirs the items of other categories were that were met, by kind of event, [batch, C] each.

        The item's own category stays out, as its price is in the median of that.
        """
        categories = tf.gather(self._categories, rows)
        sums, counts = (self._elsewhere(table, categories) for table in (met.dearness, met.priced))
        found = tf.where(counts > 0.5, sums / (counts + _FEW), MISSING)
        return tf.unstack(found, num=len(KINDS), axis=-1)

    def _elsewhere(self, table: tf.Tensor, categories: tf.Tensor) -> tf.Tensor:
        """Sums up all categories but those given [batch, C], to [batch, C, kinds]."""
        total = tf.reduce_sum(tf.reshape(table, [-1, self.category_count, len(KINDS)]), axis=1)
        return total[:, tf.newaxis] - _cells(table, categories, self.category_count)

    def activity(self, met: Met, rows: tf.Tensor) -> list[tf.Tensor]:
        """How much was met at all, by kind of event, [batch, C] each."""
        columns = tf.unstack(tf.math.log1p(met.counts), num=len(KINDS), axis=-1)
        return [tf.broadcast_to(column[:, tf.newaxis], tf.shape(rows)) for column in columns]


def funnel_rates(events: Interactions) -> Floats:
    """Computes for each item how often a click follows a view, and so on, drawn towards what is usual.

    Returns:
      [items, steps]; NaN for a step that the shop's events do not have.
    """
    of_step = [events.types == schema.EVENT_TYPES.index(name) for name in STEPS]
    counts = [np.bincount(events.item_rows[those], minlength=events.items) for those in of_step]
    rates = np.full((events.items, len(STEPS) - 1), np.nan)
    for place, (before, after) in enumerate(itertools.pairwise(counts)):
        if before.sum():
            rates[:, place] = (after + _PRIOR * after.sum() / before.sum()) / (before + _PRIOR)
    return rates.astype(np.float32)


def _by_cell(kinds: tf.Tensor, values: tf.Tensor, count: int) -> tf.Tensor:
    """Sums kinds of events [batch, n, kinds] by values [batch, n], to [batch x count, kinds]."""
    batch = tf.shape(values, tf.int64)[0]
    cells = tf.range(batch)[:, tf.newaxis] * count + values
    flat = tf.reshape(kinds, [-1, len(KINDS)])
    return tf.math.unsorted_segment_sum(flat, tf.reshape(cells, [-1]), batch * count)


def _cells(table: tf.Tensor, values: tf.Tensor, count: int) -> tf.Tensor:
    """Looks values [batch, C] up in [batch x count, kinds], to [batch, C, kinds]."""
    lines = tf.range(tf.shape(values, tf.int64)[0])[:, tf.newaxis] * count
    return tf.gather(table, lines + values)


def _constant(values: Floats, name: str) -> tf.Variable:
    return tf.Variable(values, trainable=False, name=name, dtype=tf.float32)
