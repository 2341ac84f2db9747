"""The shop's tables, read, cleaned and written the way the rest of aisle reads them.

`import_tables` does all of it in one process. Workers share the same steps:

1. `plan_parts` lists what to read;
2. `import_users` and `import_items` write `users.parquet` and `items.parquet`;
3. `import_events_part` reads one part of the events and splits it by visitor into `bucket_count(parts)` buckets;
4. `merge_bucket` sorts one bucket and writes `events/bucket-NNNNN.parquet`;
5. `finish_tables` adds up the reports, fills in when items were first seen, writes `report.json`.

Steps 3 and 4 may run for all parts, then for all buckets, at the same time, and again after an interruption.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.catalogue import import_items, import_users, with_first_seen
from pipeline.cleaning.apply import check_rules, clean
from pipeline.cleaning.rules import VISITOR
from pipeline.columns.convert import ROW
from pipeline.columns.mapping import arrow_schema
from pipeline.config import Config
from pipeline.event_buckets import (
    Fragments,
    add_visitor,
    buckets_for,
    parts_folder,
    read_first_seen,
    read_fragments,
    write_bucket,
)
from pipeline.part_reader import read_part
from pipeline.report import TableReport, TablesReport
from pipeline.sources import parts as source_parts
from pipeline.sources.source import SourcePart, TableError
from pipeline.table_check import check_table

__all__ = [
    "SourcePart",
    "TableError",
    "TableReport",
    "TablesReport",
    "bucket_count",
    "finish_tables",
    "import_events_part",
    "import_items",
    "import_tables",
    "import_users",
    "merge_bucket",
    "plan_parts",
]

Progress = Callable[[str, int], None]


def plan_parts(config: Config) -> list[SourcePart]:
    """Finds the files of all tables and checks that the cleaning rules fit.

    Args:
      config: the shop's configuration.

    Returns:
      The parts of users, items and events, in a fixed order.

    Raises:
      TableError: if a file is missing, or a rule names a column that is not there.
    """
    for name in ("users", "items", "events"):
        table = getattr(config.tables, name)
        if table is not None:
            check_rules(name, table.cleaning, arrow_schema(config, name), config.tables.users is not None)
    parts = source_parts.plan_parts(config)
    events = [part for part in parts if part.table == "events"]
    buckets = config.runner.event_buckets or buckets_for(sum(part.rows for part in events))
    return [dataclasses.replace(part, buckets=buckets) for part in parts]


def bucket_count(parts: Sequence[SourcePart]) -> int:
    """The number of buckets that the plan splits events into."""
    return max(part.buckets for part in parts)


def import_events_part(
    config: Config,
    part: SourcePart,
    folder: Path,
    item_ids: pa.Array | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> TableReport:
    """Reads one part of the events and writes its share of every bucket.

    Args:
      config: the shop's configuration.
      part: one of the plan's parts of `events`.
      folder: the table folder; `users.parquet` and `items.parquet` are there.
      item_ids: the catalogue's ids; None reads them from `items.parquet`.
      on_rows: called with the number of rows read so far.

    Returns:
      The part's report.

    Raises:
      TableError: if the part cannot be used.
    """
    rules = [rule for rule in config.tables.events.cleaning if rule.rule != "duplicate"]
    referred = {rule.column for rule in rules if rule.rule == "unknown_reference"}
    references = {}
    if "item_id" in referred:
        references["item_id"] = _ids(folder, "items", "item_id") if item_ids is None else item_ids
    if "user_id" in referred:
        references["user_id"] = _ids(folder, "users", "user_id")
    report = TableReport("events")
    with Fragments(folder, part.index, part.buckets) as fragments:
        for rows in read_part(config, part, rules, references, report):
            if rows.num_rows:
                fragments.write(add_visitor(rows))
            if on_rows is not None:
                on_rows(report.read)
    return report


def merge_bucket(config: Config, folder: Path, bucket: int) -> TableReport:
    """Sorts one bucket by visitor and time, drops duplicates and writes it.

    Rule `duplicate` compares the events of one visitor; the earliest stays.

    Args:
      config: the shop's configuration.
      folder: the table folder; all parts are imported.
      bucket: below `bucket_count(parts)`.

    Returns:
      What was dropped; `kept` is that number below zero, so that it adds up with the parts' reports.
    """
    columns = arrow_schema(config, "events").append(pa.field(ROW, pa.int64())).append(pa.field(VISITOR, pa.string()))
    events = read_fragments(folder, bucket, columns)
    report = TableReport("events")
    for rule in config.tables.events.cleaning:
        if rule.rule == "duplicate":
            events = clean(events, [rule], {}, report, "events")
    report.kept = -sum(dropped.rows for dropped in report.dropped.values())
    write_bucket(folder, bucket, events.drop([ROW]))
    return report


def finish_tables(
    config: Config, parts: Sequence[SourcePart], folder: Path, reports: Iterable[TableReport]
) -> TablesReport:
    """Adds up the reports, fills in when items were first seen, writes `report.json` and clears up.

    Args:
      config: the shop's configuration.
      parts: the plan.
      folder: the table folder; all buckets are merged.
      reports: of all steps.

    Returns:
      The report of all tables.

    Raises:
      TableError: if the events are of no use.
    """
    report = TablesReport.of(reports)
    check_table(config, [part for part in parts if part.table == "events"], report.tables["events"])
    items = pq.read_table(folder / "items.parquet")
    pq.write_table(with_first_seen(items, read_first_seen(folder)), folder / "items.parquet")
    text = json.dumps(report.to_json(), indent=2, ensure_ascii=False)
    (folder / "report.json").write_text(text + "\n", encoding="utf-8")
    shutil.rmtree(parts_folder(folder))
    return report


def import_tables(config: Config, folder: Path, on_progress: Progress | None = None) -> TablesReport:
    """Imports all tables in this process.

    Args:
      config: the shop's configuration.
      folder: the table folder to write; is made where it is missing.
      on_progress: called with the name of the step and the rows (or buckets) done.

    Returns:
      The report of all tables.

    Raises:
      TableError: if the tables cannot be used.
    """
    say = on_progress or (lambda _step, _count: None)
    parts = plan_parts(config)
    users = import_users(config, parts, folder)
    say("users", users.kept if users else 0)
    reports = [import_items(config, parts, folder)]
    say("items", reports[0].kept)
    for part in (part for part in parts if part.table == "events"):
        before = sum(report.read for report in reports[1:])
        on_rows = functools.partial(_say_rows, say, before)
        reports.append(import_events_part(config, part, folder, on_rows=on_rows))
    for bucket in range(bucket_count(parts)):
        reports.append(merge_bucket(config, folder, bucket))
        say("buckets", bucket + 1)
    return finish_tables(config, parts, folder, ([users] if users else []) + reports)


def _say_rows(say: Progress, before: int, rows: int) -> None:
    say("events", before + rows)


def _ids(folder: Path, table: str, column: str) -> pa.Array:
    return pq.read_table(folder / f"{table}.parquet", columns=[column])[column].combine_chunks()
