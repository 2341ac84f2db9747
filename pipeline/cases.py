"""Cases that judge a model, one request each with its truth, and the users' histories at the end of all data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config import Config
from pipeline.contexts import Contexts, Request
from pipeline.histories import Bools, Ints, Timelines, ages_days, numbers, plain
from pipeline.windows import SECONDS_PER_DAY, Windows

RECOMMEND = "recommend"
SEARCH = "search"
HISTORY_LENGTH = 512  # newest events that histories.parquet keeps of a user
AS_OF = b"as_of"  # metadata key of histories.parquet: the moment after the last event


@dataclass(frozen=True)
class Bucket:
    """One bucket of events with what is known about its rows.

    Args:
      events: rows sorted by (visitor, timestamp).
      config: the shop's configuration.
      windows: the split.
      timelines: who did what before when.
      contexts: the context columns.
      in_catalogue: bool `[rows]`, whether the row's item is in the catalogue.
    """

    events: pa.Table
    config: Config
    windows: Windows
    timelines: Timelines
    contexts: Contexts
    in_catalogue: Bools

    @cached_property
    def user_ids(self) -> pa.Array:
        """Strings `[rows]`, "" for anonymous visitors."""
        return plain(self.events["user_id"])

    @cached_property
    def item_ids(self) -> pa.Array:
        """Strings `[rows]`, "" where the event names no item."""
        return plain(self.events["item_id"])

    @cached_property
    def event_types(self) -> pa.Array:
        """Strings `[rows]`."""
        return plain(self.events["event_type"])

    @cached_property
    def quantities(self) -> pa.Array:
        """Pieces, float32 `[rows]`, 0 where the event says none."""
        return numbers(self.events["quantity"])

    @cached_property
    def is_truth(self) -> Bools:
        """Whether a row counts as a hit: bool `[rows]`."""
        types = pa.array(self.config.split.truth_events, pa.string())
        return pc.is_in(self.event_types, value_set=types).to_numpy(zero_copy_only=False) & self.in_catalogue


@dataclass(frozen=True)
class _Requests:
    """Requests of one task: who, when, up to which row history is known, and the rows of the truth.

    Args:
      visitors: int64 `[n]`.
      ends: int64 `[n]`, first row that is not history.
      timestamps: int64 `[n]`.
      queries: strings `[n]`.
      contexts: strings `[n]` for each context column.
      truth_rows: int64 `[t]`, rows of the truth events, grouped by request.
      truth_of: int64 `[t]`, the request that each of them belongs to, ascending.
    """

    visitors: Ints
    ends: Ints
    timestamps: Ints
    queries: pa.Array
    contexts: dict[str, pa.Array]
    truth_rows: Ints
    truth_of: Ints


def cases_schema(config: Config) -> pa.Schema:
    """Returns the columns of validation.parquet and test.parquet."""
    return pa.schema(
        [
            ("task", pa.string()),
            ("user_id", pa.string()),
            ("warm", pa.bool_()),
            ("timestamp", pa.int64()),
            ("history_item_ids", pa.list_(pa.string())),
            ("history_event_types", pa.list_(pa.string())),
            ("history_ages_days", pa.list_(pa.float32())),
            ("history_quantities", pa.list_(pa.float32())),
            ("query", pa.string()),
            *((name, pa.string()) for name in config.features.context),
            ("truth", pa.list_(pa.string())),
            ("seen_item_ids", pa.list_(pa.string())),
            ("seen_counts", pa.list_(pa.int32())),
        ]
    )


def window_cases(bucket: Bucket, start: int, end: int) -> pa.Table:
    """Makes the cases of one window from one bucket.

    Args:
      bucket: the bucket.
      start: the window's first second.
      end: the second after its last.

    Returns:
      A table of `cases_schema`: first what users want, then what searches want.
    """
    before = bucket.timelines.rows_before(start)
    inside = (bucket.timelines.timestamps >= start) & (bucket.timelines.timestamps < end)
    parts = [
        _case_table(bucket, RECOMMEND, _user_requests(bucket, start, inside, before), before),
        _case_table(bucket, SEARCH, _search_requests(bucket, inside), before),
    ]
    return pa.concat_tables(parts)


def histories_schema(config: Config, properties: tuple[str, ...], as_of: int) -> pa.Schema:
    """Returns the columns of histories.parquet; its metadata say up to when it reaches.

    Args:
      config: the shop's configuration.
      properties: context columns that stay with a user, as `Contexts.properties` has them.
      as_of: the moment after the last event, seconds since 1970 UTC.
    """
    fields = [
        ("user_id", pa.string()),
        ("history_item_ids", pa.list_(pa.string())),
        ("history_event_types", pa.list_(pa.string())),
        ("history_timestamps", pa.list_(pa.int64())),
        ("history_quantities", pa.list_(pa.float32())),
        ("seen_item_ids", pa.list_(pa.string())),
        *((name, pa.string()) for name in config.features.context if name in properties),
    ]
    return pa.schema(fields, metadata={AS_OF: str(as_of).encode()})


def final_histories(bucket: Bucket) -> pa.Table:
    """Makes the histories of a bucket's users at the end of all data, a table of `histories_schema`."""
    lines = bucket.timelines
    user_ids = bucket.user_ids.take(pa.array(lines.visitor_starts))
    visitors = np.flatnonzero(pc.not_equal(user_ids, "").to_numpy(zero_copy_only=False))
    ends = lines.visitor_ends[visitors]
    offsets, rows = lines.ragged(*lines.newest(visitors, ends, HISTORY_LENGTH))
    seen_offsets, seen, _ = _seen(bucket, visitors, ends)
    request = Request(user_ids.take(pa.array(visitors)), np.full(len(visitors), bucket.windows.as_of, np.int64))
    known = bucket.contexts.at(lines, visitors, ends, request)
    schema = histories_schema(bucket.config, bucket.contexts.properties, bucket.windows.as_of)
    columns = {
        "user_id": request.user_ids,
        "history_item_ids": _lists(offsets, bucket.item_ids.take(pa.array(rows))),
        "history_event_types": _lists(offsets, bucket.event_types.take(pa.array(rows))),
        "history_timestamps": _lists(offsets, pa.array(lines.timestamps[rows])),
        "history_quantities": _lists(offsets, bucket.quantities.take(pa.array(rows))),
        "seen_item_ids": _lists(seen_offsets, seen),
        **known,
    }
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


