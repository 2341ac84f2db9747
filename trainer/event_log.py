"""The events before the judged window, read from the tables as arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import schema
from pipeline.config import Config
from trainer.days import DAY, midnight
from trainer.interactions import Interactions

Rows = npt.NDArray[np.int64]

_NEEDED = {"item_id": pa.int32(), "timestamp": pa.int64(), "event_type": pa.string()}
_OPTIONAL = {
    "user_id": pa.string(),
    "order_id": pa.string(),
    "quantity": pa.float64(),
    "price": pa.float64(),
    "value": pa.float64(),
}
_NOTHING = pa.table({name: pa.array([], kind) for name, kind in {**_NEEDED, **_OPTIONAL}.items()})


class EventLog:
    """What a simple rival may learn from: the truth events of catalogue items before the judged window.

    Args:
      tables_dir: a table folder, as the pipeline writes it.
      item_ids: str [items], the catalogue, sorted.
      end: seconds since 1970 UTC; events at or after it are never read.
      event_types: the event types that count.
    """

    def __init__(self, tables_dir: str, item_ids: Sequence[str], *, end: int, event_types: Sequence[str]) -> None:
        self.tables_dir = tables_dir
        self.item_ids = item_ids
        self.end = end
        self._files = sorted(Path(tables_dir, "events").glob("bucket-*.parquet"))
        if not self._files:
            raise FileNotFoundError(f"{tables_dir}/events: expected files bucket-*.parquet there, found none")
        self._event_types = pa.array(list(event_types), pa.string())
        self._item_index = pa.array(item_ids, pa.string())

    def item_counts(self, days: int | None = None) -> Rows:
        """Counts the events of each item, anonymous visitors' too, [items].

        Args:
          days: only the last so many before `end`; all of them without.
        """
        start = None if days is None else self.end - days * DAY
        counts = np.zeros(len(self.item_ids), np.int64)
        for table in self._batches():
            rows = _numbers(table["item_id"])
            recent = rows if start is None else rows[_numbers(table["timestamp"]) >= start]
            counts += np.bincount(recent, minlength=len(counts))
        return counts

    @cached_property
    def interactions(self) -> Interactions:
        """The events of named users as columns, 64 bytes an event; read once."""
        parts = [_NOTHING, *self._batches(tuple(_OPTIONAL))]
        events = pa.concat_tables([_named(part) for part in parts]).unify_dictionaries().combine_chunks()
        user_ids, users = _codes(events["user_id"])
        order_ids, orders = _codes(events["order_id"])
        timestamps = _numbers(events["timestamp"])
        named_orders = pc.not_equal(order_ids, "").to_numpy(zero_copy_only=False)[orders]
        return Interactions(
            user_ids=user_ids,
            items=len(self.item_ids),
            end=self.end,
            users=users,
            item_rows=_numbers(events["item_id"]),
            timestamps=timestamps,
            # What names no order was ordered with whatever came at the same moment.
            orders=np.where(named_orders, orders, len(order_ids) + timestamps),
            quantities=pc.fill_null(events["quantity"], 1.0).to_numpy(),
            prices=pc.fill_null(events["price"], np.nan).to_numpy(),
            values=pc.fill_null(events["value"], np.nan).to_numpy(),
            types=_numbers(pc.index_in(events["event_type"], value_set=pa.array(schema.EVENT_TYPES, pa.string()))),
        )

    def _batches(self, optional: Sequence[str] = ()) -> Iterator[pa.Table]:
        """Yields the events in bounded batches, items as rows; those of one user need not be together.

        Args:
          optional: further columns; nulls where the tables have none.
        """
        for path in self._files:
            file = pq.ParquetFile(path)
            there = set(optional).intersection(file.schema_arrow.names)
            for record_batch in file.iter_batches(columns=[*_NEEDED, *sorted(there)]):
                table = pa.Table.from_batches([record_batch])
                rows = pc.index_in(table["item_id"], value_set=self._item_index)
                keep = pc.and_(
                    pc.and_(pc.is_in(table["event_type"], value_set=self._event_types), pc.is_valid(rows)),
                    pc.less(table["timestamp"], self.end),
                )
                table = table.set_column(table.schema.get_field_index("item_id"), "item_id", rows)
                for name in set(optional) - there:
                    table = table.append_column(name, pa.nulls(len(table), _OPTIONAL[name]))
                yield table.select([*_NEEDED, *optional]).filter(keep)


def _named(table: pa.Table) -> pa.Table:
    """Keeps the events of named users, their ids and orders dictionary-encoded."""
    named = table.filter(pc.not_equal(pc.fill_null(table["user_id"], ""), ""))
    for name in ("user_id", "order_id"):
        encoded = pc.dictionary_encode(pc.fill_null(named[name], ""))
        named = named.set_column(named.schema.get_field_index(name), name, encoded)
    return named


def _numbers(column: pa.ChunkedArray) -> Rows:
    return column.to_numpy().astype(np.int64)


def _codes(column: pa.ChunkedArray) -> tuple[pa.Array, Rows]:
    """Splits a dictionary column into its values and the codes of its rows."""
    encoded = column.combine_chunks()
    encoded = encoded if isinstance(encoded, pa.Array) else encoded.chunk(0)
    return encoded.dictionary, encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def learned_purchases(tables_dir: str, item_ids: Sequence[str], config: Config) -> Interactions:
    """Reads all truth events that the final towers learn from; they end with the last of them.

    Args:
      tables_dir: a table folder.
      item_ids: str [items], the catalogue, sorted.
      config: of the shop.
    """
    split = config.split
    log = EventLog(tables_dir, item_ids, end=midnight(split.test_start), event_types=split.truth_events)
    bought = log.interactions
    last = int(bought.timestamps.max()) if len(bought) else bought.end - 1
    return dataclasses.replace(bought, end=min(bought.end, last + 1))
