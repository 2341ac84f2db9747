"""The rival that gives everybody what sells most."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from trainer.baselines.ranker import Ranker, Rows, first_allowed
from trainer.cases import Cases
from trainer.event_log import EventLog


class Popular(Ranker):
    """Items by the number of their truth events, all time; ties in the catalogue's order."""

    name: ClassVar[str] = "popular"
    meaning: ClassVar[str] = "most bought of all time"

    def fit(self, log: EventLog) -> None:
        """Counts the events of each item."""
        self._order: Rows = np.argsort(-log.item_counts(), kind="stable")

    def rank(self, cases: Cases, k: int, excluded: Sequence[Rows]) -> Rows:
        """Ranks as `Ranker.rank` says."""
        if not len(cases):
            return np.zeros((0, k), np.int64)
        return np.stack([first_allowed(self._order, rows, k) for rows in excluded])
