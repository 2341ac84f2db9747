import json
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from table_files import (
    HEADER,
    dropped,
    import_report,
    lines,
    read_events,
    read_table,
    rows_of,
    shop,
    write,
)

from pipeline import schema
from pipeline.derived_items import DerivedItems
from pipeline.event_buckets import bucket_of, buckets_for
from pipeline.tables import (
    bucket_count,
    finish_tables,
    import_events_part,
    import_items,
    import_tables,
    import_users,
    merge_bucket,
    plan_parts,
)

ROOT = Path(__file__).parents[2]
COLUMNS = [column.name for column in schema.EVENT_COLUMNS]


def _many_events(path: Path, rows: int, seed: int = 3) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    users = [f"u{user}" if user else "" for user in random.integers(0, 40, rows)]
    frame = pd.DataFrame(
        {
            "user_id": users,
            "session_id": [f"s{session}" if session else "" for session in random.integers(0, 9, rows)],
            "item_id": [f"i{item}" for item in random.integers(0, 25, rows)],
            "timestamp": random.integers(1_704_067_200, 1_704_067_200 + 500, rows),
            "event_type": random.choice(["view", "cart", "purchase"], rows),
            "price": random.integers(1, 6, rows).astype(float),
            "title": random.choice(["red", "blue", "green", ""], rows),
            "channel": random.choice(["web", "app"], rows),
        }
    )
    frame.to_csv(path, index=False)
    return frame


def test_buckets_hold_whole_visitors_in_order(tmp_path: Path) -> None:
    frame = _many_events(tmp_path / "e.csv", 3_000)
    config = shop(tmp_path / "e.csv", sections={"runner": {"event_buckets": 7}}, columns={"channel": "channel"})
    import_report(config, tmp_path / "t")
    owners: dict[str, str] = {}
    for path in sorted((tmp_path / "t" / "events").iterdir()):
        bucket = read_table(path)
        assert list(bucket.columns) == [*COLUMNS, "channel", "visitor"]
        keys = list(zip(bucket["visitor"], bucket["timestamp"], strict=True))
        assert keys == sorted(keys)
        for visitor in set(bucket["visitor"]) - {""}:
            assert owners.setdefault(visitor, path.name) == path.name
    assert len(set(owners.values())) == 7

    sessions = np.where(frame["session_id"] == "", "", "session:" + frame["session_id"])
    frame["visitor"] = np.where(frame["user_id"] == "", sessions, frame["user_id"])
    expected = frame.sort_values(["visitor", "timestamp"], kind="stable")
    names = ["visitor", "timestamp", "item_id", "event_type", "price", "title", "channel"]
    found = read_events(tmp_path / "t").sort_values(["visitor", "timestamp"], kind="stable")
    named = found["visitor"] != ""  # events of nobody keep their second, not their order
    assert rows_of(found[named], *names) == rows_of(expected[expected["visitor"] != ""], *names)
    nobody = expected[expected["visitor"] == ""]
    assert sorted(map(str, rows_of(found[~named], *names))) == sorted(map(str, rows_of(nobody, *names)))


def test_the_bucket_of_a_visitor_never_changes() -> None:
    visitors = ["u1", "session:4", "", "ü", ""]
    seconds = [5, 6, 7, 8, 1_704_067_200]
    found = bucket_of(pa.chunked_array([visitors]), pa.chunked_array([seconds]), 97)
    spread = 0x9E3779B97F4A7C15
    by_hand = [
        zlib.crc32(visitor.encode()) % 97 if visitor else (second * spread % 2**64 >> 32) % 97
        for visitor, second in zip(visitors, seconds, strict=True)
    ]
    assert list(found) == by_hand


def test_the_number_of_buckets_follows_the_size() -> None:
    assert [buckets_for(rows) for rows in (0, 1, 65_536, 65_537, 5_000_000, 10**9)] == [1, 1, 1, 2, 77, 256]


def test_steps_of_workers_make_the_same_bytes_and_can_be_repeated(tmp_path: Path) -> None:
    for part in range(3):
        write(tmp_path / f"e{part}.csv", HEADER + lines(400, start=part * 400) + "u,i,never,view,1\n")
    sections = {"runner": {"event_buckets": 2}}
    config = shop(tmp_path / "e*.csv", sections=sections, cleaning=[{"rule": "duplicate", "columns": ["timestamp"]}])
    one = import_tables(config, tmp_path / "one")

    many, parts = tmp_path / "many", plan_parts(config)
    import_users(config, parts, many)
    reports = [import_items(config, parts, many)]
    events = [part for part in parts if part.table == "events"]
    import_events_part(config, events[1], many)  # a worker that died: its work is done again
    reports += [import_events_part(config, part, many) for part in reversed(events)]
    merge_bucket(config, many, 0)
    reports += [merge_bucket(config, many, bucket) for bucket in reversed(range(bucket_count(parts)))]
    total = finish_tables(config, parts, many, reports)

    assert total.tables["events"].kept == one.tables["events"].kept == 1200
    assert dropped(total.to_json()["tables"]) == {"timestamp: unparsable": 3}
    names = sorted(str(path.relative_to(many)) for path in many.rglob("*.parquet"))
    assert names == ["events/bucket-00000.parquet", "events/bucket-00001.parquet", "items.parquet", "users.parquet"]
    assert all((many / name).read_bytes() == (tmp_path / "one" / name).read_bytes() for name in names)


