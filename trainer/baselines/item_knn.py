"""The rival that looks for items with the same buyers."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import scipy.sparse

from trainer.baselines.score_ranker import ScoreRanker, Scores, seen_matrix
from trainer.cases import Cases
from trainer.interactions import Interactions, presence

NEIGHBOURS = 100
_BLOCK = 512


class ItemKnn(ScoreRanker):
    """Sums, over the user's items, the cosine between their buyers and those of each near neighbour.

    Sarwar et al., Item-based collaborative filtering recommendation algorithms, 2001.
    """

    name: ClassVar[str] = "item_knn"
    meaning: ClassVar[str] = f"cosine between the buyers of items, {NEIGHBOURS} neighbours"

    def _learn(self, interactions: Interactions) -> None:
        self._similarities = cosine_neighbours(presence(interactions.matrix()), NEIGHBOURS)

    def _score(self, cases: Cases) -> Scores:
        seen = presence(seen_matrix(cases, self._similarities.shape[0]))
        scores: Scores = (seen @ self._similarities).toarray()
        return scores


def cosine_neighbours(seen: Any, neighbours: int) -> Any:
    """Finds for each item those whose buyers are most like its own.

    Args:
      seen: sparse [users, items], 1 where a user had an item.
      neighbours: how many to keep.

    Returns:
      Sparse float32 [items, items]: in each column the cosines of that item's nearest neighbours, itself left out.
    """
    norms = np.sqrt(np.asarray(seen.multiply(seen).sum(axis=0)).ravel())
    unit = (seen @ scipy.sparse.diags(1.0 / np.maximum(norms, 1.0))).tocsc()
    items = unit.shape[1]
    count = min(neighbours, items)
    columns = []
    for start in range(0, items, _BLOCK):
        # A block of items at a time: all pairs at once would be as dense as the catalogue is long.
        cosines = (unit.T @ unit[:, start : start + _BLOCK]).toarray().T
        cosines[np.arange(len(cosines)), start + np.arange(len(cosines))] = 0.0
        nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
        kept = np.zeros_like(cosines)
        np.put_along_axis(kept, nearest, np.take_along_axis(cosines, nearest, axis=1), axis=1)
        columns.append(scipy.sparse.csr_matrix(kept))
    return scipy.sparse.vstack(columns).T.tocsr().astype(np.float32)
