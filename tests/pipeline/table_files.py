"""Small files of events, and the configurations that read them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config import Config, parse_config
from pipeline.tables import import_tables

HEADER = "user_id,item_id,timestamp,event_type,price\n"
SHARED_DATA = Path(__file__).parents[3] / "shared" / "data"
ROWS = [
    {
        "user_id": f"u{row % 3}",
        "item_id": f"i{row % 5}",
        "timestamp": f"2024-01-01T00:00:{row:02d}",
        "event_type": "view",
        "price": 0.5 + row,
    }
    for row in range(20)
]


def lines(count: int, start: int = 0) -> str:
    """Rows of events without a fault."""
    return "".join(
        f"u{row % 3},i{row % 5},2024-01-01T00:{row // 60 % 60:02d}:{row % 60:02d},purchase,{row % 7 + 0.5}\n"
        for row in range(start, start + count)
    )


def write(path: Path, content: str | bytes) -> Path:
    """Writes text or bytes."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def write_json_lines(path: Path, rows: Sequence[Mapping[str, Any] | str]) -> Path:
    """Writes rows as JSON lines; texts stand as they are."""
    return write(path, "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))


def write_parquet(path: Path, columns: Mapping[str, Any], **options: Any) -> Path:
    """Writes columns as Parquet."""
    pq.write_table(pa.table(dict(columns)), path, **options)
    return path


def shop(events: Path, *, sections: Mapping[str, Any] | None = None, **options: Any) -> Config:
    """A shop whose items are derived from its events, unless options name `items`; others go to `events`."""
    tables: dict[str, Any] = {"items": options.pop("items", {"from_events": True})}
    if "users" in options:
        tables["users"] = options.pop("users")
    tables["events"] = {"path": str(events), **options}
    return parse_config({"name": "tiny", "tables": tables, "split": {"test_start": "2025-01-01"}, **(sections or {})})


def import_report(config: Config, folder: Path) -> dict[str, Any]:
    """Imports the tables and returns the report, once it is sure that it adds up."""
    report = import_tables(config, folder).to_json()["tables"]
    for table in report.values():
        assert table["read"] == table["kept"] + sum(dropped["rows"] for dropped in table["dropped"].values())
    events = sum(pq.read_metadata(path).num_rows for path in (folder / "events").glob("*.parquet"))
    assert events == report["events"]["kept"]
    assert pq.read_metadata(folder / "items.parquet").num_rows == report["items"]["kept"]
    return dict(report)


def dropped(report: Mapping[str, Any], table: str = "events") -> dict[str, int]:
    """How many rows were dropped for each reason."""
    return {reason: found["rows"] for reason, found in report[table]["dropped"].items()}


def read_events(folder: Path) -> pd.DataFrame:
    """All events, bucket after bucket."""
    paths = sorted((folder / "events").glob("bucket-*.parquet"))
    return pa.concat_tables([pq.read_table(path) for path in paths]).to_pandas()


def read_table(path: Path) -> pd.DataFrame:
    """One Parquet file."""
    return pq.read_table(path).to_pandas()


def rows_of(frame: pd.DataFrame, *columns: str) -> list[list[Any]]:
    """The values of some columns (all by default), row by row."""
    names = columns or tuple(frame.columns)
    return [list(row) for row in zip(*(frame[name].tolist() for name in names), strict=True)]
