"""What rivals share that give every item a number."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

from trainer.baselines.ranker import PAD, Ranker, Rows
from trainer.baselines.recent_popular import recent_order
from trainer.cases import Cases
from trainer.event_log import EventLog
from trainer.interactions import Interactions

Scores = npt.NDArray[np.float32]
_BATCH = 256


class ScoreRanker(Ranker):
    """Ranks by scores; ties, and so users of whom nothing is known, by recent popularity."""

    def fit(self, log: EventLog) -> None:
        """Orders the catalogue for ties, then learns."""
        self._order: Rows = recent_order(log)
        self._learn(log.interactions)

    def rank(self, cases: Cases, k: int, excluded: Sequence[Rows]) -> Rows:
        """Ranks as `Ranker.rank` says."""
        items, count = len(self._order), min(k, len(self._order))
        ranked = np.full((len(cases), k), PAD, np.int64)
        for start in range(0, len(cases), _BATCH):
            places = np.arange(start, min(start + _BATCH, len(cases)))
            scores = self._score(cases.select(np.isin(np.arange(len(cases)), places)))
            gone = np.zeros(scores.shape, np.bool_)
            for row, place in enumerate(places):
                gone[row, excluded[place]] = True
            # A stable sort of columns in their order of popularity keeps that order among equals.
            keys = np.where(gone, np.inf, -scores)[:, self._order]
            best = self._order[np.argsort(keys, axis=1, kind="stable")[:, :count]]
            left = items - gone.sum(axis=1, keepdims=True)
            ranked[places, :count] = np.where(np.arange(count) < left, best, PAD)
        return ranked

    @abc.abstractmethod
    def _learn(self, interactions: Interactions) -> None:
        """Learns from what users did before the window."""

    @abc.abstractmethod
    def _score(self, cases: Cases) -> Scores:
        """Scores the whole catalogue, [cases, items]; 0 throughout where nothing is known of a user."""


def seen_matrix(cases: Cases, items: int) -> Any:
    """Returns how often each case's user had each item, a sparse float32 matrix [cases, items]."""
    lengths = [len(rows) for rows in cases.seen]
    columns = np.concatenate([*cases.seen, np.zeros(0, np.int64)])
    counts = np.concatenate([*cases.seen_counts, np.zeros(0, np.int64)]).astype(np.float32)
    rows = np.repeat(np.arange(len(cases)), lengths)
    return scipy.sparse.csr_matrix((counts, (rows, columns)), (len(cases), items), dtype=np.float32)
