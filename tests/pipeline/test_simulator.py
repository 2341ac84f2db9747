"""The files of a simulated shop: same bytes for a seed, exact counts, order, memory, errors."""

import csv
import datetime
import gzip
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import schema
from pipeline.simulator import FORMATS, Format, Plan, SimulationError, simulate
from pipeline.simulator.csv_lines import csv_header, csv_lines

SMALL = Plan(users=60, items=45, events=3_000, seed=11, days=120)
FILES = ("users.csv", "items.csv", "events.csv", "truth.json", "truth_users.parquet", "truth_items.parquet")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "small"
    simulate(SMALL, folder)
    return folder


def run_elsewhere(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_another_process_locale_zone_and_hash_seed_write_the_same_bytes(small: Path, tmp_path: Path) -> None:
    code = (
        "import datetime, pathlib; from pipeline.simulator import Plan, simulate; "
        f"simulate({SMALL!r}, pathlib.Path({str(tmp_path / 'again')!r}))"
    )
    run_elsewhere(code, PYTHONHASHSEED="123", TZ="Asia/Tokyo", LANGUAGE="de", LANG="de_DE.UTF-8")
    assert contents(tmp_path / "again") == contents(small)


@pytest.mark.parametrize("table_format", ["csv", "csv.gz"])
def test_the_size_of_the_chunks_changes_no_byte(table_format: Format, tmp_path: Path) -> None:
    simulate(SMALL, tmp_path / "one", table_format=table_format)
    simulate(SMALL, tmp_path / "two", table_format=table_format, chunk_rows=97)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_another_seed_changes_every_table(small: Path, tmp_path: Path) -> None:
    simulate(Plan(users=60, items=45, events=3_000, seed=12, days=120), tmp_path / "other")
    ours, theirs = contents(small), contents(tmp_path / "other")
    assert sorted(ours) == sorted(theirs) == sorted(FILES)
    assert [name for name in FILES if ours[name] == theirs[name]] == []


def test_more_events_leave_the_products_and_customers_as_they_are(small: Path, tmp_path: Path) -> None:
    simulate(Plan(users=60, items=45, events=4_000, seed=11, days=120), tmp_path / "more")
    for name in ("users.csv", "items.csv", "truth_users.parquet", "truth_items.parquet"):
        assert (tmp_path / "more" / name).read_bytes() == (small / name).read_bytes()


@pytest.mark.parametrize(
    ("users", "items", "events", "days"),
    [(1, 1, 1, 1), (1, 1, 500, 2), (3, 20, 17, 400), (50, 7, 20_001, 30), (200, 3, 999, 366)],
)
def test_counts_are_exact_and_time_never_goes_back(
    users: int, items: int, events: int, days: int, tmp_path: Path
) -> None:
    plan = Plan(users=users, items=items, events=events, seed=5, days=days)
    simulate(plan, tmp_path / "shop")
    found = {name: rows(tmp_path / "shop" / f"{name}.csv") for name in ("users", "items", "events")}
    assert {name: len(table) for name, table in found.items()} == {"users": users, "items": items, "events": events}
    times = [datetime.datetime.fromisoformat(row["timestamp"]) for row in found["events"]]
    assert times == sorted(times)
    first = datetime.datetime.combine(plan.start, datetime.time(), datetime.UTC)
    assert first <= times[0]
    assert times[-1] < first + datetime.timedelta(days=days)


def test_columns_are_the_canonical_ones_and_references_hold(small: Path) -> None:
    users, items, events = (rows(small / f"{name}.csv") for name in ("users", "items", "events"))
    assert list(users[0]) == [column.name for column in schema.USER_COLUMNS]
    assert set(items[0]) - {"attributes"} == {column.name for column in schema.ITEM_COLUMNS} - {"stock", "rating"}
    assert set(events[0]) == {column.name for column in schema.EVENT_COLUMNS} - {"title", "place", "position"}
    assert {row["event_type"] for row in events} == set(schema.EVENT_TYPES)
    item_ids, user_ids = [row["item_id"] for row in items], [row["user_id"] for row in users]
    assert item_ids == sorted(set(item_ids))
    assert user_ids == sorted(set(user_ids))
    assert {row["item_id"] for row in events} <= {"", *item_ids}
    assert {row["user_id"] for row in events} <= {"", *user_ids}
    assert all(float(row["price"]) > 0 for row in items)
    assert all(len(row["category"].split(schema.CATEGORY_SEPARATOR)) == 3 for row in items)


def test_each_event_type_says_what_it_should(small: Path) -> None:
    prices = {row["item_id"]: float(row["price"]) for row in rows(small / "items.csv")}
    for row in rows(small / "events.csv"):
        kind = row["event_type"]
        assert bool(row["item_id"]) == (kind != "search")
        assert bool(row["session_id"]) == (kind != "rate")
        assert bool(row["order_id"]) == (kind == "purchase")
        assert bool(row["price"]) == bool(row["quantity"]) == (kind in {"cart", "purchase"})
        if kind == "search":
            assert row["query"]
        if kind == "purchase":
            assert float(row["value"]) == pytest.approx(float(row["quantity"]) * prices[row["item_id"]], abs=0.005)
        elif kind == "rate":
            assert row["value"] in {"1", "2", "3", "4", "5"}
            assert row["user_id"]
        else:
            assert row["value"] == ""


def test_formats_hold_the_same_rows(small: Path, tmp_path: Path) -> None:
    simulate(SMALL, tmp_path / "gz", table_format="csv.gz")
    simulate(SMALL, tmp_path / "parquet", table_format="parquet", chunk_rows=1_000)
    for name in ("users", "items", "events"):
        plain = (small / f"{name}.csv").read_bytes()
        assert gzip.decompress((tmp_path / "gz" / f"{name}.csv.gz").read_bytes()) == plain
        table = pq.read_table(tmp_path / "parquet" / f"{name}.parquet")
        if name == "events":  # Parquet counts milliseconds
            table = table.set_column(2, "timestamp", table["timestamp"].cast(pa.timestamp("s", tz="UTC")))
        assert csv_header(table.column_names) + csv_lines(table) == plain


def test_csv_lines_are_read_back_by_the_standard_library() -> None:
    texts = ["plain", "", 'a "quoted" word', "a,b", "two\nlines", "a;b", "été"]
    table = pa.table({"text": texts, "number": pa.array([1.5, None, 3.0, 0.1, 2.25, 7.0, 1e6])})
    read = list(csv.reader(io.StringIO((csv_header(["text", "number"]) + csv_lines(table)).decode(), newline="")))
    assert read[0] == ["text", "number"]
    assert [row[0] for row in read[1:]] == texts
    assert [float(row[1]) if row[1] else None for row in read[1:]] == table["number"].to_pylist()
    assert csv_lines(table.slice(0, 0)) == b""


def test_a_holiday_to_prepare_for_is_found_where_two_fall_on_one_day(tmp_path: Path) -> None:
    # In 2022 Father's Day was on 19 June, a public holiday in the country whose list of such days is used.
    simulate(Plan(users=9, items=20, events=600, seed=1, start=datetime.date(2022, 6, 1), days=25), tmp_path / "shop")
    names: dict[str, set[str]] = {}
    for row in rows(tmp_path / "shop" / "events.csv"):
        names.setdefault(row["timestamp"][:10], set()).add(row["holiday"])
    assert names["2022-06-18"] == {"Father's Day"}
    assert names["2022-06-21"] == {""}


def peak_kib(events: int, folder: Path) -> int:
    code = (
        "import pathlib; from pipeline.simulator import Plan, simulate; "
        f"plan, folder = Plan(users=300, items=200, events={events}, seed=1), pathlib.Path({str(folder)!r}); "
        "simulate(plan, folder, chunk_rows=8192); "
        "print(pathlib.Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    return int(run_elsewhere(code))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from Linux's /proc")
def test_memory_does_not_grow_with_the_number_of_events(tmp_path: Path) -> None:
    few, many = peak_kib(20_000, tmp_path / "few"), peak_kib(400_000, tmp_path / "many")
    assert many - few < 16 * 1024
    # The file itself would not fit into what was added.
    assert (tmp_path / "many" / "events.csv").stat().st_size > 30e6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"users": 0}, "users: expected 1 or more, got 0"),
        ({"items": 0}, "items: expected 1 or more, got 0"),
        ({"events": -1}, "events: expected 1 or more, got -1"),
        ({"days": 0}, "days: expected 1 or more, got 0"),
        ({"seed": -1}, "seed: expected 0 or more, got -1"),
        ({"new_items": 1.0}, "new_items: expected a share from 0 to below 1, got 1.0"),
        ({"start": datetime.date(2199, 12, 1)}, "start and days: expected days from 1970 to 2200, got 800 days"),
    ],
)
def test_a_plan_out_of_range_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        Plan(**{"users": 1, "items": 1, "events": 1, "seed": 1, "days": 800, **change})


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SimulationError, match="expected a folder, found a file"):
        simulate(SMALL, tmp_path / "file")
    with pytest.raises(SimulationError, match=r"file/inside: cannot be written: Not a directory"):
        simulate(SMALL, tmp_path / "file" / "inside")


