"""The rival that learns how much each item speaks for each other one."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from trainer.baselines.score_ranker import ScoreRanker, Scores, seen_matrix
from trainer.cases import Cases
from trainer.interactions import Interactions, presence

L2 = 500.0  # λ of the paper
MOST_ITEMS = 20_000


class Ease(ScoreRanker):
    """EASE: a linear model from the items a user has to all items, solved in closed form.

    Steck, Embarrassingly shallow autoencoders for sparse data, 2019.
    """

    name: ClassVar[str] = "ease"
    meaning: ClassVar[str] = f"EASE, λ {L2:g}: what the customer's items speak for"

    def _learn(self, interactions: Interactions) -> None:
        self._weights = ease_weights(presence(interactions.matrix()))

    def _score(self, cases: Cases) -> Scores:
        seen = presence(seen_matrix(cases, len(self._weights)))
        scores: Scores = seen @ self._weights
        return scores


def ease_weights(seen: Any, l2: float = L2) -> npt.NDArray[np.float32]:
    """Solves EASE.

    Args:
      seen: sparse [users, items], 1 where a user had an item.
      l2: weight of the squared weights in the loss.

    Returns:
      How much an item (row) speaks for another (column), [items, items], 0 on the diagonal.

    Raises:
      ValueError: if the catalogue is too large for a dense matrix of items by items.
    """
    items = seen.shape[1]
    if items > MOST_ITEMS:
        raise ValueError(
            f"EASE needs a dense matrix of items by items: expected at most {MOST_ITEMS:,} items, got {items:,}, "
            f"which takes {4 * items**2 / 2**30:.0f} GiB; take 'ease', 'ease_frequency' and 'trees' out of the rivals"
        )
    gram = (seen.T @ seen).toarray().astype(np.float32)
    gram[np.diag_indices(items)] += np.float32(l2)
    inverse = np.linalg.inv(gram)
    weights: npt.NDArray[np.float32] = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return weights
