from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from table_files import HEADER, dropped, import_report, lines, read_events, read_table, rows_of, shop, write

from pipeline.cleaning.apply import clean
from pipeline.columns.convert import ROW
from pipeline.config import CleaningRule
from pipeline.report import TableReport
from pipeline.tables import TableError, plan_parts

NAN = float("nan")
ROWS = pa.table(
    {
        "order_id": ["C1", "2", "", "void", "c3"],
        "price": [1.0, 0.0, -1.0, NAN, 9.0],
        "item_id": ["a", "b", "", "z", "a"],
        ROW: [1, 2, 3, 4, 5],
    }
)


def _kept(**rule: Any) -> list[int]:
    report = TableReport("events", read=5)
    kept = clean(ROWS, [CleaningRule(**rule)], {"item_id": pa.array(["a", "b"])}, report, "file")
    report.kept = len(kept)
    assert report.read == report.kept + sum(drop.rows for drop in report.dropped.values())
    found: list[int] = kept[ROW].to_pylist()
    return found


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ({"rule": "cancelled", "column": "order_id", "prefix": "C"}, [2, 3, 4, 5]),
        ({"rule": "cancelled", "column": "order_id", "values": ["void", "2"]}, [1, 3, 5]),
        ({"rule": "cancelled", "column": "order_id", "prefix": "C", "values": ["void"]}, [2, 3, 5]),
        ({"rule": "non_positive", "column": "price"}, [1, 4, 5]),
        ({"rule": "missing", "column": "price"}, [1, 2, 3, 5]),
        ({"rule": "missing", "column": "order_id"}, [1, 2, 4, 5]),
        ({"rule": "outlier", "column": "price", "min": 0}, [1, 2, 4, 5]),
        ({"rule": "outlier", "column": "price", "max": 1}, [1, 2, 3, 4]),
        ({"rule": "outlier", "column": "price", "min": 0, "max": 1}, [1, 2, 4]),
        ({"rule": "unknown_reference", "column": "item_id"}, [1, 2, 3, 5]),
        ({"rule": "duplicate", "columns": ["item_id"]}, [1, 2, 3, 4]),
        ({"rule": "duplicate", "columns": ["item_id", "price"]}, [1, 2, 3, 4, 5]),
    ],
)
def test_each_rule_drops_what_it_says(rule: dict[str, Any], kept: list[int]) -> None:
    assert _kept(**rule) == kept


def test_rules_count_in_their_order_and_show_examples() -> None:
    rules = [CleaningRule(rule="non_positive", column="price"), CleaningRule(rule="missing", column="order_id")]
    first, second = TableReport("events"), TableReport("events")
    clean(ROWS, rules, {}, first, "file")
    clean(ROWS, rules[::-1], {}, second, "file")
    assert {reason: drop.rows for reason, drop in first.dropped.items()} == {"non_positive: price": 2}
    assert {reason: drop.rows for reason, drop in second.dropped.items()} == {
        "missing: order_id": 1,
        "non_positive: price": 1,
    }
    examples = [(example.file, example.row, example.value) for example in first.dropped["non_positive: price"].examples]
    assert examples == [("file", 2, "0.0"), ("file", 3, "-1.0")]


@pytest.mark.parametrize(
    ("table", "rule", "message"),
    [
        (
            "events",
            {"rule": "missing", "column": "colour"},
            r"tables\.events\.cleaning\.0: events have no column 'colour'",
        ),
        ("events", {"rule": "outlier", "column": "item_id", "min": 1}, "'outlier' cannot be used on 'item_id'"),
        ("events", {"rule": "cancelled", "column": "price", "prefix": "C"}, "'cancelled' cannot be used on 'price'"),
        ("events", {"rule": "duplicate", "columns": ["item_id", "x"]}, "no column 'x'"),
        ("events", {"rule": "unknown_reference", "column": "order_id"}, "item_id and user_id of events"),
        ("events", {"rule": "unknown_reference", "column": "user_id"}, "tables.users is missing"),
        ("items", {"rule": "unknown_reference", "column": "item_id"}, "item_id and user_id of events"),
    ],
)
def test_a_rule_that_does_not_fit_is_a_clear_error(tmp_path: Path, table: str, rule: Any, message: str) -> None:
    options: dict[str, Any] = (
        {"items": {"from_events": True, "cleaning": [rule]}} if table == "items" else {"cleaning": [rule]}
    )
    with pytest.raises(TableError, match=message):
        plan_parts(shop(write(tmp_path / "e.csv", HEADER + lines(3)), **options))


