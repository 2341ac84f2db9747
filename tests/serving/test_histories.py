"""What a request tells of a user: read from a run's histories, from events, or from both."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from history_tables import AS_OF, DAY, write_histories

from serving.event_files import parse_time, read_events
from serving.histories import HistoryError, UserRecord, merge, read_histories
from serving.holiday_calendar import CalendarError, holiday_name

EVENTS = [
    {"user_id": "007", "item_id": "a", "timestamp": AS_OF + 10, "event_type": "view", "country": "FR", "quantity": 2},
    {"user_id": "anna", "item_id": "x", "timestamp": AS_OF - 5, "event_type": "view", "country": "FR", "quantity": 1},
    {"user_id": "007", "item_id": "b", "timestamp": AS_OF + 20, "event_type": "purchase", "country": "", "quantity": 7},
    {
        "user_id": "anna",
        "item_id": "c",
        "timestamp": AS_OF + 30,
        "event_type": "purchase",
        "country": "DE",
        "quantity": 0.5,
    },
    {"user_id": "007", "item_id": "", "timestamp": AS_OF + 25, "event_type": "search", "country": "", "quantity": None},
]


@pytest.fixture
def histories(tmp_path: Path) -> Path:
    write_histories(tmp_path / "histories.parquet")
    return tmp_path / "histories.parquet"


def _write(path: Path, events: list[dict[str, Any]]) -> Path:
    name = path.name
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(events), path)
        return path
    if ".csv" in name:
        rows = [events[0].keys(), *(event.values() for event in events)]
        text = "".join(",".join("" if value is None else str(value) for value in row) + "\n" for row in rows)
    else:
        text = "".join(json.dumps(event) + "\n" for event in events)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def test_users_are_read_with_ages_as_of_the_file(histories: Path) -> None:
    read = read_histories(histories, ["anna", "nobody"])
    assert read.as_of == AS_OF
    assert list(read.records) == ["anna"]
    anna = read.records["anna"]
    assert anna.history(AS_OF).item_ids == ["bread", "dates", "bread"]
    assert anna.history(AS_OF).event_types == ["view", "purchase", "view"]
    assert anna.history(AS_OF).ages_days == [1.0, 2.0, 30.0]
    assert anna.history(AS_OF).quantities == [0.0, 6.0, 0.0]
    assert anna.seen(AS_OF, AS_OF) == ["dates"]
    assert anna.context == {"country": "FR"}


def test_nothing_at_or_after_the_moment_is_told(histories: Path) -> None:
    anna = read_histories(histories, ["anna"]).records["anna"]
    moment = AS_OF - 2 * DAY
    assert anna.history(moment).item_ids == ["bread"]
    assert anna.history(moment).ages_days == [28.0]
    assert anna.seen(moment, AS_OF) == []
    assert anna.seen(moment + 1, AS_OF) == ["dates"]


@pytest.mark.parametrize("name", ["e.csv", "e.csv.gz", "e.jsonl", "e.jsonl.gz", "e.parquet"])
def test_events_become_histories(tmp_path: Path, name: str) -> None:
    read = read_events(_write(tmp_path / name, EVENTS), ["007", "nobody"], ["country"])
    assert read.as_of == AS_OF + 31
    assert read.records == {
        "007": UserRecord(
            ["b", "a"], ["purchase", "view"], [AS_OF + 20, AS_OF + 10], [7.0, 2.0], ["b"], {"country": "FR"}
        )
    }


def test_events_end_at_the_moment(tmp_path: Path) -> None:
    read = read_events(_write(tmp_path / "e.csv", EVENTS), ["007"], at=AS_OF + 20)
    assert read.as_of == AS_OF + 20
    assert read.records["007"].item_ids == ["a"]
    assert read.records["007"].seen_item_ids == ["a"]


def test_equal_timestamps_keep_the_later_row_first(tmp_path: Path) -> None:
    events = [dict(EVENTS[0], item_id=item) for item in "pqr"]
    assert read_events(_write(tmp_path / "e.csv", events), ["007"]).records["007"].item_ids == ["r", "q", "p"]


@pytest.mark.parametrize("text", ["2023-11-14 22:13:30", "2023-11-14T22:13:30Z", "2023-11-14T23:13:30+01:00"])
def test_iso_times(tmp_path: Path, text: str) -> None:
    read = read_events(_write(tmp_path / "e.csv", [dict(EVENTS[0], timestamp=text)]), ["007"])
    assert read.records["007"].timestamps == [AS_OF + 10]
    assert parse_time(text) == AS_OF + 10


def test_newer_events_go_on_top(tmp_path: Path, histories: Path) -> None:
    newer = read_events(_write(tmp_path / "e.csv", EVENTS), ["anna", "007"], ["country"])
    merged = merge(read_histories(histories, ["anna", "bert"]), newer)
    assert merged.as_of == AS_OF + 31
    assert merged.records["anna"].item_ids == ["c", "bread", "dates", "bread"]
    assert merged.records["anna"].quantities == [0.5, 0.0, 6.0, 0.0]
    assert merged.records["anna"].seen_item_ids == ["c", "dates"]
    assert merged.records["anna"].context == {"country": "DE"}
    assert merged.records["007"].item_ids == ["b", "a"]
    assert merged.records["bert"].item_ids == ["eggs"]


def test_wrong_files_are_told_apart(tmp_path: Path, histories: Path) -> None:
    with pytest.raises(HistoryError, match="has no column history_item_ids"):
        read_histories(_write(tmp_path / "e.parquet", EVENTS), ["a"])
    (tmp_path / "x.parquet").write_bytes(b"no")
    with pytest.raises(HistoryError, match="cannot be read as Parquet"):
        read_histories(tmp_path / "x.parquet", ["a"])
    pq.write_table(pq.read_table(histories).replace_schema_metadata(None), tmp_path / "y.parquet")
    with pytest.raises(HistoryError, match="does not say as of when"):
        read_histories(tmp_path / "y.parquet", ["a"])
    (tmp_path / "e.csv").write_text("user,item\n1,2\n")
    with pytest.raises(HistoryError, match="has no column user_id, item_id, timestamp"):
        read_events(tmp_path / "e.csv", ["a"])
    with pytest.raises(HistoryError, match="column timestamp: expected seconds since 1970 or ISO times"):
        read_events(_write(tmp_path / "t.csv", [dict(EVENTS[0], timestamp="soon")]), ["007"])
    with pytest.raises(HistoryError, match="column quantity: expected numbers"):
        read_events(_write(tmp_path / "q.jsonl", [dict(EVENTS[0], quantity="many")]), ["007"])
    with pytest.raises(HistoryError, match="cannot tell what it is"):
        read_events(tmp_path / "e.xlsx", ["a"])


def test_holidays_have_the_calendars_name() -> None:
    christmas = parse_time("2026-12-25T12:00")
    assert holiday_name(christmas, "FR") == "Noël"
    assert holiday_name(christmas - DAY, "FR") == ""
    with pytest.raises(CalendarError, match="no calendar for 'XX'"):
        holiday_name(christmas, "XX")
