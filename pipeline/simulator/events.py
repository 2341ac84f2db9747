"""Simulated events in columns, before they become rows of text."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from pipeline import schema
from pipeline.simulator.arrays import Ints, Mask

SEARCH, VIEW, CLICK, CART, PURCHASE, RATE = range(6)  # the stages of a visit, in their order
EVENT_TYPES = ("search", "view", "click", "cart", "purchase", "rate")
assert set(EVENT_TYPES) == set(schema.EVENT_TYPES)

# Query forms: which words of the wanted item the query holds, before its noun. 0 is no query.
QUERY_FORMS = ((), (), ("material",), ("tone",), ("style",), ("tone", "material"), ("style", "tone"))


@dataclass(frozen=True)
class Rebuys:
    """Purchases that customers will make because something is used up; all `[rebuys]`."""

    due_s: Ints
    user: Ints
    item: Ints

    @staticmethod
    def none() -> Rebuys:
        """Returns an empty one."""
        return Rebuys(*(np.empty(0, np.int64) for _ in fields(Rebuys)))

    def where(self, mask: Mask) -> Rebuys:
        """Returns the marked ones."""
        return Rebuys(*(getattr(self, field.name)[mask] for field in fields(self)))

    def join(self, other: Rebuys) -> Rebuys:
        """Returns both, these first."""
        return Rebuys(*(np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)))


@dataclass(frozen=True)
class Events:
    """Events in columns, all `[events]`; -1 stands for nobody, no item and no session.

    Args:
      timestamp: seconds since 1970 UTC.
      stage: index into `EVENT_TYPES`.
      user, item: rows of the customers and the catalogue.
      country: index into `COUNTRIES`.
      session: number of the session.
      quantity: pieces, 0 where it says nothing.
      stars: 1..5 of a rating, else 0.
      query_item, query_form: the item whose words the query holds, and index into `QUERY_FORMS`.
    """

    timestamp: Ints
    stage: Ints
    user: Ints
    item: Ints
    country: Ints
    session: Ints
    quantity: Ints
    stars: Ints
    query_item: Ints
    query_form: Ints

    def __len__(self) -> int:
        return len(self.timestamp)

    def take(self, rows: Ints | slice | Mask) -> Events:
        """Returns the given rows."""
        return Events(*(getattr(self, field.name)[rows] for field in fields(self)))

    @staticmethod
    def join(parts: list[Events]) -> Events:
        """Returns all parts, one after the other."""
        if not parts:
            return Events(*(np.empty(0, np.int64) for _ in fields(Events)))
        return Events(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Events)))
