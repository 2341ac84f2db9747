import gzip
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from table_files import (
    HEADER,
    ROWS,
    import_report,
    lines,
    read_events,
    shop,
    write,
    write_parquet,
)

from pipeline.sources import parts as source_parts
from pipeline.sources.parts import open_source
from pipeline.sources.source import SourcePart
from pipeline.tables import TableError, import_tables, plan_parts


def _write_rows(path: Path) -> None:
    frame = pd.DataFrame(ROWS)
    text = frame.to_csv(index=False) if ".csv" in path.name else frame.to_json(orient="records", lines=True)
    if path.suffix == ".parquet":
        write_parquet(path, {name: list(column) for name, column in frame.items()})
    else:
        write(path, gzip.compress(text.encode()) if path.suffix == ".gz" else text)


@pytest.mark.parametrize("name", ["e.csv", "e.csv.gz", "e.parquet", "e.jsonl", "e.ndjson", "e.jsonl.gz"])
def test_every_format_reads_the_same_rows(tmp_path: Path, name: str) -> None:
    _write_rows(tmp_path / name)
    report = import_report(shop(tmp_path / name), tmp_path / "tables")
    assert report["events"]["kept"] == 20
    events = read_events(tmp_path / "tables").sort_values("timestamp")
    expected = pd.DataFrame(ROWS)
    assert list(events["user_id"]) == list(expected["user_id"])
    assert list(events["price"]) == list(expected["price"])
    assert list(events["timestamp"]) == [1_704_067_200 + row for row in range(20)]


