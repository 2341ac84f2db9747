"""The rival of two stages: candidates, then boosted trees over what is known of each pair."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from trainer.baselines.pair_features import FEATURES, Pairs, Past
from trainer.baselines.score_ranker import ScoreRanker, Scores
from trainer.cases import Cases
from trainer.days import DAY
from trainer.interactions import Interactions, Rows, presence

WINDOWS = 2
WINDOW_DAYS = 28
SEED = 0
_SETTINGS: dict[str, Any] = {
    "max_iter": 300,
    "learning_rate": 0.06,
    "max_leaf_nodes": 31,
    "min_samples_leaf": 100,
    "l2_regularization": 1.0,
    "early_stopping": False,
    "random_state": SEED,
}
_BATCH = 256
_NO_CANDIDATE, _CANDIDATE = 0.0, 1.0


class Trees(ScoreRanker):
    """Candidates from EASE, the user's own history and recent popularity, ranked by scikit-learn's boosted trees.

    The trees learn from what users bought in the four-week windows before the judged one. Users that the log
    does not know get what is popular these days.
    """

    name: ClassVar[str] = "trees"
    meaning: ClassVar[str] = (
        "two stages: candidates from EASE, own history and recent popularity, "
        f"then boosted trees on {len(FEATURES)} features of the pair"
    )

    def _learn(self, interactions: Interactions) -> None:
        # Importing it takes seconds that only those who name this rival should wait.
        from sklearn.ensemble import HistGradientBoostingClassifier

        ends = [interactions.end - window * WINDOW_DAYS * DAY for window in range(WINDOWS)]
        windows = [_labelled(interactions.before(end)) for end in ends]
        features = np.concatenate([features for features, _ in windows])
        labels = np.concatenate([labels for _, labels in windows])
        if labels.all() or not labels.any():
            raise ValueError(
                f"the rival 'trees' learns from what customers bought again in the {WINDOWS} windows of {WINDOW_DAYS} "
                f"days before the judged one: it found {len(labels):,} candidates there and {labels.sum():,} bought; "
                "take 'trees' out of the rivals, or judge a window with more events before it"
            )
        self._trees = HistGradientBoostingClassifier(**_SETTINGS).fit(features, labels)
        self._interactions, self._past = interactions, Past(interactions)

    def _score(self, cases: Cases) -> Scores:
        places = self._interactions.places(cases.table["user_id"].to_pylist())
        known = np.flatnonzero(places >= 0)
        scores = np.full((len(cases), self._interactions.items), _NO_CANDIDATE, np.float32)
        if len(known):
            pairs = self._past.pairs(places[known])
            chances = self._trees.predict_proba(pairs.features)[:, 1]
            scores[known[pairs.places], pairs.rows] = _CANDIDATE + chances
        return scores


def _labelled(interactions: Interactions) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Makes the last window's candidates and says which were bought in it: ([pairs, features], [pairs])."""
    start = interactions.end - WINDOW_DAYS * DAY
    past = Past(interactions.before(start))
    bought = presence(interactions.since(start).matrix())
    returned = (past.seen.getnnz(axis=1) > 0) & (bought @ past.sold.astype(np.float32) > 0)
    users: Rows = np.flatnonzero(returned)
    features, labels = [np.zeros((0, len(FEATURES)), np.float32)], [np.zeros(0, np.bool_)]
    for first in range(0, len(users), _BATCH):
        some = users[first : first + _BATCH]
        pairs: Pairs = past.pairs(some)
        features.append(pairs.features)
        labels.append(bought[some].toarray()[pairs.places, pairs.rows] > 0)
    return np.concatenate(features), np.concatenate(labels)
