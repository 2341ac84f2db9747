"""Where a second model may score the candidates again: what it is told of the requests, and what it must answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import tensorflow as tf


@dataclass(frozen=True)
class Request:
    """Requests as the served graph knows them.

    Args:
      queries: [batch, dim] the query tower's vectors.
      features: transformed features by name, as Transform gives them: histories are [batch, H], the rest [batch, 1].
      inputs: the raw inputs of the signature by name, [batch] or [batch, n].
      timestamps: [batch] int64, the moment of the request, seconds since 1970 UTC; never 0.
      history_rows: [batch, n] int64, catalogue rows of all the events that the request lists, newest first; -1 pads
        and stands for unknown items. n is not cut to the length that the towers read.
      history_types: [batch, n] string, what happened with them; "" pads.
      history_ages_days: [batch, n] float32, how long ago; 0 pads.
      history_quantities: [batch, n] float32, how many pieces; 1 where the request does not say.
    """

    queries: tf.Tensor
    features: Mapping[str, tf.Tensor]
    inputs: Mapping[str, tf.Tensor]
    timestamps: tf.Tensor
    history_rows: tf.Tensor
    history_types: tf.Tensor
    history_ages_days: tf.Tensor
    history_quantities: tf.Tensor


class RankingStage(Protocol):
    """Picks candidates and scores them again, in the graph of `recommend` and `rank`.

    An implementation is a `tf.Module`: the variables and tables that it holds as attributes are saved with the model.
    """

    def look(self, request: Request, scores: tf.Tensor) -> Any:
        """Reads requests, once for all that follows.

        Args:
          request: what is asked.
          scores: [batch, items] float32, the towers' scores.

        Returns:
          What the other two methods take as `evidence`.
        """

    def candidates(self, evidence: Any, allowed_scores: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        """Picks the items that are worth a second look.

        Args:
          evidence: what `look` has found.
          allowed_scores: [batch, items] float32, minus infinity for an item that must not be answered.
          count: how many items the answer needs of each row at least, a scalar int32 of at most `items`.

        Returns:
          [batch, C] int64 catalogue rows, each at most once and none whose allowed score is minus infinity; at least
          `count` of them, or all that are allowed. -1 pads, anywhere.
        """

    def scores(self, evidence: Any, rows: tf.Tensor, *, best: bool = False) -> tf.Tensor:
        """Scores items.

        Args:
          evidence: what `look` has found.
          rows: [batch, C] int64 catalogue rows; -1 pads.
          best: whether only the best of each line matter, so that items far from these may be scored more roughly.
            Otherwise each item is scored by itself, whatever stands beside it.

        Returns:
          [batch, C] float32, larger for a better item, finite where `rows` is not -1; what it says of pads is not read.
        """
