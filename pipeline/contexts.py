"""Context columns of events and requests: the event's own value, else the user's, else the calendar's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config import FeaturesConfig
from pipeline.histories import Ints, Timelines, plain
from pipeline.holidays_calendar import holiday_names

COUNTRY = "country"
HOLIDAY = "holiday"


@dataclass(frozen=True)
class Contexts:
    """The context of one bucket's events.

    Args:
      events: the column of each context name, strings `[rows]`.
      properties: names of the columns that stay with a user: `country`, and what the users table has.
      features: the configured features.
      users: the users table.
    """

    events: dict[str, pa.Array]
    properties: tuple[str, ...]
    features: FeaturesConfig
    users: pa.Table

    def at(self, timelines: Timelines, visitors: Ints, ends: Ints, request: Request) -> dict[str, pa.Array]:
        """Returns what is known of visitors before given rows, without looking at those rows.

        Args:
          timelines: the bucket's index.
          visitors: int64 `[n]`, numbers of visitors.
          ends: int64 `[n]`, rows before which to look.
          request: who asks when.

        Returns:
          Strings `[n]` for each context name: properties keep their last known value, the holiday
          comes from the calendar, what else may change with every event is "".
        """
        empty = pa.array([""] * len(visitors), pa.string())
        columns = dict.fromkeys(self.features.context, empty)
        starts = timelines.visitor_starts[visitors]
        for name in self.properties:
            own = _last_known(self.events[name], starts, ends)
            columns[name] = _or_else(own, _of_users(self.users, name, request.user_ids))
        if HOLIDAY in columns and self.features.holiday_country:
            columns[HOLIDAY] = holiday_names(request.timestamps, self.features.holiday_country)
        return columns


@dataclass(frozen=True)
class Request:
    """Who asks when.

    Args:
      user_ids: strings `[n]`.
      timestamps: int64 `[n]`, seconds since 1970 UTC.
    """

    user_ids: pa.Array
    timestamps: Ints


def event_contexts(events: pa.Table, features: FeaturesConfig, users: pa.Table) -> Contexts:
    """Fills the context columns of a bucket.

    Args:
      events: the bucket.
      features: the configured features; names in `context` that no table brings are "" everywhere.
      users: the users table, `user_id` and properties.

    Returns:
      The contexts.
    """
    properties = tuple(name for name in features.context if name == COUNTRY or name in users.column_names)
    user_ids = plain(events["user_id"])
    columns: dict[str, pa.Array] = {}
    for name in features.context:
        own = plain(events[name]) if name in events.column_names else pa.array([""] * len(events), pa.string())
        columns[name] = _or_else(own, _of_users(users, name, user_ids)) if name in properties else own
    if HOLIDAY in columns and features.holiday_country:
        columns[HOLIDAY] = _or_else(
            columns[HOLIDAY], holiday_names(events["timestamp"].to_numpy(), features.holiday_country)
        )
    return Contexts(columns, properties, features, users)


def _or_else(own: pa.Array, other: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(own, ""), other, own)


def _of_users(users: pa.Table, name: str, user_ids: pa.Array) -> pa.Array:
    """Returns a property of users by id, "" where the table has no such user or column."""
    if name not in users.column_names or not len(users):
        return pa.array([""] * len(user_ids), pa.string())
    rows = pc.index_in(user_ids, value_set=plain(users["user_id"]))
    return plain(users[name]).take(rows).fill_null("")


def _last_known(values: pa.Array, starts: Ints, ends: Ints) -> pa.Array:
    """Returns the last value that is not "" in `values[start:end]` of each pair, else ""."""
    known = pc.not_equal(values, "").to_numpy(zero_copy_only=False)
    latest = np.append(-1, np.maximum.accumulate(np.where(known, np.arange(len(known)), -1)))
    rows = latest[ends]
    found = rows >= starts
    return values.take(pa.array(np.where(found, rows, 0), mask=~found)).fill_null("")
