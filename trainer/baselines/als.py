"""The rival that factorises who bought what by alternating least squares."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import threadpoolctl

from trainer.baselines.score_ranker import ScoreRanker, Scores, seen_matrix
from trainer.cases import Cases
from trainer.interactions import Interactions

FACTORS = 128
ITERATIONS = 15
SEED = 0


class Als(ScoreRanker):
    """Implicit ALS of the `implicit` package; users are solved for from what they have.

    Hu, Koren and Volinsky, Collaborative filtering for implicit feedback datasets, 2008.
    """

    name: ClassVar[str] = "als"
    meaning: ClassVar[str] = f"implicit ALS, {FACTORS} factors"

    def _learn(self, interactions: Interactions) -> None:
        # Importing it takes a second that only those who name this rival should wait.
        from implicit.cpu.als import AlternatingLeastSquares

        # implicit has threads of its own, and warns where the linear algebra below them has some too.
        with threadpoolctl.threadpool_limits(1, "blas"):
            self._model = AlternatingLeastSquares(FACTORS, iterations=ITERATIONS, random_state=SEED)
            self._model.fit(interactions.matrix(), show_progress=False)

    def _score(self, cases: Cases) -> Scores:
        seen = seen_matrix(cases, len(self._model.item_factors))
        with threadpoolctl.threadpool_limits(1, "blas"):
            users = self._model.recalculate_user(np.arange(len(cases)), seen)
        scores: Scores = users @ self._model.item_factors.T
        return scores