BROKEN: dict[str, tuple[str, str | bytes, dict[str, Any], list[str]]] = {
    "truncated gzip": ("e.csv.gz", gzip.compress((HEADER + lines(5000)).encode())[:-40], {}, ["truncated", "again"]),
    "truncated gzip of JSON": ("e.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 5000)[:-20], {}, ["truncated", "again"]),
    "damaged gzip": ("e.csv.gz", b"\x1f\x8b\x08" + b"x" * 100, {}, ["e.csv.gz"]),
    "semicolons": ("e.csv", (HEADER + lines(3)).replace(",", ";"), {}, ["one column", "';'", "delimiter: ';'"]),
    "tabs": ("e.csv", (HEADER + lines(3)).replace(",", "\t"), {}, ["one column", r'delimiter: "\t"']),
    "wrong delimiter": ("e.csv", HEADER + lines(3), {"delimiter": "|"}, ["one column", "delimiter: ','"]),
    "empty file": ("e.csv", "", {}, ["empty", "tables.events.path"]),
    "only a header": ("e.csv", HEADER, {}, ["empty", "no rows"]),
    "only a header without an end": ("e.csv", HEADER.strip(), {}, ["empty", "no rows"]),
    "empty JSON": ("e.jsonl", "\n\n", {}, ["empty", "no rows"]),
    "missing column": (
        "e.csv",
        (HEADER + lines(3)).replace("timestamp", "when"),
        {},
        ["'timestamp'", "user_id, item_id, when, event_type, price", "tables.events.columns.timestamp"],
    ),
    "listed column missing": (
        "e.csv",
        HEADER + lines(3),
        {"columns": {"user_id": "customer"}},
        ["'customer'", "tables.events.columns.user_id", "user_id, item_id"],
    ),
    "listed column in no JSON row": (
        "e.jsonl",
        "\n".join(json.dumps(row) for row in ROWS),
        {"columns": {"query": "search.text"}},
        ["'search.text'", "tables.events.columns.query", "event_type, item_id"],
    ),
    "repeated header": ("e.csv", "user_id," + HEADER + "u," + lines(1), {}, ["'user_id'", "2 times", "rename"]),
    "UTF-16": ("e.csv", (HEADER + lines(3)).encode("utf-16"), {}, ["UTF-16", "iconv"]),
    "Latin-1 throughout": (
        "e.csv",
        HEADER.encode() + "ü1,i1,2024-01-01,view,1\n".encode("latin-1") * 5,
        {},
        ["5 of 5 rows", "invalid UTF-8", "row 1", "iconv"],
    ),
    "zero bytes": ("e.csv", b"\0\1\2" * 50, {}, ["zero bytes", "format"]),
    "unknown ending": ("e.txt", HEADER, {}, ["ending", "csv, parquet, jsonl or ubi"]),
    "text as Parquet": ("e.parquet", HEADER + lines(3), {}, ["truncated or damaged", "e.parquet"]),
    "an array of JSON": ("e.jsonl", json.dumps(ROWS), {}, ["array", "jq"]),
    "JSON over several lines": ("e.jsonl", json.dumps(ROWS[0], indent=1), {}, ["not a JSON object", "one JSON object"]),
    "an object in a column": (
        "e.jsonl",
        json.dumps({**ROWS[0], "item_id": {"sku": 1}}),
        {},
        ["'item_id' holds an object", "item_id.sku"],
    ),
    "timestamps of another form": (
        "e.csv",
        (HEADER + lines(5)).replace("2024-01-01T", "01/02/2024 "),
        {},
        ["5 of 5 rows", "'timestamp'", "row 1: '01/02/2024 00:00:00'", "ISO 8601", "tables.events.columns.timestamp"],
    ),
    "words for numbers": (
        "e.csv",
        HEADER + lines(1) + "u,i,2024-01-01,view,cheap\n" * 2,
        {},
        ["2 of 3 rows", "'price'", "row 2: 'cheap'", "plain numbers"],
    ),
    "unknown event types": (
        "e.csv",
        (HEADER + lines(3)).replace("purchase", "sold"),
        {},
        ["3 of 3 rows", "row 1: 'sold'", "tables.events.event_types", "purchase"],
    ),
    "a quote that is never closed": ("e.csv", HEADER + lines(9) + '"u' + lines(50), {}, ["quote", "near row 10"]),
    "nothing left": (
        "e.csv",
        HEADER + lines(3),
        {"cleaning": [{"rule": "outlier", "column": "price", "min": 100}]},
        ["nothing is left", "3 rows read", "outlier: price: 3"],
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_useless_file_is_a_clear_error(tmp_path: Path, case: str) -> None:
    name, content, options, fragments = BROKEN[case]
    with pytest.raises(TableError) as raised:
        import_tables(shop(write(tmp_path / name, content), **options), tmp_path / "tables")
    assert [fragment for fragment in fragments if fragment not in str(raised.value)] == [], str(raised.value)


def test_a_glob_without_files_names_what_lies_there(tmp_path: Path) -> None:
    write(tmp_path / "events.csv", HEADER)
    with pytest.raises(TableError, match=r"tables\.events\.path: no file matches .*; that folder has events\.csv"):
        plan_parts(shop(tmp_path / "*.parquet"))
    with pytest.raises(TableError, match="is a folder; name a file or a glob"):
        plan_parts(shop(tmp_path))


@pytest.mark.parametrize("cut", [4, 60])
def test_a_truncated_parquet_file_is_a_clear_error(tmp_path: Path, cut: int) -> None:
    path = write_parquet(tmp_path / "e.parquet", {"user_id": ["u"], "item_id": ["i"]})
    write(path, path.read_bytes()[:-cut])
    with pytest.raises(TableError, match=r"e\.parquet: the file is truncated or damaged"):
        plan_parts(shop(path))


def test_bad_rows_are_counted_with_their_numbers(tmp_path: Path) -> None:
    rows = [
        lines(10),
        "u,i\n",  # row 11
        lines(10),
        "u,i,2024-01-01,view,1,2,3\n",  # row 22
        "u,i,yesterday,view,1\n",
        "u,i,,view,1\n",
        "u,i,2024-01-01,view,abc\n",
        "u,i,2024-01-01,shown,1\n",
        "u,i,9999-12-31,view,1\n",
        "u,i,2024-01-01,view,inf\n",
    ]
    text = (HEADER + "".join(rows)).encode() + "ü,i,2024-01-01,view,1\n".encode("latin-1") + lines(10).encode()
    report = import_report(shop(write(tmp_path / "e.csv", text)), tmp_path / "tables")["events"]
    found = {
        reason: [(example["row"], example["value"]) for example in drop["examples"]]
        for reason, drop in report["dropped"].items()
    }
    assert report["read"] == 39
    assert found == {
        "row: wrong number of fields": [
            (11, "2 fields for 5 columns: u,i"),
            (22, "7 fields for 5 columns: u,i,2024-01-01,view,1,2,3"),
        ],
        "row: invalid UTF-8": [(29, "\ufffd")],
        "timestamp: missing": [(24, "")],
        "timestamp: unparsable": [(23, "yesterday"), (27, "9999-12-31")],
        "event_type: unknown": [(26, "shown")],
        "price: unparsable": [(25, "abc"), (28, "inf")],
    }


def test_giant_fields_are_cut_or_dropped_and_counted(tmp_path: Path) -> None:
    rows = [
        "title," + HEADER,
        *("t," + line + "\n" for line in lines(39_999).splitlines()),
        "short\n",
        "t,u," + "x" * 1_000_000 + ",2024-01-01,view,1\n",
        "y" * 3_000_000 + ",u,i,2024-01-01,view,1\n",
        *("t," + line + "\n" for line in lines(5).splitlines()),
    ]
    report = import_report(shop(write(tmp_path / "e.csv", "".join(rows))), tmp_path / "tables")["events"]
    assert report["read"] == 40_007
    assert [example["row"] for example in report["dropped"]["item_id: longer than 512 characters"]["examples"]] == [
        40_001
    ]
    assert report["notes"] == {"title: cut to 10,000 characters": 1}
    assert read_events(tmp_path / "tables")["title"].str.len().max() == 10_000


def test_text_files_may_have_a_mark_other_line_ends_and_quotes(tmp_path: Path) -> None:
    text = "\n\ntitle," + HEADER + '"a ""b"", c\nd",' + lines(1) + '12" pan,' + lines(1)
    report = import_report(
        shop(write(tmp_path / "e.csv", text.replace("\n", "\r\n").encode("utf-8-sig"))), tmp_path / "t"
    )
    assert report["events"]["kept"] == 2
    assert sorted(read_events(tmp_path / "t")["title"]) == ['12" pan', 'a "b", c\r\nd']


def test_row_groups_become_parts_and_rows_keep_their_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{**row, "price": "?" if index == 17 else "1"} for index, row in enumerate(ROWS)]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    path = write_parquet(tmp_path / "e.parquet", columns, row_group_size=3)
    monkeypatch.setattr(source_parts, "_PART_ROWS", 7)
    parts = plan_parts(shop(path))
    assert [part.row_groups for part in parts] == [(0, 1), (2, 3), (4, 5), (6,)]
    assert [(part.index, part.rows, part.first_row) for part in parts] == [(0, 6, 0), (1, 6, 6), (2, 6, 12), (3, 2, 18)]
    report = import_report(shop(path), tmp_path / "tables")
    assert report["events"]["dropped"]["price: unparsable"]["examples"][0]["row"] == 18


def test_parquet_types_and_nested_columns_are_read(tmp_path: Path) -> None:
    columns = {
        "who": pa.array([17850.0, None, 3.5]),
        "object": pa.array([{"id": 7}, {"id": 8}, {"id": 9}]),
        "day": pa.array([19723, 19724, 19725], pa.date32()),
        "event_type": pa.array(["view", "cart", "view"]).dictionary_encode(),
        "query": pa.array([["red", None, "shoe"], None, []]),
        "price": pa.array(["1.5", None, "2"]),
    }
    mapping = {"user_id": "who", "item_id": "object.id", "timestamp": "day"}
    import_report(shop(write_parquet(tmp_path / "e.parquet", columns), columns=mapping), tmp_path / "t")
    events = read_events(tmp_path / "t").sort_values("timestamp")
    assert list(events["user_id"]) == ["17850", "", "3.5"]
    assert list(events["item_id"]) == ["7", "8", "9"]
    assert list(events["timestamp"]) == [19723 * 86_400, 19724 * 86_400, 19725 * 86_400]
    assert list(events["query"]) == ["red shoe", "", ""]
    assert list(events["price"].fillna(-1)) == [1.5, -1, 2]


def test_a_parquet_column_that_cannot_be_text_is_a_clear_error(tmp_path: Path) -> None:
    columns = {"user_id": pa.array([{"id": 1}]), "timestamp": [1], "event_type": ["view"]}
    with pytest.raises(TableError, match=r"has no column 'user_id'.* Its columns: user_id\.id"):
        import_tables(
            shop(write_parquet(tmp_path / "e.parquet", columns), columns={"user_id": "user_id"}), tmp_path / "t"
        )
    columns["user_id"] = pa.array([1], pa.time32("s"))
    with pytest.raises(TableError, match=r"'user_id' is of type time32"):
        import_tables(shop(write_parquet(tmp_path / "e.parquet", columns)), tmp_path / "t")


def test_batches_are_bounded(tmp_path: Path) -> None:
    path = write(tmp_path / "e.csv", HEADER + lines(120_000))
    sizes = [
        len(batch.rows) for batch in open_source(SourcePart("events", 0, str(path), "csv", 0)).batches(["item_id"])
    ]
    assert sum(sizes) == 120_000
    assert max(sizes) <= 80_000
