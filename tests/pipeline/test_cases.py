"""Cases and histories against a slow oracle; a case knows nothing of its window but its truth."""

from collections import Counter
from typing import Any

import event_tables as tables
import numpy as np
import pyarrow as pa
import pytest
from test_examples import SEEDS, altered_after, build

from pipeline.cases import AS_OF, HISTORY_LENGTH, cases_schema
from pipeline.examples import BucketExamples

Case = dict[str, Any]


def comparable(case: Case) -> Case:
    """A case as plain values; the order of distinct items is no promise."""
    seen = dict(zip(case["seen_item_ids"], case["seen_counts"], strict=True))
    assert len(seen) == len(case["seen_item_ids"])
    assert len(set(case["truth"])) == len(case["truth"])
    plain = {name: value for name, value in case.items() if not name.startswith("seen_")}
    return {**plain, "truth": sorted(case["truth"]), "seen": seen}


def sort_key(case: Case) -> str:
    return str([case[name] for name in ("task", "user_id", "timestamp", "query", "history_item_ids", "truth", "seen")])


def expected_case(
    built: BucketExamples, rows: list[tables.Row], visitor: str, moment: int, start: int, **given: Any
) -> Case:
    history = tables.expected_history(rows, visitor, moment, built.bucket.config.history_length)
    seen = tables.seen_before(built.bucket.config, rows, visitor, start)
    return {
        "warm": bool(seen),
        "timestamp": moment,
        "history_item_ids": [past["item_id"] for past in history],
        "history_event_types": [past["event_type"] for past in history],
        "history_ages_days": [float(np.float32((moment - past["timestamp"]) / tables.DAY)) for past in history],
        "history_quantities": [tables.expected_quantity(past) for past in history],
        "seen": dict(seen),
        **given,
    }


def last_country(rows: list[tables.Row], user_id: str, moment: int) -> str:
    past = [row for row in rows if row["user_id"] == user_id and row["timestamp"] < moment]
    past.sort(key=lambda row: row["timestamp"])
    known = [country for row in past if (country := tables.expected_context(row)["country"])]
    return known[-1] if known else tables.country_of(user_id)


def expected_recommend(built: BucketExamples, rows: list[tables.Row], start: int, end: int) -> list[Case]:
    config = built.bucket.config
    hits = [row for row in rows if start <= row["timestamp"] < end and tables.is_truth(config, row)]
    holiday = tables.expected_context({**rows[0], "timestamp": start, "holiday": ""})["holiday"]
    return [
        expected_case(
            built,
            rows,
            user_id,
            start,
            start,
            task="recommend",
            user_id=user_id,
            query="",
            country=last_country(rows, user_id, start),
            holiday=holiday,
            weather="",
            place="",
            truth=sorted({row["item_id"] for row in hits if row["user_id"] == user_id}),
        )
        for user_id in {row["user_id"] for row in hits} - {""}
    ]


