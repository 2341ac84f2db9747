"""Which cases and which hits the slices hold, and how items are grouped."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from judged_cases import ITEMS, make_cases, random_cases

from trainer.cases import Cases
from trainer.evaluation.items import Items, read_items
from trainer.evaluation.slices import Slice, make_slices

DAY = 86_400
START = 1_000 * DAY


def _items(first_days: np.ndarray | None = None, groups: np.ndarray | None = None, by: str = "category") -> Items:
    groups = np.zeros(ITEMS, np.int64) if groups is None else groups
    first = None if first_days is None else START - first_days * DAY
    names = [f"group {group}" for group in range(int(groups.max()) + 1)]
    return Items([f"i{row:03}" for row in range(ITEMS)], groups, names, by, first)


def _slices(cases: Cases, items: Items, folder: Path, by: str) -> dict[str, Slice]:
    return {part.name: part for part in make_slices(cases, items, str(folder), START) if part.by == by}


def test_rare_countries_are_merged(tmp_path: Path) -> None:
    countries = ["GB"] * 50 + ["DE"] * 31 + ["FR"] * 20 + ["", "ES"]
    cases = random_cases(1, len(countries), country=countries)
    found = _slices(cases, _items(), tmp_path, "country")
    assert {name: len(part.truth) for name, part in found.items()} == {"GB": 50, "DE": 31, "others (3)": 22}
    assert found["DE"].keep.tolist() == [country == "DE" for country in countries]
    assert all((one == cases.truth[50 + place]).all() for place, one in enumerate(found["DE"].truth))


def test_countries_come_from_the_users_where_the_cases_have_none(tmp_path: Path) -> None:
    cases = random_cases(2, 80)
    assert _slices(cases, _items(), tmp_path, "country") == {}
    users = pa.table({"user_id": [f"u{place}" for place in range(79)], "country": ["GB"] * 40 + ["DE"] * 39})
    pq.write_table(users, tmp_path / "users.parquet")
    found = _slices(cases, _items(), tmp_path, "country")
    assert {name: len(part.truth) for name, part in found.items()} == {"GB": 40, "DE": 39, "others (1)": 1}


def test_one_country_is_no_slice(tmp_path: Path) -> None:
    assert _slices(random_cases(3, 90, country=["GB"] * 90), _items(), tmp_path, "country") == {}


def test_activity_has_bands_of_equal_size(tmp_path: Path) -> None:
    seen = [list(range(size)) for size in (1, 2, 3, 4, 5, 6, 7, 8) for _ in range(10)]
    cases = make_cases([[1]] * 80, seen)
    found = _slices(cases, _items(), tmp_path, "items had before")
    assert {name: len(part.truth) for name, part in found.items()} == {
        "1 to 2": 20,
        "3 to 4": 20,
        "5 to 6": 20,
        "7 to 8": 20,
    }
    same = make_cases([[1]] * 80, [[1]] * 80)
    assert _slices(same, _items(), tmp_path, "items had before") == {}


def test_the_truth_of_an_age_is_what_was_first_sold_then(tmp_path: Path) -> None:
    days = np.full(ITEMS, 400)
    days[[3, 4, 5]] = [10, 60, -5]
    cases = make_cases([[3, 4, 7], [5, 9], [8]], [[1], [1], [1]])
    found = _slices(cases, _items(days), tmp_path, "days since first sale")
    assert {name: [rows.tolist() for rows in part.truth] for name, part in found.items()} == {
        "not met before": [[5]],
        "up to 30": [[3]],
        "30 to 90": [[4]],
        "over 90": [[7], [9], [8]],
    }
    assert found["not met before"].keep.tolist() == [False, True, False]
    assert _slices(cases, _items(), tmp_path, "days since first sale") == {}


@pytest.mark.parametrize("by", ["category", "price"])
def test_every_hit_is_in_one_slice_of_the_groups(tmp_path: Path, by: str) -> None:
    groups = np.random.default_rng(4).integers(0, 12, ITEMS)
    groups[:20] = 0
    cases = random_cases(5, 100)
    found = _slices(cases, _items(groups=groups, by=by), tmp_path, by)
    assert sum(len(rows) for part in found.values() for rows in part.truth) == sum(map(len, cases.truth))
    assert len(found) <= 9
    assert all(len(part.truth) == part.keep.sum() for part in found.values())
    assert all((groups[rows] == 0).all() for rows in found["group 0"].truth)


def _read(folder: Path, **columns: list[object]) -> Items:
    pq.write_table(pa.table({"item_id": ["a", "b", "c", "d"], **columns}), folder / "items.parquet")
    return read_items(str(folder))


def test_items_are_grouped_by_the_first_part_of_their_category(tmp_path: Path) -> None:
    items = _read(tmp_path, category=["home > lamp", "garden", "home", ""], price=[1.0, 2.0, 3.0, 4.0])
    assert items.grouped_by == "category"
    assert [items.group_names[group] for group in items.groups] == ["home", "garden", "home", "unknown"]


def test_without_categories_they_are_grouped_by_price(tmp_path: Path) -> None:
    items = _read(tmp_path, category=["", "", "", ""], price=[1.0, 0.0, 3.0, 9.0], first_seen=[5, 0, 7, 8])
    assert items.grouped_by == "price"
    assert items.group_names[items.groups[1]] == "unknown"
    assert len({items.groups[0], items.groups[2], items.groups[3]}) == 3
    assert items.first_seen is not None
    assert items.first_seen.tolist() == [5, 0, 7, 8]


def test_with_neither_they_are_one_group(tmp_path: Path) -> None:
    items = _read(tmp_path)
    assert (items.grouped_by, items.groups.tolist(), items.first_seen) == ("", [0, 0, 0, 0], None)
