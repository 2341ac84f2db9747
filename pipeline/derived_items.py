"""A catalogue from the events alone: what each item is mostly called, what it mostly costs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

_TEXTS = ("title", "description", "brand", "category")
_COMPACT_ROWS = 500_000


class DerivedItems:
    """Gathers how often each item comes with each title and price, a batch at a time.

    Memory grows with the distinct pairs of item and value, not with the events.

    Args:
      before: events at or after this moment, in seconds since 1970, do not count.
    """

    def __init__(self, before: int) -> None:
        self._before = before
        self._texts = {name: _ValueCounts(name) for name in _TEXTS}
        self._prices = _ValueCounts("price")

    def add(self, events: pa.Table) -> None:
        """Counts kept events with canonical columns, `[rows]`."""
        counted = pc.and_(pc.less(events["timestamp"], self._before), pc.not_equal(events["item_id"], ""))
        events = events.filter(counted)
        for name, counts in self._texts.items():
            if name in events.column_names:
                counts.add(events)
        self._prices.add(events)

    def table(self) -> pa.Table:
        """The items by id: the commonest text of each column (of several the first by letter), the median price."""
        prices = _median_prices(self._prices.result())
        items = pd.DataFrame({"price": prices})
        for name, counts in self._texts.items():
            items[name] = _commonest(counts.result(), name).reindex(items.index).fillna("")
        items = items.sort_index()
        columns = {name: pa.array(items[name].to_numpy(dtype=object), pa.string()) for name in _TEXTS}
        ids = pa.array(items.index.to_numpy(dtype=object), pa.string())
        return pa.table({"item_id": ids, **columns, "price": pa.array(items["price"].to_numpy(np.float64))})


class _ValueCounts:
    """How often each pair of item and value was met."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tables: list[pa.Table] = []
        self._rows = 0
        self._limit = _COMPACT_ROWS

    def add(self, events: pa.Table) -> None:
        pairs = events.select(["item_id", self._name])
        pairs = pairs.append_column("count", pa.array(np.ones(len(pairs), np.int64)))
        self._tables.append(_sum(pairs, self._name))
        self._rows += len(self._tables[-1])
        if self._rows > self._limit:
            self._tables = [_sum(pa.concat_tables(self._tables), self._name)]
            self._rows = len(self._tables[0])
            self._limit = max(_COMPACT_ROWS, 2 * self._rows)

    def result(self) -> pd.DataFrame:
        if not self._tables:
            return pd.DataFrame({"item_id": [], self._name: [], "count": []})
        return _sum(pa.concat_tables(self._tables), self._name).to_pandas()


def _sum(pairs: pa.Table, name: str) -> pa.Table:
    summed = pairs.group_by(["item_id", name]).aggregate([("count", "sum")])
    return summed.rename_columns([column.removesuffix("_sum") for column in summed.column_names])


def _commonest(counts: pd.DataFrame, name: str) -> pd.Series:
    given = counts[counts[name] != ""]
    ranked = given.sort_values(["item_id", "count", name], ascending=[True, False, True])
    return ranked.drop_duplicates("item_id").set_index("item_id")[name]


def _median_prices(counts: pd.DataFrame) -> pd.Series:
    """The median of each item's prices, each as often as it was met; NaN where none is known."""
    known = counts[counts["price"].notna()].sort_values(["item_id", "price"])
    items = pd.Index(counts["item_id"].unique())
    totals = known.groupby("item_id", sort=True)["count"].sum()
    ends = known["count"].cumsum().to_numpy()
    starts = totals.cumsum().to_numpy() - totals.to_numpy()
    prices = known["price"].to_numpy()

    def at(position: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        found: npt.NDArray[np.float64] = prices[np.searchsorted(ends, starts + position, side="right")]
        return found

    middle = (at((totals.to_numpy() - 1) // 2) + at(totals.to_numpy() // 2)) / 2
    return pd.Series(middle, index=totals.index).reindex(items)
