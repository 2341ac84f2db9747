"""What the report must know about the catalogue's items, read from the tables."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import schema

Rows = npt.NDArray[np.int64]

UNKNOWN = "unknown"
_PRICE_BUCKETS = 10


@dataclass(frozen=True)
class Items:
    """The catalogue, sorted by id.

    Args:
      ids: of the items, [items].
      groups: int64 [items], the place in `group_names` of each item's group.
      group_names: of the first parts of the category paths; where the shop has no categories, of price buckets.
      grouped_by: "category" or "price"; "" where all items are in one group.
      first_seen: int64 [items], first event, seconds since 1970 UTC, 0 without any; None where the table does not say.
    """

    ids: list[str]
    groups: Rows
    group_names: list[str]
    grouped_by: str
    first_seen: Rows | None


def read_items(tables_dir: str) -> Items:
    """Reads items.parquet; only the column of ids must be there."""
    file = Path(tables_dir, "items.parquet")
    names = {schema.RAW_ITEM_ID, "category", schema.RAW_PRICE, "first_seen"} & set(pq.read_schema(file).names)
    table = pq.read_table(file, columns=sorted(names))
    groups, group_names, grouped_by = _groups(table)
    first_seen = table["first_seen"].to_numpy().astype(np.int64) if "first_seen" in names else None
    return Items(table[schema.RAW_ITEM_ID].to_pylist(), groups, group_names, grouped_by, first_seen)


def _groups(table: pa.Table) -> tuple[Rows, list[str], str]:
    if "category" in table.column_names:
        paths = [path or "" for path in table["category"].to_pylist()]
        tops = [path.split(schema.CATEGORY_SEPARATOR)[0].strip() or UNKNOWN for path in paths]
        names, groups = np.unique(np.array(tops, np.str_), return_inverse=True)
        if len(names) > 1:
            return groups.astype(np.int64), names.tolist(), "category"
    if schema.RAW_PRICE in table.column_names:
        return _price_groups(np.nan_to_num(table[schema.RAW_PRICE].to_numpy().astype(np.float64)))
    return np.zeros(len(table), np.int64), [UNKNOWN], ""


def _price_groups(prices: npt.NDArray[np.float64]) -> tuple[Rows, list[str], str]:
    """Puts equally many items into each of ten buckets; those without a price into one of their own."""
    known = prices > 0
    if len(np.unique(prices[known])) < 2:
        return np.zeros(len(prices), np.int64), [UNKNOWN], ""
    inner = np.linspace(0.0, 1.0, _PRICE_BUCKETS + 1)[1:-1]
    edges = np.unique(np.quantile(prices[known], inner))
    groups = np.where(known, 1 + np.searchsorted(edges, prices), 0)
    names = [UNKNOWN, *_ranges(edges)]
    return groups.astype(np.int64), names, schema.RAW_PRICE


def _ranges(edges: npt.NDArray[Any]) -> list[str]:
    between = [f"over {low:g} to {high:g}" for low, high in itertools.pairwise(edges)]
    return [f"up to {edges[0]:g}", *between, f"over {edges[-1]:g}"]
