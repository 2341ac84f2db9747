"""The texts of the items that words are looked up in, as the tables have them."""

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
from pipeline.config import SearchConfig

Texts = npt.NDArray[np.object_]


@dataclass(frozen=True)
class ItemTexts:
    """What search by words reads of the catalogue.

    Args:
      ids: str [items].
      columns: str [items] by name, those in which any item has a text; "" where unknown.
      documents: names of the columns that are read as one text, at least one of each; no two alike.
    """

    ids: Texts
    columns: dict[str, Texts]
    documents: tuple[tuple[str, ...], ...]

    def column(self, name: str) -> Texts:
        """Answers a column, str [items]; "" for every item where it has no text."""
        return self.columns[name] if name in self.columns else np.full(len(self.ids), "", object)


def read_item_texts(tables_dir: str, item_ids: Sequence[str] | Texts, config: SearchConfig) -> ItemTexts | None:
    """Reads the texts of the catalogue's items.

    Args:
      tables_dir: the table folder with `items.parquet`.
      item_ids: str [items], the catalogue.
      config: says which columns make which text.

    Returns:
      The texts, or None where no item has any.

    Raises:
      ValueError: if the table lacks an item of the catalogue.
    """
    file = Path(tables_dir, "items.parquet")
    there = set(pq.read_schema(file).names)
    table = pq.read_table(file, columns=["item_id", *sorted(there & set(schema.RAW_ITEM_TEXTS))])
    places = pc.index_in(pa.array(list(item_ids), pa.string()), value_set=table["item_id"])
    if places.null_count:
        row = int(np.flatnonzero(np.asarray(pc.is_null(places)))[0])
        raise ValueError(f"{file}: item '{item_ids[row]}' is missing; make items and tables in one run")
    table = table.take(places)
    texts = {name: pc.fill_null(table[name], "").to_pylist() for name in table.column_names if name != "item_id"}
    columns = {name: np.array(values, object) for name, values in texts.items() if any(map(str.strip, values))}
    documents = [tuple(name for name in names if name in columns) for names in config.texts]
    kept = tuple(dict.fromkeys(names for names in documents if names))
    return ItemTexts(np.array(list(item_ids), object), columns, kept) if kept else None
