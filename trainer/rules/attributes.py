"""What filters, caps and facets know of the items: price, brand, category, stock, rating, as the tables have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import schema

PRICE, BRAND, CATEGORY, STOCK = schema.RAW_PRICE, schema.ITEM_BRAND, schema.ITEM_CATEGORY, schema.ITEM_STOCK
RATING = schema.ITEM_RATING


@dataclass(frozen=True)
class ItemAttributes:
    """The columns of the items table that rules read, in the catalogue's order.

    Args:
      prices: float32 [items], in the shop's currency; 0 where unknown.
      brands: str [items], "" where unknown.
      categories: str [items], paths joined by ' > ', "" where unknown.
      stock: float32 [items], how many are in stock; NaN where unknown.
      ratings: float32 [items], mean stars; 0 where unknown. None: unknown for every item.
    """

    prices: npt.NDArray[np.float32]
    brands: npt.NDArray[np.object_]
    categories: npt.NDArray[np.object_]
    stock: npt.NDArray[np.float32]
    ratings: npt.NDArray[np.float32] | None = None

    @property
    def known(self) -> frozenset[str]:
        """The columns that say something of at least one item: only by these a request can filter."""
        said = {
            PRICE: bool((self.prices > 0).any()),
            BRAND: bool((self.brands != "").any()),
            CATEGORY: bool((self.categories != "").any()),
            STOCK: bool(np.isfinite(self.stock).any()),
            RATING: self.ratings is not None and bool((self.ratings > 0).any()),
        }
        return frozenset(name for name, any_known in said.items() if any_known)


def read_attributes(tables_dir: str, item_ids: Sequence[str] | npt.NDArray[np.object_]) -> ItemAttributes:
    """Reads the attributes of the catalogue's items.

    Args:
      tables_dir: the table folder with `items.parquet`; a column that it lacks is unknown for every item.
      item_ids: str [items], the catalogue.

    Returns:
      The attributes.

    Raises:
      ValueError: if the table lacks an item of the catalogue.
    """
    file = Path(tables_dir, "items.parquet")
    there = set(pq.read_schema(file).names)
    items = pq.read_table(file, columns=["item_id", *sorted(there & {PRICE, BRAND, CATEGORY, STOCK, RATING})])
    places = pc.index_in(pa.array(list(item_ids), pa.string()), value_set=items["item_id"])
    if places.null_count:
        row = int(np.flatnonzero(np.asarray(pc.is_null(places)))[0])
        raise ValueError(f"{file}: item '{item_ids[row]}' is missing; make items and tables in one run")
    items = items.take(places)

    def texts(name: str) -> npt.NDArray[np.object_]:
        return np.array(pc.fill_null(items[name], "").to_pylist() if name in there else [""] * len(items), object)

    def numbers(name: str, unknown: float) -> npt.NDArray[np.float32]:
        if name not in there:
            return np.full(len(items), unknown, np.float32)
        return pc.fill_null(items[name].cast(pa.float64()), unknown).to_numpy().astype(np.float32)

    return ItemAttributes(
        prices=numbers(PRICE, 0.0),
        brands=texts(BRAND),
        categories=texts(CATEGORY),
        stock=numbers(STOCK, np.nan),
        ratings=numbers(RATING, 0.0),
    )
