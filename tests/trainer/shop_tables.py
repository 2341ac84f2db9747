"""Writes small table folders and case files, in the layout that the pipeline writes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config.ranking import past_name

DAY = 86_400

CASE_SCHEMA = pa.schema(
    {
        "task": pa.string(),
        "user_id": pa.string(),
        "warm": pa.bool_(),
        "timestamp": pa.int64(),
        "history_item_ids": pa.list_(pa.string()),
        "history_event_types": pa.list_(pa.string()),
        "history_ages_days": pa.list_(pa.float32()),
        "history_quantities": pa.list_(pa.float32()),
        "query": pa.string(),
        "country": pa.string(),
        "truth": pa.list_(pa.string()),
        "seen_item_ids": pa.list_(pa.string()),
        "seen_counts": pa.list_(pa.int32()),
    }
)


def write_events(tables: Path, events: Sequence[tuple[str, str, int, str]], buckets: int = 2) -> None:
    """Writes (user_id, item_id, timestamp, event_type) rows, users dealt to the buckets."""
    folder = tables / "events"
    folder.mkdir(parents=True, exist_ok=True)
    users = sorted({event[0] for event in events})
    for bucket in range(buckets):
        kept = sorted((e for e in events if users.index(e[0]) % buckets == bucket), key=lambda e: (e[0], e[2]))
        columns = list(zip(*kept, strict=True)) if kept else [(), (), (), ()]
        table = pa.table(
            {
                "user_id": pa.array(columns[0], pa.string()),
                "item_id": pa.array(columns[1], pa.string()),
                "timestamp": pa.array(columns[2], pa.int64()),
                "event_type": pa.array(columns[3], pa.string()),
            }
        )
        pq.write_table(table, folder / f"bucket-{bucket:05d}.parquet")


def write_items(tables: Path, items: Sequence[Mapping[str, Any]]) -> None:
    """Writes items.parquet."""
    tables.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(items)), tables / "items.parquet")


def case(**values: Any) -> dict[str, Any]:
    """One case; what is not given is as of an anonymous visitor without history."""
    empty: dict[str, Any] = {"task": "recommend", "user_id": "", "warm": False, "timestamp": 0, "query": ""}
    lists = {field.name: [] for field in CASE_SCHEMA if pa.types.is_list(field.type)}
    return {**empty, "country": "", **lists, **values}


def write_cases(
    folder: Path,
    *,
    validation: Sequence[Mapping[str, Any]] = (),
    test: Sequence[Mapping[str, Any]] = (),
    past: Sequence[Sequence[Mapping[str, Any]]] = (),
) -> None:
    """Writes validation.parquet and test.parquet, and a file for each past window, the newest first."""
    folder.mkdir(parents=True, exist_ok=True)
    older = [(past_name(number), cases) for number, cases in enumerate(past, start=1)]
    for name, cases in (("validation", validation), ("test", test), *older):
        columns = {field.name: [each[field.name] for each in cases] for field in CASE_SCHEMA}
        pq.write_table(pa.table(columns, schema=CASE_SCHEMA), folder / f"{name}.parquet")
