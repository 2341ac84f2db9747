"""What customers and items are worth in stars by themselves: the trivial rival of the rating head, and its start."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline import schema
from trainer.interactions import Interactions

Floats = npt.NDArray[np.float64]

LEAST, MOST = 1.0, 5.0
_ROUNDS = 20
_SHRINKAGE = 5.0  # a bias counts as if so many more ratings had shown none


@dataclass(frozen=True)
class StarBiases:
    """How much more stars than usual a user gives and an item gets.

    Koren, Bell and Volinsky, Matrix factorization techniques for recommender systems, 2009, section 3.

    Args:
      mean: of all ratings.
      users: [users], 0 for who has rated nothing.
      items: [items], 0 for what nobody has rated.
    """

    mean: float
    users: Floats
    items: Floats

    def of(self, users: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> Floats:
        """Predicts the stars of users, -1 for strangers, and items, [n], between 1 and 5."""
        own = np.where(users >= 0, self.users[users], 0.0) if len(self.users) else 0.0
        return np.clip(self.mean + own + self.items[rows], LEAST, MOST)


def ratings(events: Interactions) -> Interactions:
    """Returns the events that are ratings of 1 to 5 stars."""
    is_rating = events.types == schema.EVENT_TYPES.index("rate")
    return events.where(is_rating & (events.values >= LEAST) & (events.values <= MOST))


def star_biases(rated: Interactions) -> StarBiases:
    """Fits the biases to ratings, at least one, by least squares with shrinkage, users and items in turn."""
    users, items = np.zeros(len(rated.user_ids)), np.zeros(rated.items)
    mean = float(rated.values.mean())
    for _ in range(_ROUNDS):
        items = _shrunken(rated.item_rows, rated.values - mean - users[rated.users], rated.items)
        users = _shrunken(rated.users, rated.values - mean - items[rated.item_rows], len(users))
    return StarBiases(mean, users, items)


def _shrunken(groups: npt.NDArray[np.int64], rest: Floats, count: int) -> Floats:
    sums = np.bincount(groups, rest, minlength=count)
    found: Floats = sums / (np.bincount(groups, minlength=count) + _SHRINKAGE)
    return found
