"""What the ranking stage reads of a customer and a candidate: one file for training and serving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from trainer.ranking import item_statistics
from trainer.ranking.knowledge import Knowledge
from trainer.ranking.purchases import MISSING, Purchases, customer_columns, sum_up, visit_counts
from trainer.ranking_stage import Request

_OWN = ("lines", "pieces", "orders", "first_days", "last_days", "interval_days", "last_order")
_LEAST_INTERVAL_DAYS, _LEAST_SPREAD = 1.0, 0.1
_EPSILON = 1e-12


@dataclass(frozen=True)
class Evidence:
    """All that is known of a batch of requests before candidates are looked at.

    Args:
      bought: the customers' purchases.
      met: their other events: views, clicks, carts, ratings.
      customers: what describes each customer, by name, [batch].
      towers: [batch, items] the towers' scores.
      votes: [batch x items, v], what the histories say of every item; see `VOTES`.
    """

    bought: Purchases
    met: Purchases
    customers: dict[str, tf.Tensor]
    towers: tf.Tensor
    votes: tf.Tensor


# Names of what the histories say of every item: with all purchases, the recent ones, those of the newest order.
VOTES = ("together", "together_20d", "together_60d", "together_last_order", "following", "alike", "met_together")
TOGETHER = VOTES.index("together_60d")


def gather_evidence(request: Request, scores: tf.Tensor, knowledge: Knowledge, truth_types: Sequence[str]) -> Evidence:
    """Reads the histories of a batch.

    Args:
      request: the requests.
      scores: [batch, items] the towers' scores.
      knowledge: of the shop.
      truth_types: event types that are purchases here.
    """
    items = knowledge.items
    is_bought = tf.reduce_any(tf.equal(request.history_types[..., tf.newaxis], list(truth_types)), axis=-1)
    bought, met = sum_up(request, is_bought, items), sum_up(request, ~is_bought, items)
    customers = customer_columns(request, bought, knowledge.prices, items)
    visits = visit_counts(request, is_bought & (request.history_rows >= 0))
    customers["customer_orders"] = tf.where(visits > 0, visits, MISSING)
    span = customers["customer_age_days"] - customers["customer_idle_days"]
    customers["customer_interval_days"] = tf.where(visits > 1, span / tf.maximum(visits - 1, 1), MISSING)
    return Evidence(bought, met, customers, scores, _votes(request, knowledge, bought, met))


def pair_features(evidence: Evidence, knowledge: Knowledge, lines: tf.Tensor, rows: tf.Tensor) -> dict[str, tf.Tensor]:
    """Describes customers with candidates, a pair each.

    Args:
      evidence: of the requests.
      knowledge: of the shop.
      lines: [n] int64, the requests' lines.
      rows: [n] int64, the candidates' catalogue rows.

    Returns:
      [n] float32 by name, always the same names in the same order; NaN where there is nothing to say.
    """
    batch, items = tf.shape(evidence.towers)[0], knowledge.items
    cells = lines * items + rows
    columns = _own(evidence.bought, cells, batch, items)
    met = _own(evidence.met, cells, batch, items)
    columns |= {f"met_{name}": met[f"own_{name}"] for name in ("lines", "last_days")}
    columns |= dict(zip(VOTES, tf.unstack(tf.gather(evidence.votes, cells), len(VOTES), axis=-1), strict=True))
    columns |= _tower_columns(evidence, lines, cells)
    statistics = tf.unstack(tf.gather(knowledge.statistics, rows), len(item_statistics.NAMES), axis=-1)
    columns |= {f"item_{name}": column for name, column in zip(item_statistics.NAMES, statistics, strict=True)}
    told = tf.stack(list(evidence.customers.values()), axis=1)
    customer = dict(zip(evidence.customers, tf.unstack(tf.gather(told, lines), axis=-1), strict=True))
    return columns | customer | _relations(columns, customer, tf.gather(knowledge.prices, rows))


def feature_names(features: dict[str, tf.Tensor]) -> tuple[str, ...]:
    """Returns the names in the order in which `stack` puts them."""
    return tuple(sorted(features))


def stack(features: dict[str, tf.Tensor]) -> tf.Tensor:
    """Puts features one below the other, [features, n], in the order of `feature_names`."""
    return tf.stack([features[name] for name in feature_names(features)])


def _votes(request: Request, knowledge: Knowledge, bought: Purchases, met: Purchases) -> tf.Tensor:
    batch, items = tf.shape(request.queries)[0], knowledge.items
    values = bought.values
    ones = tf.ones_like(values["lines"])
    where = {"batch": batch, "items": items}
    loudness = tf.stack([ones, values["left_20d"], values["left_60d"], values["last_order"]], axis=1)
    left = values["left_90d"][:, tf.newaxis]
    parts = [
        knowledge.together.votes(bought.cells, loudness, **where),
        knowledge.following.votes(bought.cells, left, **where),
    ]
    silent = tf.zeros([tf.cast(batch, tf.int64) * items, 1])
    parts.append(silent if knowledge.alike is None else knowledge.alike.votes(bought.cells, left, **where))
    parts.append(knowledge.together.votes(met.cells, met.values["left_20d"][:, tf.newaxis], **where))
    return tf.concat(parts, axis=1)


def _own(history: Purchases, cells: tf.Tensor, batch: tf.Tensor, items: int) -> dict[str, tf.Tensor]:
    """Looks up what the customers did with the candidates themselves; counts are 0, times missing where nothing."""
    size = tf.cast(batch, tf.int64) * items
    numbers = 1 + tf.range(tf.size(history.cells))
    places = tf.gather(tf.tensor_scatter_nd_update(tf.zeros([size], tf.int32), history.cells[:, None], numbers), cells)
    columns = {}
    for name in _OWN:
        nothing = MISSING if name.endswith("_days") else 0.0
        columns[f"own_{name}"] = tf.gather(tf.concat([[nothing], history.values[name]], axis=0), places)
    return columns


def _tower_columns(evidence: Evidence, lines: tf.Tensor, cells: tf.Tensor) -> dict[str, tf.Tensor]:
    """The towers' score, as it is and beside those of all items."""
    scores = tf.gather(tf.reshape(evidence.towers, [-1]), cells)
    mean, variance = tf.nn.moments(evidence.towers, axes=[1])
    best = tf.reduce_max(evidence.towers, axis=1)
    return {
        "tower": scores,
        "tower_deviation": (scores - tf.gather(mean, lines)) * tf.gather(tf.math.rsqrt(variance + _EPSILON), lines),
        "tower_behind_best": tf.gather(best, lines) - scores,
    }


def _relations(
    columns: dict[str, tf.Tensor], customer: dict[str, tf.Tensor], prices: tf.Tensor
) -> dict[str, tf.Tensor]:
    """What only customer and item together say."""
    interval = tf.maximum(columns["own_interval_days"], _LEAST_INTERVAL_DAYS)
    item_interval = tf.maximum(columns["item_interval_days"], _LEAST_INTERVAL_DAYS)
    since = customer["customer_age_days"]
    possible = customer["customer_orders"] * tf.clip_by_value(
        columns["own_first_days"] / tf.maximum(since, 1.0), 0.02, 1.0
    )
    distance = prices - customer["customer_price"]
    return {
        "own_due": columns["own_last_days"] / interval,
        "own_due_by_item": columns["own_last_days"] / item_interval,
        "own_pieces_per_line": columns["own_pieces"] / columns["own_lines"],
        "own_pieces_against_usual": columns["own_pieces"] / customer["customer_pieces_per_line"],
        "own_share_of_orders": columns["own_orders"] / customer["customer_orders"],
        "own_share_since_first": columns["own_orders"] / (possible + 1.0),
        "price": prices,
        "price_distance": distance / (customer["customer_price_spread"] + _LEAST_SPREAD),
    }