def expected_search(built: BucketExamples, rows: list[tables.Row], start: int, end: int) -> list[Case]:
    groups: dict[tuple[Any, ...], list[tables.Row]] = {}
    for number, row in enumerate(tables.events_table(rows).to_pylist()):
        if row["query"] and start <= row["timestamp"] < end:
            stranger = number if not row["visitor"] else None
            visit = row["session_id"] or row["timestamp"] // tables.DAY
            groups.setdefault((row["visitor"], stranger, visit, row["query"]), []).append(row)
    found = []
    for (visitor, _, _, query), group in groups.items():
        truth = {row["item_id"] for row in group if tables.is_truth(built.bucket.config, row)}
        if truth:
            first = group[0]
            given = {"task": "search", "user_id": first["user_id"], "query": query, "truth": sorted(truth)}
            context = tables.expected_context(first)
            found.append(expected_case(built, rows, visitor, first["timestamp"], start, **given, **context))
    return found


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("window", ["validation", "test"])
def test_cases_equal_the_oracle(seed: int, window: str) -> None:
    rows = tables.random_events(seed)
    built = build(rows)
    windows = built.bucket.windows
    start = windows.validation_start if window == "validation" else windows.test_start
    end = windows.test_start if window == "validation" else windows.test_end
    table = built.validation_cases if window == "validation" else built.test_cases
    assert table.schema == cases_schema(built.bucket.config)
    got = sorted((comparable(case) for case in table.to_pylist()), key=sort_key)
    want = [*expected_recommend(built, rows, start, end), *expected_search(built, rows, start, end)]
    assert Counter(case["task"] for case in want)["search"] > 5
    assert got == sorted(want, key=sort_key)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_case_of_a_user_knows_nothing_of_its_window(seed: int) -> None:
    rows = tables.random_events(seed)
    built = build(rows)
    changed = build(altered_after(rows, built.bucket.windows.validation_start, seed))
    known = [name for name in cases_schema(built.bucket.config).names if name != "truth"]

    def requests(cases: pa.Table) -> dict[str, Case]:
        users = [case for case in cases.to_pylist() if case["task"] == "recommend"]
        return {case["user_id"]: {name: case[name] for name in known} for case in users}

    before, after = requests(built.validation_cases), requests(changed.validation_cases)
    both = before.keys() & after.keys()
    assert len(both) > 5
    assert {name: before[name] for name in both} == {name: after[name] for name in both}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_search_knows_nothing_after_its_moment(seed: int) -> None:
    rows = tables.random_events(seed)
    cut = build(rows).bucket.windows.validation_start + 5 * tables.DAY
    known = (
        "user_id",
        "timestamp",
        "query",
        "history_item_ids",
        "history_ages_days",
        "history_quantities",
        "country",
        "weather",
        "warm",
    )

    def searches(given: list[tables.Row]) -> Counter[str]:
        cases = build(given).validation_cases.to_pylist()
        early = [case for case in cases if case["task"] == "search" and case["timestamp"] < cut]
        return Counter(str([case[name] for name in known]) for case in early)

    # Truth after the cut may make or unmake a case; what stays in both must be the same, and that is nearly all.
    before, after = searches(rows), searches(altered_after(rows, cut, seed))
    assert before.total() > 5
    assert (before & after).total() >= before.total() - 3


@pytest.mark.parametrize("seed", SEEDS)
def test_histories_reach_to_the_end_of_all_data(seed: int) -> None:
    rows = tables.random_events(seed)
    built = build(rows)
    as_of = built.bucket.windows.as_of
    assert built.histories.schema.metadata[AS_OF] == str(as_of).encode()
    got = {row["user_id"]: row for row in built.histories.to_pylist()}
    assert got.keys() == {row["user_id"] for row in rows} - {""}
    for user_id, row in got.items():
        history = tables.expected_history(rows, user_id, as_of, HISTORY_LENGTH)
        assert row == {
            "user_id": user_id,
            "history_item_ids": [past["item_id"] for past in history],
            "history_event_types": [past["event_type"] for past in history],
            "history_timestamps": [past["timestamp"] for past in history],
            "history_quantities": [tables.expected_quantity(past) for past in history],
            "seen_item_ids": row["seen_item_ids"],
            "country": last_country(rows, user_id, as_of),
        }
        assert set(row["seen_item_ids"]) == set(tables.seen_before(built.bucket.config, rows, user_id, as_of))


def test_histories_are_cut_to_the_newest() -> None:
    row = {**tables.random_events(0)[0], "user_id": "u1", "event_type": "view"}
    rows = [{**row, "item_id": f"i{at}", "timestamp": tables.START + at} for at in range(HISTORY_LENGTH + 9)]
    (history,) = build(rows).histories.to_pylist()
    assert history["history_item_ids"] == [f"i{at}" for at in range(HISTORY_LENGTH + 8, 8, -1)]


def test_without_late_events_there_are_no_test_cases() -> None:
    built = build([row for row in tables.random_events(0) if row["timestamp"] < tables.START + 50 * tables.DAY])
    assert len(built.test_cases) == 0
    assert built.test_cases.schema == cases_schema(built.bucket.config)
    assert len(built.validation_cases) > 10