def test_duplicates_are_those_of_one_visitor_and_the_earliest_stays(tmp_path: Path) -> None:
    rows = [
        "u1,a,2024-01-02,view,2\n",
        "u1,a,2024-01-01,view,1\n",  # earlier in time, later in the file: this one stays
        "u2,a,2024-01-01,view,1\n",
        "u2,a,2024-01-01,cart,1\n",
        "u2,a,2024-01-01,cart,5\n",
    ]
    config = shop(
        write(tmp_path / "e.csv", HEADER + "".join(rows)),
        cleaning=[{"rule": "duplicate", "columns": ["item_id", "event_type"]}],
    )
    report = import_report(config, tmp_path / "t")
    assert dropped(report) == {"duplicate: item_id, event_type": 2}
    events = read_events(tmp_path / "t")
    assert rows_of(events, "user_id", "event_type", "price") == [
        ["u1", "view", 1.0],
        ["u2", "view", 1.0],
        ["u2", "cart", 1.0],
    ]


def test_events_of_unknown_items_and_users_are_dropped_searches_are_not(tmp_path: Path) -> None:
    items = write(tmp_path / "items.csv", "item_id,title\na,A\nb,B\n")
    users = write(tmp_path / "users.csv", "user_id\nu1\n")
    rows = [
        "u1,a,2024-01-01,view,",
        "u1,c,2024-01-01,view,",
        "u1,,2024-01-01,search,",
        "u9,a,2024-01-01,view,",
        ",b,2024-01-01,view,",
    ]
    config = shop(
        write(tmp_path / "e.csv", HEADER + "\n".join(rows)),
        items={"path": str(items)},
        users={"path": str(users)},
        cleaning=[
            {"rule": "unknown_reference", "column": "item_id"},
            {"rule": "unknown_reference", "column": "user_id"},
        ],
    )
    report = import_report(config, tmp_path / "t")
    assert dropped(report) == {"unknown_reference: item_id": 1, "unknown_reference: user_id": 1}
    assert sorted(read_events(tmp_path / "t")["item_id"]) == ["", "a", "b"]


def test_of_several_rows_of_an_item_or_user_the_last_counts(tmp_path: Path) -> None:
    items = write(
        tmp_path / "items.csv",
        "item_id,title,price\nb,first,1\na,A,-2\nb,second,3\n,nameless,1\nb.0,B,\n7.0,seven,2\n7,Seven,2\n",
    )
    users = write(tmp_path / "users.csv", "user_id,country,tier\nu,GB,1\nu,DE,2\n")
    config = shop(
        write(tmp_path / "e.csv", HEADER + "u,a,2024-01-01,view,1\n"),
        items={"path": str(items)},
        users={"path": str(users), "columns": {"level": "tier"}},
    )
    report = import_report(config, tmp_path / "t")
    assert dropped(report, "items") == {"item_id: missing": 1, "duplicate: item_id (the last row is kept)": 2}
    found = read_table(tmp_path / "t" / "items.parquet")
    assert rows_of(found, "item_id", "title", "price") == [
        ["7", "Seven", 2.0],
        ["a", "A", 0.0],
        ["b", "second", 3.0],
        ["b.0", "B", 0.0],
    ]
    assert rows_of(read_table(tmp_path / "t" / "users.parquet")) == [["u", "DE", "2"]]


_FIELD = st.sampled_from(["", "u1", "i2", "2024-01-01", "view", "sold", "7", "-1", "x", '"q,', "é", "1e999", "\n"])


@given(rows=st.lists(st.lists(_FIELD, min_size=0, max_size=7), max_size=12), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_file_the_report_adds_up_or_says_why_not(tmp_path: Path, rows: list[list[str]], seed: int) -> None:
    folder = tmp_path / str(np.random.default_rng(seed).integers(1 << 40))
    folder.mkdir(exist_ok=True)
    text = HEADER + lines(8) + "".join(",".join(row) + "\n" for row in rows)
    rules = [{"rule": "missing", "column": "user_id"}, {"rule": "duplicate", "columns": ["item_id", "timestamp"]}]
    config = shop(write(folder / "e.csv", text), cleaning=rules)
    try:
        report = import_report(config, folder / "t")
    except TableError as error:
        assert str(folder / "e.csv") in str(error)  # noqa: PT017 - most files give no error
    else:
        assert report["events"]["read"] >= 8
