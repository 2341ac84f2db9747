"""Events by visitor: each part of the source writes its share of every bucket, then each bucket is merged.

A bucket holds all events of its visitors, so histories never look into another file; and it is small
enough to be sorted in memory, so that memory does not grow with the number of events.
"""

from __future__ import annotations

import math
import zlib
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.cleaning.rules import VISITOR

BUCKET_ROWS = 65_536
MAX_BUCKETS = 256  # each part keeps one file open per bucket

_PARTS = ".parts"
_FIRST_SEEN = "first-seen"
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: neighbouring seconds fall far apart


def buckets_for(rows: int) -> int:
    """The number of buckets for about `rows` events."""
    return max(1, min(MAX_BUCKETS, math.ceil(rows / BUCKET_ROWS)))


def add_visitor(events: pa.Table) -> pa.Table:
    """Appends the column `visitor`: the user, else the session, else "" for an event that is nobody's.

    Args:
      events: canonical columns, `[rows]`.
    """
    session = events["session_id"]
    named = pc.binary_join_element_wise("session:", session, "")
    anonymous = pc.if_else(pc.equal(session, ""), "", named)
    user = events["user_id"]
    return events.append_column(VISITOR, pc.if_else(pc.equal(user, ""), anonymous, user))


class Fragments:
    """Writes one part's events, split by bucket; a context manager.

    Args:
      folder: the table folder.
      part: the part's index.
      buckets: number of buckets.
    """

    def __init__(self, folder: Path, part: int, buckets: int) -> None:
        self._folder = folder / "events" / _PARTS / f"part-{part:05d}"
        self._buckets = buckets
        self._writers: dict[int, Any] = {}
        self._open = ExitStack()

    def __enter__(self) -> Fragments:
        self._folder.mkdir(parents=True, exist_ok=True)
        for stale in self._folder.iterdir():  # what an interrupted import left
            stale.unlink()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def write(self, events: pa.Table) -> None:
        """Adds events with a `visitor`, `[rows]`, in the order of the source."""
        events = events.combine_chunks()
        buckets = bucket_of(events[VISITOR], events["timestamp"], self._buckets)
        order = np.argsort(buckets, kind="stable")
        ends = np.cumsum(np.bincount(buckets, minlength=self._buckets))
        events = events.take(pa.array(order))
        start = 0
        for bucket, end in enumerate(ends.tolist()):
            if end > start:
                self._writer(bucket, events.schema).write_table(events.slice(start, end - start))
            start = end

    def _writer(self, bucket: int, columns: pa.Schema) -> Any:
        if bucket not in self._writers:
            path = self._folder / f"bucket-{bucket:05d}.arrow"
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            sink = self._open.enter_context(pa.OSFile(str(path), "wb"))
            self._writers[bucket] = self._open.enter_context(pa.ipc.new_stream(sink, columns, options=options))
        return self._writers[bucket]


def bucket_of(visitors: pa.ChunkedArray, timestamps: pa.ChunkedArray, buckets: int) -> npt.NDArray[np.int64]:
    """The bucket of each event: by its visitor, or by its second where it is nobody's.

    The same on every machine and in every run.

    Args:
      visitors: strings, `[rows]`.
      timestamps: int64 seconds, `[rows]`.
      buckets: number of buckets.

    Returns:
      Numbers below `buckets`, `[rows]`.
    """
    encoded = visitors.combine_chunks().dictionary_encode()
    names = encoded.dictionary.to_pylist()
    hashes = np.fromiter((zlib.crc32(name.encode()) for name in names), np.uint64, len(names))
    keys = hashes[encoded.indices.to_numpy()] if names else np.zeros(0, np.uint64)
    nobody = names.index("") if "" in names else -1
    seconds = timestamps.to_numpy().astype(np.uint64) * _SPREAD >> np.uint64(32)
    keys = np.where(encoded.indices.to_numpy() == nobody, seconds, keys)
    return (keys % np.uint64(buckets)).astype(np.int64)


def read_fragments(folder: Path, bucket: int, columns: pa.Schema) -> pa.Table:
    """One bucket's events of all parts, by visitor and time, else in the order of the source.

    Args:
      folder: the table folder.
      bucket: which one.
      columns: the columns to expect where no part has an event.
    """
    tables = [columns.empty_table()]
    for path in sorted((folder / "events" / _PARTS).glob(f"part-*/bucket-{bucket:05d}.arrow")):
        with pa.OSFile(str(path)) as file:
            tables.append(pa.ipc.open_stream(file).read_all())
    events = pa.concat_tables(tables)
    return events.take(pa.array(_order(events)))


def write_bucket(folder: Path, bucket: int, events: pa.Table) -> None:
    """Writes a merged bucket, and beside the parts when each of its items was first met."""
    pq.write_table(events, folder / "events" / f"bucket-{bucket:05d}.parquet")
    seen = events.filter(pc.not_equal(events["item_id"], ""))
    first = seen.group_by("item_id").aggregate([("timestamp", "min")])
    pq.write_table(first, folder / "events" / _PARTS / f"{_FIRST_SEEN}-{bucket:05d}.parquet")


def read_first_seen(folder: Path) -> pa.Table:
    """When each item was first met in any bucket: `item_id` and `first_seen`, `[items]`."""
    paths = sorted((folder / "events" / _PARTS).glob(f"{_FIRST_SEEN}-*.parquet"))
    first = pa.concat_tables([pq.read_table(path) for path in paths])
    first = first.group_by("item_id").aggregate([("timestamp_min", "min")])
    return first.rename_columns(["first_seen" if name != "item_id" else name for name in first.column_names])


def parts_folder(folder: Path) -> Path:
    """Where the parts' shares lie until all buckets are merged."""
    return folder / "events" / _PARTS


def _order(events: pa.Table) -> npt.NDArray[np.int64]:
    encoded = events[VISITOR].combine_chunks().dictionary_encode()
    names = np.array(encoded.dictionary.to_pylist(), dtype=object)
    ranks = np.empty(len(names), np.int64)
    ranks[np.argsort(names, kind="stable")] = np.arange(len(names))
    codes = ranks[encoded.indices.to_numpy()] if len(names) else np.zeros(0, np.int64)
    return np.lexsort((events["timestamp"].to_numpy(), codes))
