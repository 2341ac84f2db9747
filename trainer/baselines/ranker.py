"""What every simple rival of the model promises."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from trainer.cases import Cases
from trainer.event_log import EventLog

Rows = npt.NDArray[np.int64]
PAD = -1


class Ranker(abc.ABC):
    """Ranks the whole catalogue for each case, having seen only events before the judged window.

    A rival is one file: a subclass with a `name` and a line of `meaning`, listed in
    `trainer.baselines.RANKERS`.
    """

    name: ClassVar[str]
    meaning: ClassVar[str]

    @abc.abstractmethod
    def fit(self, log: EventLog) -> None:
        """Learns from the events; called once, before `rank`."""

    @abc.abstractmethod
    def rank(self, cases: Cases, k: int, excluded: Sequence[Rows]) -> Rows:
        """Ranks items for each case.

        Args:
          cases: the cases; a ranker must not look at their truth.
          k: how many items.
          excluded: for each case the rows that must not be answered.

        Returns:
          Item rows [cases, k], best first, `PAD` where fewer are left.
        """


def first_allowed(order: Rows, excluded: Rows, k: int) -> Rows:
    """Returns the first k rows of `order` that are not excluded, [k], padded with `PAD`."""
    # No more than len(excluded) rows can be lost, so the rest of a long catalogue need not be looked at.
    head = order[: k + len(excluded)]
    kept = head[~np.isin(head, excluded)][:k]
    return np.concatenate([kept, np.full(k - len(kept), PAD, np.int64)])
