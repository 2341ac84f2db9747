"""What is known of each item at a moment: how many buy it, since when, how often again."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trainer.days import DAY
from trainer.interactions import Interactions

Table = npt.NDArray[np.float32]

BUYER_DAYS = (3, 7, 14, 30, 90)
NAMES = (
    *(f"buyers_{days}d" for days in BUYER_DAYS),
    "buyers",
    "trend_week",
    "trend_month",
    "trend_year",
    "age_days",
    "idle_days",
    "rebought_share",
    "orders_per_buyer",
    "interval_days",
    "newcomer_share",
)
# A trend of an item that hardly anybody buys says nothing: it is drawn towards zero as if one more had not bought.
_ONE = 1.0


def item_statistics(bought: Interactions) -> Table:
    """Computes the statistics of every item.

    Args:
      bought: the truth events before the moment.

    Returns:
      [items, len(NAMES)] float32; NaN where an item has nothing to say: no sale, or no interval.
    """
    pairs = _Pairs(bought)
    buyers = {days: pairs.buyers_since(bought.end - days * DAY) for days in BUYER_DAYS}
    ever = np.bincount(pairs.rows, minlength=bought.items).astype(np.float64)
    month, quarter = buyers[30], buyers[90]
    first, last = _ends(bought)
    newcomers = np.bincount(pairs.rows[pairs.first >= bought.end - 30 * DAY], minlength=bought.items)
    columns = [
        *buyers.values(),
        ever,
        buyers[7] / (month + _ONE) * (30 / 7),
        month / (quarter + _ONE) * 3.0,
        month / (ever + _ONE),
        (bought.end - first) / DAY,
        (bought.end - last) / DAY,
        _mean_of(pairs.rows, (pairs.orders > 1).astype(np.float64), ever),
        _mean_of(pairs.rows, pairs.orders, ever),
        pairs.median_intervals(),
        newcomers / (month + _ONE),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


class _Pairs:
    """The distinct (user, item) pairs: orders, first and last moment."""

    def __init__(self, bought: Interactions) -> None:
        self._bought = bought
        keys = bought.users * bought.items + bought.item_rows
        order = np.lexsort((bought.timestamps, keys))
        keys, times = keys[order], bought.timestamps[order]
        starts = np.flatnonzero(np.diff(keys, prepend=-1))
        ends = np.append(starts[1:], len(keys)) - 1
        self.rows = keys[starts] % bought.items if len(starts) else np.zeros(0, np.int64)
        self.first, self.last = times[starts], times[ends] if len(starts) else times[starts]
        # Lines of one moment are one order.
        fresh = (np.diff(keys, prepend=-1) != 0) | (np.diff(times, prepend=-1) != 0)
        self.orders = np.add.reduceat(fresh, starts).astype(np.float64) if len(starts) else np.zeros(0)

    def buyers_since(self, start: int) -> npt.NDArray[np.float64]:
        """Counts the users that bought each item since a moment, [items]."""
        return np.bincount(self.rows[self.last >= start], minlength=self._bought.items).astype(np.float64)

    def median_intervals(self) -> npt.NDArray[np.float64]:
        """Days between two orders of an item by one user, the median over those who came again, [items]."""
        again = self.orders > 1
        days = (self.last - self.first)[again] / (self.orders[again] - 1) / DAY
        rows = self.rows[again]
        order = np.lexsort((days, rows))
        rows, days = rows[order], days[order]
        found, starts, counts = np.unique(rows, return_index=True, return_counts=True)
        medians = np.full(self._bought.items, np.nan)
        medians[found] = (days[starts + (counts - 1) // 2] + days[starts + counts // 2]) / 2
        return medians


def _ends(bought: Interactions) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    first, last = np.full(bought.items, np.inf), np.full(bought.items, -np.inf)
    np.minimum.at(first, bought.item_rows, bought.timestamps)
    np.maximum.at(last, bought.item_rows, bought.timestamps)
    unsold = ~np.isfinite(first)
    first[unsold] = last[unsold] = np.nan
    return first, last


def _mean_of(
    rows: npt.NDArray[np.int64], values: npt.NDArray[np.float64], counts: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    sums = np.bincount(rows, values, minlength=len(counts))
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
