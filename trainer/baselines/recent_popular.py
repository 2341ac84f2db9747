"""The rival that gives everybody what sells most these days."""

from typing import ClassVar

import numpy as np

from trainer.baselines.popular import Popular
from trainer.baselines.ranker import Rows
from trainer.event_log import EventLog

DAYS = 30


def recent_order(log: EventLog) -> Rows:
    """Orders the catalogue by truth events of the last `DAYS` days; ties by those of all time, [items]."""
    return np.lexsort((-log.item_counts(), -log.item_counts(DAYS)))


class RecentPopular(Popular):
    """Items by the number of their truth events in the 30 days before the window."""

    name: ClassVar[str] = "recent_popular"
    meaning: ClassVar[str] = f"most bought of the last {DAYS} days"

    def fit(self, log: EventLog) -> None:
        """Counts the recent events of each item."""
        self._order = recent_order(log)
