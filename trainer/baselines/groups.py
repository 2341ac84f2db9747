"""Sums, extremes and medians of events, group by group."""

from __future__ import annotations

import numpy as np

from trainer.interactions import Floats, Interactions, Rows


class Groups:
    """Events summed up by a key.

    Args:
      interactions: the events.
      keys: int64 [events].
    """

    def __init__(self, interactions: Interactions, keys: Rows) -> None:
        self._keys, groups = np.unique(keys, return_inverse=True)
        count = len(self._keys)
        order = np.lexsort((interactions.timestamps, groups))
        lines = np.bincount(groups, minlength=count)
        ends = np.cumsum(lines)
        times = interactions.timestamps[order].astype(np.float64)
        distinct = np.unique(np.stack([groups, interactions.users, interactions.orders], axis=1), axis=0)
        self._columns: dict[str, Floats] = {
            "lines": lines.astype(np.float64),
            "orders": np.bincount(distinct[:, 0], minlength=count).astype(np.float64),
            "pieces": np.bincount(groups, interactions.quantities, count).astype(np.float64),
            "first": times[ends - lines],
            "last": times[ends - 1],
            "price": medians(interactions.prices, groups, count),
        }

    def find(self, keys: Rows) -> dict[str, Floats]:
        """Looks groups up.

        Args:
          keys: int64 [n].

        Returns:
          `lines`, `orders`, `pieces`, `first` and `last` (seconds since 1970 UTC) and the median `price`, [n] each,
          NaN for a key without an event.
        """
        if not len(self._keys):
            return {name: np.full(len(keys), np.nan) for name in self._columns}
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        known = self._keys[places] == keys
        return {name: np.where(known, values[places], np.nan) for name, values in self._columns.items()}


def medians(values: Floats, groups: Rows, count: int) -> Floats:
    """Finds the median of each group, values that are NaN left out, [count]; NaN where none is left.

    Args:
      values: [n].
      groups: int64 [n], below `count`.
      count: number of groups.
    """
    known = ~np.isnan(values)
    values, groups = values[known], groups[known]
    ordered = values[np.lexsort((values, groups))]
    sizes = np.bincount(groups, minlength=count)
    starts = np.cumsum(sizes) - sizes
    middles = np.full(count, np.nan)
    some = sizes > 0
    low, high = starts + (sizes - 1) // 2, starts + sizes // 2
    middles[some] = (ordered[low[some]] + ordered[high[some]]) / 2
    return middles
