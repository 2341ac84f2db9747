"""Who did what before which moment: the history index over one bucket of events.

A bucket's rows are sorted by (visitor, timestamp). History is what lies strictly before a moment:
rows that share their timestamp (one basket) are not each other's history.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.windows import SECONDS_PER_DAY

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

PAD = -1


class Timelines:
    """The visitors of one bucket and the places of their item events.

    Args:
      events: a bucket, sorted by (visitor, timestamp).

    Raises:
      ValueError: if it is not sorted so.
    """

    def __init__(self, events: pa.Table) -> None:
        self.timestamps = events["timestamp"].to_numpy().astype(np.int64, copy=False)
        rows = len(self.timestamps)
        visitors = plain(events["visitor"])
        new_visitor = _starts(visitors)
        if int(new_visitor.sum()) != len(pc.unique(visitors)):
            raise ValueError("expected a bucket sorted by (visitor, timestamp), got rows of one visitor apart")
        # A visitor nobody can name again ("") is a stranger in every row.
        new_visitor |= pc.equal(visitors, "").to_numpy(zero_copy_only=False)
        new_moment = new_visitor.copy()
        new_moment[1:] |= np.diff(self.timestamps) != 0
        if np.any(np.diff(self.timestamps)[~new_visitor[1:]] < 0):
            raise ValueError("expected a bucket sorted by (visitor, timestamp), got a timestamp after a later one")
        #: [visitors] first row of each visitor
        self.visitor_starts = np.flatnonzero(new_visitor)
        #: [visitors] row after the last of each visitor
        self.visitor_ends = np.append(self.visitor_starts[1:], rows).astype(np.int64)
        #: [rows] number of the row's visitor
        self.visitor_of = np.cumsum(new_visitor) - 1
        #: [rows] first row of the same visitor and timestamp
        self.moment_starts = np.flatnonzero(new_moment)[np.cumsum(new_moment) - 1]
        has_item = pc.not_equal(plain(events["item_id"]), "").to_numpy(zero_copy_only=False)
        #: [item events] rows that name an item
        self.item_rows = np.flatnonzero(has_item)
        self._items_before = np.append(0, np.cumsum(has_item))

    def rows_before(self, timestamp: int) -> Ints:
        """Returns, for each visitor, the first row at or after `timestamp`: int64 `[visitors]`."""
        earlier = np.append(0, np.cumsum(self.timestamps < timestamp))
        return self.visitor_starts + earlier[self.visitor_ends] - earlier[self.visitor_starts]

    def newest(self, visitors: Ints, ends: Ints, length: int) -> tuple[Ints, Ints]:
        """Finds the newest item events of visitors before given rows.

        Args:
          visitors: int64 `[n]`, numbers of visitors.
          ends: int64 `[n]`, rows before which to look, within the visitor's rows or one after.
          length: at most so many.

        Returns:
          (first, last), int64 `[n]` each: the history is `item_rows[first:last]`, oldest first.
        """
        last = self._items_before[ends]
        first = np.maximum(self._items_before[self.visitor_starts[visitors]], last - length)
        return first, last

    def padded(self, first: Ints, last: Ints, length: int) -> Ints:
        """Lays histories out newest first: rows of events int64 `[n, length]`, `PAD` after the oldest."""
        places = last[:, None] - 1 - np.arange(length)
        if not len(self.item_rows):
            return np.full(places.shape, PAD, np.int64)
        return np.where(places >= first[:, None], self.item_rows[np.maximum(places, 0)], PAD)

    def ragged(self, first: Ints, last: Ints) -> tuple[Ints, Ints]:
        """Lays histories out newest first: (offsets int32 `[n + 1]`, rows of events int64 `[total]`)."""
        lengths = last - first
        offsets = np.append(0, np.cumsum(lengths))
        within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        return offsets.astype(np.int32), self.item_rows[np.repeat(last, lengths) - 1 - within]


def ages_days(moments: Ints, events: Ints) -> npt.NDArray[np.float32]:
    """Returns how long before `moments` the `events` were, both in seconds: float32 days."""
    return ((moments - events) / SECONDS_PER_DAY).astype(np.float32)


def plain(column: pa.ChunkedArray | pa.Array, kind: pa.DataType | None = None) -> pa.Array:
    """Returns a string column in one piece, undone of any dictionary, cast to `kind` (default string)."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # pyarrow 10 leaves an empty column chunked
        array = array.chunk(0) if array.num_chunks else pa.array([], array.type)
    return array.cast(kind or pa.string())


def _starts(values: pa.Array) -> Bools:
    """Returns where a value differs from the one before it: bool `[n]`, true at the beginning."""
    starts = np.ones(len(values), bool)
    if len(values) > 1:
        starts[1:] = pc.not_equal(values[1:], values[:-1]).to_numpy(zero_copy_only=False)
    return starts


def numbers(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Makes one float32 array without nulls and NaN of a number column: what is missing becomes 0."""
    return pa.array(np.nan_to_num(column.to_numpy().astype(np.float32), nan=0.0))