def _user_requests(bucket: Bucket, start: int, inside: Bools, before: Ints) -> _Requests:
    """One request of each user who has truth in the window, at its start."""
    named = pc.not_equal(bucket.user_ids, "").to_numpy(zero_copy_only=False)
    truth_rows = np.flatnonzero(inside & bucket.is_truth & named)
    visitors, truth_of = np.unique(bucket.timelines.visitor_of[truth_rows], return_inverse=True)
    timestamps = np.full(len(visitors), start, np.int64)
    user_ids = bucket.user_ids.take(pa.array(bucket.timelines.visitor_starts[visitors]))
    ends = before[visitors]
    contexts = bucket.contexts.at(bucket.timelines, visitors, ends, Request(user_ids, timestamps))
    queries = pa.array([""] * len(visitors), pa.string())
    return _Requests(visitors, ends, timestamps, queries, contexts, truth_rows, truth_of)


def _search_requests(bucket: Bucket, inside: Bools) -> _Requests:
    """One request of each (visitor, session or day, query) that led to truth, when the query was first sent."""
    lines = bucket.timelines
    queries = plain(bucket.events["query"])
    rows = np.flatnonzero(inside & pc.not_equal(queries, "").to_numpy(zero_copy_only=False))
    sessions = plain(bucket.events["session_id"]).take(pa.array(rows))
    days = np.where(pc.equal(sessions, "").to_numpy(zero_copy_only=False), lines.timestamps[rows] // SECONDS_PER_DAY, 0)
    keys = np.stack([lines.visitor_of[rows], _codes(sessions), days, _codes(queries.take(pa.array(rows)))], axis=1)
    # Rows of a visitor ascend in time, and np.unique gives the first row of each group.
    _, firsts, groups = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    is_truth = bucket.is_truth[rows]
    wanted, truth_of = np.unique(groups[is_truth], return_inverse=True)
    asked = rows[firsts[wanted]]
    order = np.argsort(truth_of, kind="stable")
    return _Requests(
        visitors=lines.visitor_of[asked],
        ends=lines.moment_starts[asked],
        timestamps=lines.timestamps[asked],
        queries=queries.take(pa.array(asked)),
        contexts={name: column.take(pa.array(asked)) for name, column in bucket.contexts.events.items()},
        truth_rows=rows[is_truth][order],
        truth_of=truth_of[order],
    )


def _case_table(bucket: Bucket, task: str, requests: _Requests, before: Ints) -> pa.Table:
    lines = bucket.timelines
    count = len(requests.visitors)
    length = bucket.config.history_length
    offsets, rows = lines.ragged(*lines.newest(requests.visitors, requests.ends, length))
    moments = np.repeat(requests.timestamps, np.diff(offsets))
    seen_offsets, seen, counts = _seen(bucket, requests.visitors, before[requests.visitors])
    truth_offsets, truth, _ = _distinct(bucket.item_ids, requests.truth_rows, requests.truth_of, count)
    columns = {
        "task": pa.array([task] * count, pa.string()),
        "user_id": bucket.user_ids.take(pa.array(lines.visitor_starts[requests.visitors])),
        "warm": pa.array(np.diff(seen_offsets) > 0),
        "timestamp": pa.array(requests.timestamps),
        "history_item_ids": _lists(offsets, bucket.item_ids.take(pa.array(rows))),
        "history_event_types": _lists(offsets, bucket.event_types.take(pa.array(rows))),
        "history_ages_days": _lists(offsets, pa.array(ages_days(moments, lines.timestamps[rows]))),
        "history_quantities": _lists(offsets, bucket.quantities.take(pa.array(rows))),
        "query": requests.queries,
        **requests.contexts,
        "truth": _lists(truth_offsets, truth),
        "seen_item_ids": _lists(seen_offsets, seen),
        "seen_counts": _lists(seen_offsets, pa.array(counts, pa.int32())),
    }
    schema = cases_schema(bucket.config)
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


def _seen(bucket: Bucket, visitors: Ints, ends: Ints) -> tuple[Ints, pa.Array, Ints]:
    """The distinct items that visitors had truth events with before given rows, and how often."""
    starts = bucket.timelines.visitor_starts[visitors]
    truth_rows = np.flatnonzero(bucket.is_truth)
    first, last = np.searchsorted(truth_rows, starts), np.searchsorted(truth_rows, ends)
    lengths = last - first
    offsets = np.append(0, np.cumsum(lengths))
    within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    rows = truth_rows[np.repeat(first, lengths) + within]
    return _distinct(bucket.item_ids, rows, np.repeat(np.arange(len(visitors)), lengths), len(visitors))


def _distinct(values: pa.Array, rows: Ints, groups: Ints, count: int) -> tuple[Ints, pa.Array, Ints]:
    """The distinct values of each group in the order of their first rows: (offsets, values, how often)."""
    chosen = values.take(pa.array(rows))
    keys = np.stack([groups, _codes(chosen)], axis=1)
    _, firsts, counts = np.unique(keys, axis=0, return_index=True, return_counts=True)
    order = np.argsort(firsts, kind="stable")
    offsets = np.append(0, np.cumsum(np.bincount(groups[firsts], minlength=count)))
    return offsets.astype(np.int32), chosen.take(pa.array(firsts[order])), counts[order]


def _codes(values: pa.Array) -> Ints:
    return values.dictionary_encode().indices.to_numpy(zero_copy_only=False).astype(np.int64)


def _lists(offsets: Ints, values: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)
