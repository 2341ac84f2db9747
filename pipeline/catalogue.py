"""The tables of users and of items, each held in memory: one row per id, sorted by id."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.cleaning.apply import clean
from pipeline.columns.convert import ROW
from pipeline.columns.mapping import arrow_schema
from pipeline.config import CleaningRule, Config
from pipeline.derived_items import DerivedItems
from pipeline.part_reader import read_part
from pipeline.report import TableReport, examples_of
from pipeline.sources.source import SourcePart
from pipeline.table_check import check_table

# Rules that need all events of a visitor, or the catalogue that is only being made.
_LATE_RULES = ("duplicate", "unknown_reference")


def import_users(config: Config, parts: Sequence[SourcePart], folder: Path) -> TableReport | None:
    """Writes `users.parquet`; without rows where the shop has no table of users.

    Args:
      config: the shop's configuration.
      parts: the plan.
      folder: the table folder.

    Returns:
      The report, None where there is no table.

    Raises:
      TableError: if the table cannot be used.
    """
    folder.mkdir(parents=True, exist_ok=True)
    columns = arrow_schema(config, "users")
    if config.tables.users is None:
        pq.write_table(columns.empty_table(), folder / "users.parquet")
        return None
    users, report = _read_whole(config, parts, "users", "user_id")
    pq.write_table(users.select(columns.names).cast(columns), folder / "users.parquet")
    return report


def import_items(config: Config, parts: Sequence[SourcePart], folder: Path) -> TableReport:
    """Writes `items.parquet`, read from the shop's catalogue or derived from its events.

    Args:
      config: the shop's configuration.
      parts: the plan.
      folder: the table folder.

    Returns:
      The report; derived items are read once each.

    Raises:
      TableError: if the table, or the events that it is derived from, cannot be used.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if config.tables.items.from_events:
        items, report = _derive_items(config, parts)
    else:
        items, report = _read_whole(config, parts, "items", "item_id")
    price = items["price"]
    known = pc.greater(pc.fill_null(price, 0.0), 0.0)
    items = items.set_column(items.column_names.index("price"), "price", pc.if_else(known, price, 0.0))
    columns = arrow_schema(config, "items")
    items = items.select(columns.names).cast(columns)
    pq.write_table(with_first_seen(items, None), folder / "items.parquet")
    return report


def with_first_seen(items: pa.Table, first: pa.Table | None) -> pa.Table:
    """Sets the column `first_seen`.

    Args:
      items: the catalogue, `[items]`.
      first: `item_id` and `first_seen` of the items that were met, None where that is not known yet.
    """
    seconds = pa.array(np.zeros(len(items), np.int64))
    if first is not None:
        places = pc.index_in(items["item_id"], value_set=first["item_id"])
        seconds = pc.fill_null(first["first_seen"].take(places), 0)
    names = [name for name in items.column_names if name != "first_seen"]
    return items.select(names).append_column("first_seen", seconds)


@dataclass(frozen=True)
class Growth:
    """What a newer table of items brings.

    Args:
      items: both tables' items, sorted by id; of an item in both the newer row, with the time that it was first seen.
      added: how many the older table lacks.
      changed: how many have another row than there.
      gone: how many only the older table has; they stay.
    """

    items: pa.Table
    added: int
    changed: int
    gone: int


def grow(older: pa.Table, newer: pa.Table) -> Growth:
    """Joins two tables of items, as `import_items` writes them, each with one row per id."""
    newer = with_first_seen(newer, older.select(["item_id", "first_seen"]))
    for field in newer.schema:  # an older aisle knew fewer columns
        if field.name not in older.column_names:
            older = older.append_column(field, pa.nulls(len(older), field.type))
    older = older.select(newer.column_names).cast(newer.schema)
    known = pc.is_in(newer["item_id"], value_set=older["item_id"])
    gone = pc.invert(pc.is_in(older["item_id"], value_set=newer["item_id"]))
    kept = older.filter(gone)
    again = newer.filter(known)
    before = older.filter(pc.invert(gone)).sort_by("item_id")
    changed = sum(row != now for row, now in zip(_rows(before), _rows(again.sort_by("item_id")), strict=True))
    items = pa.concat_tables([kept, newer]).sort_by("item_id")
    return Growth(items, added=len(newer) - len(again), changed=changed, gone=len(kept))


def _rows(items: pa.Table) -> list[tuple[object, ...]]:
    """Answers the rows; what is not a number is None, which equals itself."""
    columns = [
        pc.if_else(pc.is_nan(column), None, column) if pa.types.is_floating(column.type) else column
        for column in items.columns
    ]
    return list(zip(*(column.to_pylist() for column in columns), strict=True))


def _read_whole(config: Config, parts: Sequence[SourcePart], table: str, key: str) -> tuple[pa.Table, TableReport]:
    """Reads a table of one row per id; of several rows of an id the last one counts."""
    parts = [part for part in parts if part.table == table]
    rules: tuple[CleaningRule, ...] = getattr(config.tables, table).cleaning
    report, tables = TableReport(table), []
    early = [rule for rule in rules if rule.rule not in _LATE_RULES]
    for part in parts:
        part_report = TableReport(table)
        tables += list(read_part(config, part, early, {}, part_report))
        report.add(part_report)
    check_table(config, parts, report)
    rows = pa.concat_tables(tables)
    late = TableReport(table)
    file = ", ".join(dict.fromkeys(part.path for part in parts))
    rows = clean(rows, [rule for rule in rules if rule.rule in _LATE_RULES], {}, late, file)
    again = pa.array(rows[key].to_pandas().duplicated(keep="last").to_numpy(bool))
    repeated = rows.filter(again).slice(0, 3)
    late.drop(
        f"duplicate: {key} (the last row is kept)",
        pc.sum(again, min_count=0).as_py(),
        examples_of(file, repeated[ROW], repeated[key]),
    )
    late.kept = -sum(dropped.rows for dropped in late.dropped.values())
    report.add(late)
    rows = rows.filter(pc.invert(again))
    return rows.take(pc.sort_indices(rows, [(key, "ascending")])).drop([ROW]), report


def _derive_items(config: Config, parts: Sequence[SourcePart]) -> tuple[pa.Table, TableReport]:
    midnight = datetime.datetime.combine(config.split.test_start, datetime.time(), datetime.UTC)
    derived = DerivedItems(before=int(midnight.timestamp()))
    rules = [rule for rule in config.tables.events.cleaning if rule.rule not in _LATE_RULES]
    events, event_parts = TableReport("events"), [part for part in parts if part.table == "events"]
    for part in event_parts:
        part_report = TableReport("events")
        for rows in read_part(config, part, rules, {}, part_report):
            derived.add(rows)
        events.add(part_report)
    check_table(config, event_parts, events)
    items = derived.table()
    report = TableReport("items", read=len(items))
    items = items.append_column(ROW, pa.array(np.arange(1, len(items) + 1)))
    items = clean(items, config.tables.items.cleaning, {}, report, "items derived from events")
    report.kept = len(items)
    check_table(config, event_parts, report)
    return items.drop([ROW]), report
