"""What users did before a request: read from a run's histories.parquet or from a file of events."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from serving.requests import History

AS_OF = b"as_of"
MAX_EVENTS = 512
SECONDS_PER_DAY = 86_400
Value = TypeVar("Value")
_HISTORY = ("history_item_ids", "history_event_types", "history_timestamps", "history_quantities")
_COLUMNS = ("user_id", *_HISTORY, "seen_item_ids")


class HistoryError(ValueError):
    """A file of histories or events cannot be used; the message says what was expected."""


@dataclass(frozen=True)
class UserRecord:
    """What is known of one user.

    Args:
      item_ids: the items of the user's events, newest first.
      event_types: what was done with each.
      timestamps: when, seconds since 1970 UTC.
      quantities: how many pieces of each; 0 where nobody says.
      seen_item_ids: the items that the user has had; from events alone, those of purchases.
      context: the last known value of context columns that are a property of the user.
    """

    item_ids: Sequence[str] = ()
    event_types: Sequence[str] = ()
    timestamps: Sequence[int] = ()
    quantities: Sequence[float] = ()
    seen_item_ids: Sequence[str] = ()
    context: Mapping[str, str] = field(default_factory=dict)

    def history(self, at: int) -> History:
        """Returns what happened strictly before `at`, with ages relative to it."""
        rows = [row for row, timestamp in enumerate(self.timestamps) if timestamp < at]
        return History(
            item_ids=[self.item_ids[row] for row in rows],
            event_types=[self.event_types[row] for row in rows],
            ages_days=[(at - self.timestamps[row]) / SECONDS_PER_DAY for row in rows],
            quantities=[self.quantities[row] for row in rows],
        )

    def seen(self, at: int, as_of: int) -> list[str]:
        """Returns the items that the user had before `at`, as far as the record tells."""
        if at >= as_of:
            return list(self.seen_item_ids)
        return sorted(set(self.history(at).item_ids).intersection(self.seen_item_ids))


@dataclass(frozen=True)
class Histories:
    """The records of some users.

    Args:
      as_of: the moment up to which the records reach, seconds since 1970 UTC.
      records: user: record; a user who is not there is unknown.
    """

    as_of: int
    records: Mapping[str, UserRecord]


def read_histories(path: Path, user_ids: Collection[str]) -> Histories:
    """Reads some users from a run's histories.parquet.

    Args:
      path: the file.
      user_ids: the users wanted.

    Returns:
      Their records.

    Raises:
      HistoryError: if it is no such file.
    """
    try:
        schema = pq.read_schema(path)
        missing = [name for name in _COLUMNS if name not in schema.names]
        if missing:
            raise HistoryError(f"{path}: has no column {', '.join(missing)}; expected a run's histories.parquet")
        if AS_OF not in (schema.metadata or {}):
            raise HistoryError(f"{path}: does not say as of when it is; expected a run's histories.parquet")
        table = pq.read_table(path, filters=[("user_id", "in", sorted(set(user_ids)) or [""])])
    except (pa.ArrowException, OSError) as error:
        raise HistoryError(f"{path}: cannot be read as Parquet: {error}") from error
    context = [name for name in schema.names if name not in _COLUMNS and pa.types.is_string(schema.field(name).type)]
    return Histories(
        as_of=int(schema.metadata[AS_OF]),
        records={row["user_id"]: _record(row, context) for row in table.to_pylist()},
    )


def merge(older: Histories, newer: Histories) -> Histories:
    """Puts newer events on top of a run's histories; events before its `as_of` are already in it.

    Args:
      older: from a run's histories.parquet.
      newer: from a file of events.

    Returns:
      Records of the users of both.
    """
    records = dict(older.records)
    for user_id, record in newer.records.items():
        base = records.get(user_id, UserRecord())
        fresh = [row for row, timestamp in enumerate(record.timestamps) if timestamp >= older.as_of]
        records[user_id] = UserRecord(
            item_ids=_on_top(record.item_ids, fresh, base.item_ids),
            event_types=_on_top(record.event_types, fresh, base.event_types),
            timestamps=_on_top(record.timestamps, fresh, base.timestamps),
            quantities=_on_top(record.quantities, fresh, base.quantities),
            seen_item_ids=sorted({*base.seen_item_ids, *record.seen_item_ids}),
            context={**base.context, **{name: value for name, value in record.context.items() if value}},
        )
    return Histories(as_of=max(older.as_of, newer.as_of), records=records)


def _on_top(newer: Sequence[Value], fresh: Sequence[int], older: Sequence[Value]) -> list[Value]:
    return [*(newer[row] for row in fresh), *older][:MAX_EVENTS]


def _record(row: Mapping[str, Any], context: Sequence[str]) -> UserRecord:
    return UserRecord(
        item_ids=row["history_item_ids"] or (),
        event_types=row["history_event_types"] or (),
        timestamps=row["history_timestamps"] or (),
        quantities=row["history_quantities"] or (),
        seen_item_ids=row["seen_item_ids"] or (),
        context={name: row[name] or "" for name in context},
    )