def stop_at_once(_: int) -> None:
    raise KeyboardInterrupt


def fail_to_write(_: int) -> None:
    raise OSError(28, "No space left on device")


def test_an_interrupted_simulation_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        simulate(SMALL, tmp_path / "shop", on_progress=stop_at_once)
    assert list((tmp_path / "shop").iterdir()) == []
    simulate(SMALL, tmp_path / "shop")  # and the folder counts as empty


@pytest.mark.parametrize(("failure", "error"), [(stop_at_once, KeyboardInterrupt), (fail_to_write, SimulationError)])
def test_a_failed_replacement_leaves_the_earlier_tables(
    failure: Callable[[int], None], error: type[BaseException], tmp_path: Path
) -> None:
    simulate(SMALL, tmp_path / "shop")
    before = contents(tmp_path / "shop")
    with pytest.raises(error):
        simulate(Plan(users=5, items=5, events=50, seed=1), tmp_path / "shop", force=True, on_progress=failure)
    assert contents(tmp_path / "shop") == before


def test_force_replaces_the_tables_of_every_format_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    simulate(SMALL, folder, table_format="csv.gz")
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(SimulationError, match=r"expected an empty or new folder, found events\.csv\.gz"):
        simulate(SMALL, folder)
    simulate(SMALL, folder, force=True)
    assert sorted(contents(folder)) == sorted([*FILES, "notes.txt"])


def test_the_progress_counts_up_to_the_last_event(tmp_path: Path) -> None:
    told: list[int] = []
    simulate(SMALL, tmp_path / "shop", on_progress=told.append, chunk_rows=1_000)
    assert told == [1_000, 2_000, 3_000]


def test_every_format_is_offered_by_the_command() -> None:
    from pipeline.commands.simulate import command

    choice = next(parameter for parameter in command.params if parameter.name == "table_format").type
    assert tuple(choice.choices) == FORMATS
