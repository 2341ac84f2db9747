"""Who bought what and when, as columns of numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interactions:
    """The events of named users before a moment.

    Args:
      user_ids: strings [users].
      items: size of the catalogue.
      end: seconds since 1970 UTC; every event is before it.
      users: int64 [events], places in `user_ids`.
      item_rows: int64 [events], rows of the catalogue.
      timestamps: int64 [events], seconds since 1970 UTC.
      orders: int64 [events], equal where one user's events belong to one order.
      quantities: [events], pieces; 1 where the table does not say.
      prices: [events], of one piece; NaN where the table does not say.
      values: [events], stars of a rating; NaN where the table does not say.
      types: int64 [events], places in `schema.EVENT_TYPES`.
    """

    user_ids: pa.Array
    items: int
    end: int
    users: Rows
    item_rows: Rows
    timestamps: Rows
    orders: Rows
    quantities: Floats
    prices: Floats
    values: Floats
    types: Rows

    def __len__(self) -> int:
        return len(self.users)

    def before(self, end: int) -> Interactions:
        """Returns the events before a moment; users keep their places."""
        return dataclasses.replace(self.where(self.timestamps < end), end=end)

    def since(self, start: int) -> Interactions:
        """Returns the events from a moment on; users keep their places."""
        return self.where(self.timestamps >= start)

    def where(self, keep: npt.NDArray[np.bool_]) -> Interactions:
        """Returns the events where `keep` [events] is true; users keep their places."""
        columns = ("users", "item_rows", "timestamps", "orders", "quantities", "prices", "values", "types")
        return dataclasses.replace(self, **{name: getattr(self, name)[keep] for name in columns})

    def matrix(self, weights: Floats | None = None) -> Any:
        """Sums events by user and item: a sparse float32 matrix [users, items].

        Args:
          weights: [events]; without, each event counts 1.
        """
        values = np.ones(len(self)) if weights is None else weights
        shape = (len(self.user_ids), self.items)
        summed = scipy.sparse.csr_matrix((values, (self.users, self.item_rows)), shape, dtype=np.float64)
        summed.sum_duplicates()
        return summed.astype(np.float32)

    def places(self, user_ids: Sequence[str]) -> Rows:
        """Finds users by their ids, -1 for those without an event, [n]."""
        found = pc.index_in(pa.array(user_ids, pa.string()), value_set=self.user_ids)
        return pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)


def presence(matrix: Any) -> Any:
    """Returns a sparse matrix with 1 wherever the given one has a value."""
    ones = matrix.copy()
    ones.data = np.ones_like(ones.data)
    return ones