def test_the_report_is_written_beside_the_tables(tmp_path: Path) -> None:
    config = shop(write(tmp_path / "e.csv", HEADER + lines(5) + "u,i,never,view,1\n"))
    report = import_report(config, tmp_path / "t")
    assert json.loads((tmp_path / "t" / "report.json").read_text()) == {"tables": report}
    assert report["events"]["dropped"]["timestamp: unparsable"] == {
        "rows": 1,
        "examples": [{"file": str(tmp_path / "e.csv"), "row": 6, "value": "never"}],
    }
    assert not (tmp_path / "t" / "events" / ".parts").exists()


def test_columns_constants_types_and_values(tmp_path: Path) -> None:
    text = "when;who;what;name;colour;kind;qty;each;shop\n" + "\n".join(
        [
            "2024-01-01;17850.0;a;Lamp;red;BUY;2;1.5;north",
            "2024-01-02;17850;b;;blue;look;1;2;south",
            "2024-01-03;;b; ;;noise;1;2;south",
            "2024-01-04;7;c;Pan;;Purchase;;2;south",
        ]
    )
    columns = {
        "timestamp": "when",
        "user_id": "who",
        "item_id": "what",
        "title": ["name", "colour"],
        "event_type": "kind",
    }
    config = shop(
        write(tmp_path / "e.csv", text),
        delimiter=";",
        columns=columns | {"quantity": "qty", "price": "each", "branch": "shop"},
        constants={"country": "GB"},
        event_types={"BUY": "purchase", "look": "view", "noise": "ignore"},
    )
    report = import_report(config, tmp_path / "t")
    assert dropped(report) == {"event_type: ignored": 1}
    events = read_events(tmp_path / "t").sort_values("timestamp")
    assert rows_of(events, "user_id", "title", "event_type", "country", "branch") == [
        ["17850", "Lamp red", "purchase", "GB", "north"],
        ["17850", "blue", "view", "GB", "south"],
        ["7", "Pan", "purchase", "GB", "south"],
    ]
    np.testing.assert_array_equal(events["value"], [3.0, np.nan, np.nan])  # of purchases: quantity times price
    assert not events[[name for name in COLUMNS if events[name].dtype == object]].isna().any().any()


def _oracle(events: pd.DataFrame) -> pd.DataFrame:
    def commonest(titles: pd.Series) -> str:
        counts = titles[titles != ""].value_counts()
        return str(min(counts[counts == counts.max()].index)) if len(counts) else ""

    grouped = events.groupby("item_id")
    titles, prices, first = grouped["title"].agg(commonest), grouped["price"].median(), grouped["timestamp"].min()
    return pd.DataFrame({"title": titles, "price": prices, "first_seen": first}).reset_index()


def test_derived_items_match_pandas_and_know_nothing_of_the_future(tmp_path: Path) -> None:
    frame = _many_events(tmp_path / "e.csv", 2_000)
    later = frame.assign(timestamp=frame["timestamp"] + 400 * 86_400, title="future", price=99.0)
    later.loc[:10, "item_id"] = "new"
    pd.concat([frame, later]).to_csv(tmp_path / "e.csv", index=False)
    import_report(shop(tmp_path / "e.csv"), tmp_path / "t")
    found, expected = read_table(tmp_path / "t" / "items.parquet"), _oracle(frame)
    names = ["item_id", "title", "price", "first_seen"]
    assert rows_of(found, *names) == rows_of(expected, *names)


def test_derived_items_do_not_depend_on_how_often_counts_are_compacted(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(5)
    events = pa.table(
        {
            "item_id": [f"i{item}" for item in random.integers(0, 30, 1000)],
            "timestamp": random.integers(0, 200, 1000),
            "price": random.integers(1, 9, 1000).astype(float),
            "title": random.choice(["a", "b", "c"], 1000),
        }
    )
    whole, pieces = DerivedItems(before=150), DerivedItems(before=150)
    whole.add(events)
    monkeypatch.setattr("pipeline.derived_items._COMPACT_ROWS", 20)
    for start in range(0, 1000, 50):
        pieces.add(events.slice(start, 50))
    assert pieces.table().equals(whole.table())


def test_first_seen_of_a_catalogue_comes_from_the_events(tmp_path: Path) -> None:
    items = write(tmp_path / "items.csv", "item_id,title\ni0,A\ni1,B\nunsold,C\n")
    config = shop(write(tmp_path / "e.csv", HEADER + lines(20)), items={"path": str(items)})
    import_report(config, tmp_path / "t")
    found = read_table(tmp_path / "t" / "items.parquet")
    assert rows_of(found, "item_id", "first_seen") == [["i0", 1_704_067_200], ["i1", 1_704_067_201], ["unsold", 0]]
    assert rows_of(read_table(tmp_path / "t" / "users.parquet")) == []


_PEAKS = """
import sys
from pathlib import Path
import pyarrow as pa
sys.path.insert(0, sys.argv[1])
from table_files import shop
from pipeline.tables import import_tables
for events in sys.argv[2:]:
    import_tables(shop(Path(events)), Path(events).with_suffix(""))
    print(pa.default_memory_pool().max_memory())
"""


def test_memory_does_not_grow_with_the_events(tmp_path: Path) -> None:
    paths = []
    for rows in (50_000, 250_000):
        text = "\n".join(
            f"user-{row * 7919 % 4999},item-{row % 997},2024-01-{row % 28 + 1:02d} 00:00:00Z,view,{row % 9},lamp {row}"
            for row in range(rows)
        )
        paths.append(str(write(tmp_path / f"{rows}.csv", HEADER.strip() + ",query\n" + text)))
    command = [sys.executable, "-c", _PEAKS, str(Path(__file__).parent), *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    small, large = map(int, done.stdout.split())
    assert large < 2 * small  # for five times the rows
