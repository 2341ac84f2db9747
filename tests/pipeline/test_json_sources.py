"""JSON lines, and the behaviour tables of UBI, which are JSON lines too."""

from pathlib import Path
from typing import Any

import pytest
from table_files import (
    ROWS,
    dropped,
    import_report,
    read_events,
    rows_of,
    shop,
    write_json_lines,
)

from pipeline.tables import TableError, import_tables, plan_parts


def test_json_values_of_several_types_become_text(tmp_path: Path) -> None:
    odd: list[Any] = [
        {"user_id": 5, "item_id": "x", "timestamp": "2024-01-01T00:00:00Z", "event_type": "view", "price": "2.5"},
        {
            "user_id": None,
            "item_id": 7.0,
            "timestamp": 1_704_067_201_000,
            "event_type": "view",
            "query": ["a", None, 1],
        },
        {"user_id": 10**30, "item_id": True, "timestamp": 1_704_067_202, "event_type": "view", "price": None},
        '{"user_id": "\\ud800", "item_id": 1.5, "timestamp": 1704067203.9, "event_type": "VIEW"}',
        "{broken",
        "[1, 2]",
        "",
        "[" * 100_000,
    ]
    report = import_report(shop(write_json_lines(tmp_path / "e.jsonl", odd)), tmp_path / "t")
    assert dropped(report) == {"row: not a JSON object": 3}
    events = read_events(tmp_path / "t").sort_values("timestamp")
    assert list(events["user_id"]) == ["5", "", "1" + "0" * 30, "?"]
    assert list(events["item_id"]) == ["x", "7", "true", "1.5"]
    assert list(events["timestamp"]) == [1_704_067_200 + row for row in range(4)]
    assert list(events["query"]) == ["", "a 1", "", ""]


def test_a_json_column_may_be_absent_in_one_file_but_not_in_all(tmp_path: Path) -> None:
    write_json_lines(tmp_path / "1.jsonl", ROWS)
    write_json_lines(tmp_path / "2.jsonl", [{**row, "q": "shoe"} for row in ROWS])
    report = import_report(shop(tmp_path / "*.jsonl", columns={"query": "q"}), tmp_path / "t")
    assert report["events"]["kept"] == 40
    with pytest.raises(TableError, match="has no column 'q'"):
        import_tables(shop(tmp_path / "1.jsonl", columns={"query": "q"}), tmp_path / "t2")


QUERIES: list[Any] = [
    {"query_id": "q1", "client_id": "c1", "user_query": "red shoe", "timestamp": "2024-01-01T00:00:00.5Z"},
    {"query_id": "q1", "client_id": "c1", "user_query": "red shoe", "timestamp": "2024-01-01T00:00:01Z"},
    {"query_id": "q2", "client_id": "c2", "user_query": "lamp", "timestamp": "2024-01-01T00:00:02.000+0000"},
]
EVENTS: list[Any] = [
    {"action_name": action, "query_id": query, "client_id": client, "timestamp": f"2024-01-01T00:01:0{row}Z"}
    | {"event_attributes": {"object": {"object_id": item}}}
    for row, (action, query, client, item) in enumerate(
        [
            ("impression", "q1", "c1", "a"),
            ("click", "q1", "c1", "a"),
            ("add_to_cart", "q2", None, "b"),
            ("click", "q9", "c3", "c"),
        ]
    )
]


def test_ubi_events_carry_the_text_of_their_query(tmp_path: Path) -> None:
    queries = write_json_lines(tmp_path / "queries.ndjson", QUERIES)
    events = write_json_lines(tmp_path / "events.ndjson", EVENTS)
    config = shop(events, format="ubi", queries_path=str(queries))
    report = import_report(config, tmp_path / "t")
    assert dropped(report) == {"duplicate: query_id, user_query": 1, "event_type: ignored": 1}
    found = read_events(tmp_path / "t").sort_values("timestamp")
    assert rows_of(found, "user_id", "event_type", "item_id", "query") == [
        ["c1", "search", "", "red shoe"],
        ["c2", "search", "", "lamp"],
        ["c1", "click", "a", "red shoe"],
        ["c2", "cart", "b", "lamp"],
        ["c3", "click", "c", ""],
    ]


def test_ubi_is_for_events(tmp_path: Path) -> None:
    path = write_json_lines(tmp_path / "e.ndjson", EVENTS)
    with pytest.raises(TableError, match=r"tables\.items\.format: 'ubi' is a format of events"):
        plan_parts(shop(path, format="ubi", items={"path": str(path), "format": "ubi"}))
