"""Which items are worth a second look."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from pipeline.config import CandidatesConfig
from trainer.index import NO_ROW, best, pick
from trainer.ranking.knowledge import Knowledge
from trainer.ranking.pair_features import TOGETHER, Evidence
from trainer.ranking.purchases import Purchases


def propose(
    evidence: Evidence, knowledge: Knowledge, allowed: tf.Tensor, count: tf.Tensor, config: CandidatesConfig
) -> tf.Tensor:
    """Joins what the sources propose.

    Args:
      evidence: of the requests.
      knowledge: of the shop.
      allowed: [batch, items], minus infinity for an item that must not be answered, else the towers' score.
      count: how many items the answer needs at least, a scalar int32.
      config: how many items each source proposes.

    Returns:
      Rows [batch, C] int64 ascending, -1 first; each row of the catalogue once.
    """
    batch, items = tf.shape(allowed)[0], knowledge.items
    is_allowed = allowed > -np.inf
    votes = tf.reshape(evidence.votes[:, TOGETHER], [batch, items])
    own = _own_rows(evidence.bought, items, batch, config.history)
    # What the customer has bought before is proposed as such.
    cells = tf.stack([evidence.bought.lines, evidence.bought.cells % items], axis=1)
    fresh = tf.tensor_scatter_nd_update(votes, cells, tf.fill([tf.shape(cells)[0]], -np.float32(np.inf)))
    fresh = tf.where(is_allowed & (fresh > 0.0), fresh, -np.inf)
    popular = tf.broadcast_to(knowledge.popular, [batch, tf.size(knowledge.popular)])
    sources = [
        best(allowed, tf.minimum(tf.maximum(config.tower, count), items)),
        best(fresh, tf.minimum(config.copurchase, items)),
        _only(own, allowed),
        _only(popular, allowed),
    ]
    return _distinct(tf.concat(sources, axis=1))


def _own_rows(bought: Purchases, items: int, batch: tf.Tensor, most: int) -> tf.Tensor:
    """Lists the items of each history, the newest first, [batch, at most `most`]; -1 pads."""
    ragged = tf.RaggedTensor.from_value_rowids(bought.cells % items, bought.lines, tf.cast(batch, tf.int64))
    return ragged.to_tensor(default_value=tf.constant(NO_ROW, tf.int64))[:, :most]


def _only(rows: tf.Tensor, allowed: tf.Tensor) -> tf.Tensor:
    return tf.where(pick(allowed, rows) > -np.inf, rows, NO_ROW)


def _distinct(rows: tf.Tensor) -> tf.Tensor:
    """Sorts each line and sets repeated rows to -1, then sorts again; what is -1 in every line is cut off."""
    rows = tf.sort(rows, axis=1)
    before = tf.concat([tf.fill([tf.shape(rows)[0], 1], tf.constant(NO_ROW, tf.int64)), rows[:, :-1]], axis=1)
    repeated = tf.equal(rows, before)
    rows = tf.sort(tf.where(repeated, tf.constant(NO_ROW, tf.int64), rows), axis=1)
    # Sources overlap by a third, and all that follows costs time by the column.
    return tf.boolean_mask(rows, tf.reduce_any(rows >= 0, axis=0), axis=1)
