"""What a shop's past says about pairs of a user and an item, at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.baselines.ease import ease_weights
from trainer.baselines.groups import Groups
from trainer.days import DAY
from trainer.interactions import Floats, Interactions, Rows, presence

SPANS_DAYS = (7, 30, 90)
HALF_LIFE_DAYS = 60
MOST_LIKELY = 150  # candidates by EASE: so many of all items, and so many of those that the user never had
MOST_POPULAR = 100  # candidates by the events of the last 30 days

FEATURES = (
    "orders",  # of this item by this user
    "days_since_first",
    "days_since_last",
    "pieces",
    "ease",
    "ease_decayed",
    "buyers_7_days",
    "buyers_30_days",
    "buyers_90_days",
    "buyers",
    "trend_7_days",
    "trend_30_days",
    "price",
    "price_for_user",  # against the user's usual price
    "item_age_days",
    "item_idle_days",
    "user_orders",
    "user_breadth",  # distinct items
    "user_absence_days",
    "lines",  # events of this item and this user
    "days_between",  # the first and the last of them
)


@dataclass(frozen=True)
class Pairs:
    """Candidates.

    Args:
      places: int64 [pairs], place of the user in the question.
      rows: int64 [pairs], the item.
      features: float32 [pairs, FEATURES], NaN where there is nothing to say.
    """

    places: Rows
    rows: Rows
    features: npt.NDArray[np.float32]


class Past:
    """What is known at the end of some interactions.

    Args:
      interactions: the events up to that moment.
    """

    def __init__(self, interactions: Interactions) -> None:
        self._end, self._items = interactions.end, interactions.items
        self._counts = interactions.matrix()
        self._seen = presence(self._counts)
        ages = (interactions.end - interactions.timestamps) / DAY
        self._decayed = interactions.matrix(np.exp2(-ages / HALF_LIFE_DAYS))
        self._weights = ease_weights(self._seen)
        self._breadth = self._seen.getnnz(axis=1)
        recent = interactions.since(interactions.end - 30 * DAY)
        self._popular = np.argsort(-np.bincount(recent.item_rows, minlength=self._items), kind="stable")[:MOST_POPULAR]
        self._buyers = [_buyers(interactions.since(interactions.end - days * DAY)) for days in SPANS_DAYS]
        self._buyers.append(_buyers(interactions))
        self._of_pairs = Groups(interactions, interactions.users * self._items + interactions.item_rows)
        self._of_users = Groups(interactions, interactions.users)
        self._of_items = Groups(interactions, interactions.item_rows)

    @property
    def seen(self) -> Any:
        """Which user had which item: sparse float32 [users, items] of ones."""
        return self._seen

    @property
    def sold(self) -> npt.NDArray[np.bool_]:
        """Which items anybody had, [items]."""
        return self._buyers[-1] > 0

    def pairs(self, users: Rows) -> Pairs:
        """Finds candidates for users and what the past says about them.

        Args:
          users: int64 [n], places of users that had something.
        """
        likely = self._seen[users] @ self._weights
        chosen = self._candidates(likely, self._seen[users].toarray() > 0)
        places, rows = np.nonzero(chosen)
        decayed = (self._decayed[users] @ self._weights)[places, rows]
        return Pairs(places, rows, self._features(users[places], rows, likely[places, rows], decayed))

    def _candidates(self, likely: npt.NDArray[np.float32], seen: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        chosen = seen.copy()
        chosen[:, self._popular] = True
        for scores in (likely, np.where(seen, -np.inf, likely)):
            best = np.argpartition(-scores, min(MOST_LIKELY, self._items) - 1, axis=1)[:, :MOST_LIKELY]
            np.put_along_axis(chosen, best, True, axis=1)
        return chosen & self.sold

    def _features(self, users: Rows, rows: Rows, likely: Floats, decayed: Floats) -> npt.NDArray[np.float32]:
        pair = self._of_pairs.find(users * self._items + rows)
        user, item = self._of_users.find(users), self._of_items.find(rows)
        week, month, quarter, ever = (buyers[rows] for buyers in self._buyers)
        columns = {
            "orders": np.nan_to_num(pair["orders"]),
            "days_since_first": (self._end - pair["first"]) / DAY,
            "days_since_last": (self._end - pair["last"]) / DAY,
            "pieces": np.nan_to_num(pair["pieces"]),
            "ease": likely,
            "ease_decayed": decayed,
            "buyers_7_days": week,
            "buyers_30_days": month,
            "buyers_90_days": quarter,
            "buyers": ever,
            "trend_7_days": 30 / 7 * week / (month + 1),
            "trend_30_days": 3 * month / (quarter + 1),
            "price": item["price"],
            "price_for_user": item["price"] / np.where(user["price"] > 0, user["price"], np.nan),
            "item_age_days": (self._end - item["first"]) / DAY,
            "item_idle_days": (self._end - item["last"]) / DAY,
            "user_orders": user["orders"],
            "user_breadth": self._breadth[users],
            "user_absence_days": (self._end - user["last"]) / DAY,
            "lines": np.nan_to_num(pair["lines"]),
            "days_between": (pair["last"] - pair["first"]) / DAY,
        }
        return np.stack([columns[name] for name in FEATURES], axis=1).astype(np.float32)


def _buyers(interactions: Interactions) -> Rows:
    """Counts the users of each item, [items]."""
    buyers: Rows = interactions.matrix().getnnz(axis=0)
    return buyers
