"""A catalogue from the events alone: what each item is mostly called, what it mostly costs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
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
        prices = self._prices.result()
        ids = pc.unique(prices["item_id"])
        ids = ids.take(pc.sort_indices(ids))
        texts = {name: _commonest(counts.result(), name, ids) for name, counts in self._texts.items()}
        untold = pa.nulls(len(ids), pa.float64())  # by events
        prices = _median_prices(prices, ids)
        return pa.table({"item_id": ids, **texts, "price": prices, "stock": untold, "rating": untold})


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

    def result(self) -> pa.Table:
        """The pairs and their `count`."""
        if not self._tables:
            kind = pa.float64() if self._name == "price" else pa.string()
            return pa.schema({"item_id": pa.string(), self._name: kind, "count": pa.int64()}).empty_table()
        return _sum(pa.concat_tables(self._tables), self._name)


def _sum(pairs: pa.Table, name: str) -> pa.Table:
    summed = pairs.group_by(["item_id", name]).aggregate([("count", "sum")])
    return summed.rename_columns([column.removesuffix("_sum") for column in summed.column_names])


def _commonest(pairs: pa.Table, name: str, ids: pa.Array) -> pa.Array:
    """Each item's commonest text, the first by letter of several; "" where it has none, `[items]`."""
    given = pairs.filter(pc.not_equal(pairs[name], ""))
    ranked = [("item_id", "ascending"), ("count", "descending"), (name, "ascending")]
    given = given.take(pc.sort_indices(given, ranked))
    best = pc.index_in(ids, value_set=given["item_id"])  # the first of an item's rows
    return pc.fill_null(given[name].combine_chunks().take(best), "")


def _median_prices(pairs: pa.Table, ids: pa.Array) -> pa.Array:
    """The median of each item's prices, each as often as it was met; NaN where none is known, `[items]`."""
    known = pairs.filter(pc.invert(pc.is_nan(pairs["price"])))
    known = known.take(pc.sort_indices(known, [("item_id", "ascending"), ("price", "ascending")]))
    counts, prices = known["count"].to_numpy(), known["price"].to_numpy()
    codes = pc.index_in(known["item_id"], value_set=ids).to_numpy()
    totals = np.bincount(codes, weights=counts, minlength=len(ids)).astype(np.int64)
    ends, starts = np.cumsum(counts), np.cumsum(totals) - totals
    priced = totals > 0

    def at(position: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        found: npt.NDArray[np.float64] = prices[np.searchsorted(ends, (starts + position)[priced], side="right")]
        return found

    medians = np.full(len(ids), np.nan)
    medians[priced] = (at((totals - 1) // 2) + at(totals // 2)) / 2
    return pa.array(medians)
