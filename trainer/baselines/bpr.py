"""The rival that factorises who bought what so that what was bought ranks above what was not."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import threadpoolctl

from trainer.baselines.score_ranker import ScoreRanker, Scores
from trainer.cases import Cases
from trainer.interactions import Interactions

FACTORS = 64
ITERATIONS = 100
SEED = 0


class Bpr(ScoreRanker):
    """Bayesian personalised ranking of the `implicit` package; knows only users of the log.

    Rendle et al., BPR: Bayesian personalized ranking from implicit feedback, 2009.
    """

    name: ClassVar[str] = "bpr"
    meaning: ClassVar[str] = f"BPR, {FACTORS} factors"

    def _learn(self, interactions: Interactions) -> None:
        # Importing it takes a second that only those who name this rival should wait.
        from implicit.cpu.bpr import BayesianPersonalizedRanking

        self._interactions = interactions
        # One thread: with more of them, they overwrite each other's steps and no two fits are the same.
        with threadpoolctl.threadpool_limits(1, "blas"):
            self._model = BayesianPersonalizedRanking(FACTORS, iterations=ITERATIONS, num_threads=1, random_state=SEED)
            self._model.fit(interactions.matrix(), show_progress=False)

    def _score(self, cases: Cases) -> Scores:
        places = self._interactions.places(cases.table["user_id"].to_pylist())
        users = self._model.user_factors[places] * (places >= 0)[:, None]
        scores: Scores = users.astype(np.float32) @ self._model.item_factors.T
        return scores
