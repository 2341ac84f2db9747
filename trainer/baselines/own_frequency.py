"""The rival that gives customers what they always buy."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from trainer.baselines.ranker import Ranker, Rows, first_allowed
from trainer.baselines.recent_popular import recent_order
from trainer.cases import Cases
from trainer.event_log import EventLog


class OwnFrequency(Ranker):
    """The user's own items by how often, ties by recent popularity; then what is popular these days."""

    name: ClassVar[str] = "own_frequency"
    meaning: ClassVar[str] = "what the customer bought most often, then most bought of the last 30 days"

    def fit(self, log: EventLog) -> None:
        """Orders the catalogue for ties and for what follows the user's own items."""
        self._order: Rows = recent_order(log)
        self._place: Rows = np.argsort(self._order)

    def rank(self, cases: Cases, k: int, excluded: Sequence[Rows]) -> Rows:
        """Ranks as `Ranker.rank` says."""
        ranked = np.zeros((len(cases), k), np.int64)
        for case, (seen, counts) in enumerate(zip(cases.seen, cases.seen_counts, strict=True)):
            own = seen[np.lexsort((self._place[seen], -counts))]
            own = own[~np.isin(own, excluded[case])][:k]
            rest = first_allowed(self._order, np.concatenate([excluded[case], own]), k - len(own))
            ranked[case] = np.concatenate([own, rest])
        return ranked
