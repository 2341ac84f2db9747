"""The events before the judged window, read from the tables as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

Rows = npt.NDArray[np.int64]

SECONDS_A_DAY = 86_400
_COLUMNS = ["user_id", "item_id", "timestamp", "event_type"]


@dataclass(frozen=True)
class EventBatch:
    """Some events, column by column.

    Args:
      user_ids: str [events], "" for an anonymous visitor.
      item_rows: int64 [events], rows of the log's `item_ids`.
      timestamps: int64 [events], seconds since 1970 UTC.
    """

    user_ids: npt.NDArray[np.str_]
    item_rows: Rows
    timestamps: Rows


class EventLog:
    """What a simple rival may learn from: the truth events of catalogue items before the judged window.

    Args:
      tables_dir: a table folder, as the pipeline writes it.
      item_ids: str [items], the catalogue, sorted.
      end: seconds since 1970 UTC; events at or after it are never read.
      event_types: the event types that count.
    """

    def __init__(self, tables_dir: str, item_ids: Sequence[str], *, end: int, event_types: Sequence[str]) -> None:
        self.item_ids = item_ids
        self.end = end
        self._files = sorted(Path(tables_dir, "events").glob("bucket-*.parquet"))
        if not self._files:
            raise FileNotFoundError(f"{tables_dir}/events: expected files bucket-*.parquet there, found none")
        self._event_types = pa.array(list(event_types), pa.string())
        self._item_index = pa.array(item_ids, pa.string())

    def batches(self) -> Iterator[EventBatch]:
        """Yields the events in bounded batches; those of one user need not be together."""
        for path in self._files:
            for record_batch in pq.ParquetFile(path).iter_batches(columns=_COLUMNS):
                table = pa.Table.from_batches([record_batch])
                rows = pc.index_in(table["item_id"], value_set=self._item_index)
                keep = pc.and_(
                    pc.and_(pc.is_in(table["event_type"], value_set=self._event_types), pc.is_valid(rows)),
                    pc.less(table["timestamp"], self.end),
                )
                table = table.set_column(1, "item_id", rows).filter(keep)
                if len(table):
                    yield EventBatch(
                        user_ids=np.array(table["user_id"].to_pylist(), np.str_),
                        item_rows=table["item_id"].to_numpy().astype(np.int64),
                        timestamps=table["timestamp"].to_numpy().astype(np.int64),
                    )

    def item_counts(self, days: int | None = None) -> Rows:
        """Counts the events of each item, [items].

        Args:
          days: only the last so many before `end`; all of them without.
        """
        start = None if days is None else self.end - days * SECONDS_A_DAY
        counts = np.zeros(len(self.item_ids), np.int64)
        for batch in self.batches():
            rows = batch.item_rows if start is None else batch.item_rows[batch.timestamps >= start]
            counts += np.bincount(rows, minlength=len(counts))
        return counts
