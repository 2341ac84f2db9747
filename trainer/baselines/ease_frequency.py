"""The rival that knows what goes together and what a customer keeps buying."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from trainer.baselines.ease import L2, Ease
from trainer.baselines.score_ranker import Scores, seen_matrix
from trainer.cases import Cases

FREQUENCY_WEIGHT = 0.15


class EaseFrequency(Ease):
    """EASE plus the logarithm of how often the user had the item."""

    name: ClassVar[str] = "ease_frequency"
    meaning: ClassVar[str] = f"EASE, λ {L2:g}, plus {FREQUENCY_WEIGHT:g} · log(1 + the customer's own count)"

    def _score(self, cases: Cases) -> Scores:
        counts = seen_matrix(cases, len(self._weights)).toarray()
        return super()._score(cases) + np.float32(FREQUENCY_WEIGHT) * np.log1p(counts)
