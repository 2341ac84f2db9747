"""A request's history, summed up: by customer, and by customer and item."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from trainer.ranking_stage import Request

MISSING = np.float32(np.nan)
_LAST_ORDER_DAYS = 1.0
_NEW_DAYS = 90.0


@dataclass(frozen=True)
class Purchases:
    """The distinct items of the histories of a batch.

    Args:
      cells: [n] int64, line x items + row, each once, within a line the newest first.
      lines: [n] int64, the line of each.
      values: of each pair by name, [n] float32: `lines`, `pieces`, `orders`, `first_days`, `last_days`,
        `interval_days`, and how much of it is left after halving with every 20, 60 and 90 days, each at most 1:
        `left_20d`, ...; `last_order` is 1 where the item was in the newest order.
    """

    cells: tf.Tensor
    lines: tf.Tensor
    values: Mapping[str, tf.Tensor]


def sum_up(request: Request, chosen: tf.Tensor, items: int) -> Purchases:
    """Sums up the events of the history that are chosen.

    Args:
      request: with histories [batch, n].
      chosen: bool [batch, n], which of their events count.
      items: size of the catalogue.
    """
    places = tf.where(chosen & (request.history_rows >= 0))
    line, age = places[:, 0], tf.gather_nd(request.history_ages_days, places)
    cells, pair = tf.unique(line * items + tf.gather_nd(request.history_rows, places), tf.int64)
    count = tf.size(cells)
    lines = cells // items
    first = tf.math.unsorted_segment_max(age, pair, count)
    last = tf.math.unsorted_segment_min(age, pair, count)
    orders = _orders(line, age, pair, count)
    newest = tf.math.unsorted_segment_min(age, line, tf.shape(chosen, tf.int64)[0])
    values = {
        "lines": tf.math.unsorted_segment_sum(tf.ones_like(age), pair, count),
        "pieces": tf.math.unsorted_segment_sum(tf.gather_nd(request.history_quantities, places), pair, count),
        "orders": orders,
        "first_days": first,
        "last_days": last,
        "interval_days": tf.where(orders > 1, (first - last) / tf.maximum(orders - 1, 1), MISSING),
        "last_order": tf.cast(last <= tf.gather(newest, lines) + _LAST_ORDER_DAYS, tf.float32),
        **{f"left_{days}d": _left(age, days, pair, count) for days in (20, 60, 90)},
    }
    return Purchases(cells, lines, values)


def customer_columns(request: Request, bought: Purchases, prices: tf.Tensor, items: int) -> dict[str, tf.Tensor]:
    """Describes each line's customer by all purchases, [batch] each; `MISSING` where there is none.

    Args:
      request: with histories.
      bought: the purchases of the histories.
      prices: [items] price levels, NaN where unknown.
      items: size of the catalogue.
    """
    batch = tf.shape(request.queries)[0]
    values, lines = bought.values, bought.lines

    def total(of: tf.Tensor) -> tf.Tensor:
        return tf.math.unsorted_segment_sum(of, lines, batch)

    ones = tf.ones_like(values["lines"])
    pairs = total(ones)
    known = pairs > 0
    newest = tf.math.unsorted_segment_min(values["last_days"], lines, batch)
    oldest = tf.math.unsorted_segment_max(values["first_days"], lines, batch)
    young = tf.cast(values["first_days"] <= _NEW_DAYS, tf.float32)
    recent = tf.cast(values["last_days"] <= _NEW_DAYS, tf.float32)
    columns = {
        "customer_items": pairs,
        "customer_lines": total(values["lines"]),
        "customer_pieces_per_line": total(values["pieces"]) / total(values["lines"]),
        "customer_idle_days": newest,
        "customer_age_days": oldest,
        **_price_columns(tf.gather(prices, bought.cells % items), lines, batch),
        "customer_rebuys": tf.math.divide_no_nan(total(tf.cast(values["orders"] > 1, tf.float32)), pairs),
        "customer_orders_per_item": tf.math.divide_no_nan(total(values["orders"]), pairs),
        "customer_tries": tf.math.divide_no_nan(total(young), total(recent)),
        "customer_last_order": total(values["last_order"]),
    }
    return {name: tf.where(known, column, MISSING) for name, column in columns.items()}


def _price_columns(level: tf.Tensor, lines: tf.Tensor, batch: tf.Tensor) -> dict[str, tf.Tensor]:
    """Tells at which price level customers buy and how much it varies, of the levels [n] of their items."""

    def mean(of: tf.Tensor) -> tf.Tensor:
        # Of customers whose items have no price nothing is known either: 0 / 0 is `MISSING`.
        priced = tf.math.unsorted_segment_sum(tf.cast(known, tf.float32), lines, batch)
        return tf.math.unsorted_segment_sum(tf.where(known, of, 0.0), lines, batch) / priced

    known = tf.math.is_finite(level)
    usual = mean(level)
    spread = mean(level * level) - usual * usual
    return {"customer_price": usual, "customer_price_spread": tf.sqrt(tf.maximum(spread, 0.0))}


def visit_counts(request: Request, chosen: tf.Tensor) -> tf.Tensor:
    """Counts the distinct moments of the chosen events of each line, [batch] float32."""
    places = tf.where(chosen)
    starts = _order_starts(places[:, 0], tf.gather_nd(request.history_ages_days, places))
    return tf.math.unsorted_segment_sum(starts, places[:, 0], tf.shape(chosen, tf.int64)[0])


def _left(age: tf.Tensor, days: int, pair: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    return tf.minimum(tf.math.unsorted_segment_sum(tf.pow(2.0, -age / days), pair, count), 1.0)


def _orders(line: tf.Tensor, age: tf.Tensor, pair: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Counts the distinct orders of each pair: lines of one moment are one order."""
    number = tf.cast(tf.cumsum(_order_starts(line, age)), tf.int64)
    width = tf.size(number, tf.int64) + 1
    distinct, _ = tf.unique(pair * width + number)
    return tf.math.unsorted_segment_sum(tf.ones_like(distinct, tf.float32), distinct // width, count)


def _order_starts(line: tf.Tensor, age: tf.Tensor) -> tf.Tensor:
    """Marks with 1 the events [n] that are the first of their line or of another age than the one before."""
    before = tf.concat([[tf.constant(-1, tf.int64)], line[:-1]], axis=0)
    earlier = tf.concat([[tf.constant(-1.0)], age[:-1]], axis=0)
    return tf.cast(tf.not_equal(line, before[: tf.size(line)]) | tf.not_equal(age, earlier[: tf.size(age)]), tf.float32)
