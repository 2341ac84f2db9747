"""Histories from a file of events with canonical columns: CSV, JSON lines (both also .gz) or Parquet."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from serving.histories import MAX_EVENTS, Histories, HistoryError, UserRecord

REQUIRED = ("user_id", "item_id", "timestamp")
_TEXTS = ("user_id", "item_id", "event_type")
# Had, not only looked at: what --exclude-seen leaves out.
_SEEN_TYPES = ("purchase",)


class _Event(NamedTuple):
    texts: Mapping[str, str]
    timestamp: int
    quantity: float


def read_table(path: Path, columns: Sequence[str], texts: Collection[str]) -> pa.Table:
    """Reads some columns of a table, by its file's ending.

    Args:
      path: .csv, .jsonl, .ndjson, .parquet, the first three also with .gz.
      columns: the columns wanted; those that the file does not have are left out.
      texts: those among them that are texts even if they look like numbers.

    Returns:
      The columns, all rows.

    Raises:
      HistoryError: if it cannot be read.
    """
    kind = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if kind not in ("csv", "jsonl", "ndjson", "parquet"):
        raise HistoryError(f"{path}: cannot tell what it is; expected .csv, .jsonl or .parquet (.gz)")
    try:
        table = _read(path, kind, columns, texts)
        for name in set(texts).intersection(table.column_names):
            position = table.column_names.index(name)
            table = table.set_column(position, name, pc.fill_null(table[name].cast(pa.string()), ""))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise HistoryError(f"{path}: cannot be read as {kind}: {error}") from error
    return table


def _read(path: Path, kind: str, columns: Sequence[str], texts: Collection[str]) -> pa.Table:
    if kind == "parquet":
        return pq.read_table(path, columns=[name for name in columns if name in pq.read_schema(path).names])
    if kind == "csv":
        names = pyarrow.csv.open_csv(pa.input_stream(str(path))).schema.names
        options = pyarrow.csv.ConvertOptions(
            column_types={name: pa.string() for name in texts},
            include_columns=[name for name in columns if name in names],
            strings_can_be_null=False,
        )
        if not options.include_columns:
            return pa.table({})
        return pyarrow.csv.read_csv(pa.input_stream(str(path)), convert_options=options)
    table = pyarrow.json.read_json(pa.input_stream(str(path)))
    return table.select([name for name in columns if name in table.column_names])


def read_events(path: Path, user_ids: Collection[str], context: Sequence[str] = (), at: int | None = None) -> Histories:
    """Builds the histories of some users from events.

    Args:
      path: the file; columns `user_id`, `item_id`, `timestamp`, and if they are there `event_type`, `quantity` and
        `context`.
      user_ids: the users wanted.
      context: context columns of which the last known value is kept.
      at: events at or after this moment are left out; None keeps all, and `as_of` is one second after the last.

    Returns:
      Their records, newest event first.

    Raises:
      HistoryError: if the file cannot be used.
    """
    table = read_table(path, (*_TEXTS, "timestamp", "quantity", *context), (*_TEXTS, *context))
    missing = [name for name in REQUIRED if name not in table.column_names]
    if missing:
        raise HistoryError(f"{path}: has no column {', '.join(missing)}; expected {', '.join(REQUIRED)} and event_type")
    timestamps = _seconds(table["timestamp"], path)
    as_of = at if at is not None else int(timestamps.max()) + 1 if len(timestamps) else 0
    wanted = pc.is_in(table["user_id"], value_set=pa.array(sorted(set(user_ids)), pa.string()))
    keep = np.flatnonzero(wanted.to_numpy() & (timestamps < as_of))
    # The last row of equal timestamps is the newest.
    order = keep[np.argsort(timestamps[keep], kind="stable")][::-1]
    columns = [name for name in (*_TEXTS, *context) if name in table.column_names]
    rows = table.select(columns).take(pa.array(order)).to_pylist()
    numbers = zip(timestamps[order].tolist(), _quantities(table, path)[order].tolist(), strict=True)
    grouped: dict[str, list[_Event]] = {}
    for row, (timestamp, quantity) in zip(rows, numbers, strict=True):
        grouped.setdefault(row["user_id"], []).append(_Event(row, timestamp, quantity))
    return Histories(as_of, {user_id: _record(events, context) for user_id, events in grouped.items()})


def _record(events: Sequence[_Event], context: Sequence[str]) -> UserRecord:
    met = [event for event in events if event.texts["item_id"]]
    bought = {event.texts["item_id"] for event in met if event.texts.get("event_type") in _SEEN_TYPES}
    newest = met[:MAX_EVENTS]
    return UserRecord(
        item_ids=[event.texts["item_id"] for event in newest],
        event_types=[event.texts.get("event_type", "") for event in newest],
        timestamps=[event.timestamp for event in newest],
        quantities=[event.quantity for event in newest],
        # A file that tells no purchases from views: everything counts.
        seen_item_ids=sorted(bought or {event.texts["item_id"] for event in met}),
        context={name: next((event.texts[name] for event in events if event.texts.get(name)), "") for name in context},
    )


def parse_time(text: str) -> int:
    """Reads a moment: seconds since 1970, or an ISO date or time, UTC unless it says otherwise.

    Raises:
      ValueError: if it is neither.
    """
    stripped = text.strip()
    if stripped.lstrip("-").isdigit():
        return int(stripped)
    moment = datetime.datetime.fromisoformat(stripped)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return int(moment.timestamp())


def _quantities(table: pa.Table, path: Path) -> Any:
    """Returns pieces, float64 [rows], 0 where the file says none."""
    if "quantity" not in table.column_names:
        return np.zeros(len(table))
    try:
        return np.nan_to_num(table["quantity"].cast(pa.float64()).to_numpy())
    except pa.ArrowException as error:
        raise HistoryError(f"{path}: column quantity: expected numbers, got {error}") from error


def _seconds(column: pa.ChunkedArray, path: Path) -> Any:
    """Returns int64 seconds since 1970 UTC, [rows]."""
    kind = column.type
    try:
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            column = column.cast(pa.timestamp("s", tz=getattr(kind, "tz", None)), safe=False)
            return column.cast(pa.int64()).to_numpy()
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return column.cast(pa.int64(), safe=False).to_numpy()
        return np.array([parse_time(text) for text in column.to_pylist()], dtype=np.int64)
    except (ValueError, AttributeError, pa.ArrowException) as error:
        raise HistoryError(
            f"{path}: column timestamp: expected seconds since 1970 or ISO times, got {error}"
        ) from error
