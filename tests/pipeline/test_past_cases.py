"""The cases of past windows, from which a ranking stage learns: a row of windows that ends where validation starts."""

from typing import Any

import event_tables as tables
import pytest
from test_cases import comparable, expected_recommend, expected_search, sort_key
from test_examples import altered_after, build

from pipeline.components.event_example_gen import _case_tables
from pipeline.config.ranking import past_name
from pipeline.examples import BucketExamples

DAYS = 9
ROWS = tables.random_events(3)


def built_with(rows: list[tables.Row] = ROWS, **ranking: Any) -> BucketExamples:
    return build(rows, ranking={"window_days": DAYS, "windows": 2, **ranking})


def bounds(built: BucketExamples, number: int) -> tuple[int, int]:
    end = built.bucket.windows.validation_start - (number - 1) * DAYS * tables.DAY
    return end - DAYS * tables.DAY, end


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_past_cases_equal_the_oracle(number: int) -> None:
    built = built_with()
    start, end = bounds(built, number)
    expected = expected_recommend(built, ROWS, start, end) + expected_search(built, ROWS, start, end)
    assert len(expected) > 10
    found = [comparable(case) for case in built.past_cases(number).to_pylist()]
    assert sorted(found, key=sort_key) == sorted(expected, key=sort_key)


def test_a_window_before_all_events_has_no_cases() -> None:
    built = built_with()
    assert len(built.past_cases(9)) == 0
    assert built.past_cases(9).schema == built.past_cases(1).schema


@pytest.mark.parametrize("number", [1, 2])
def test_requests_know_nothing_of_their_window(number: int) -> None:
    built = built_with()
    start, _ = bounds(built, number)
    changed = altered_after(ROWS, start, 1)
    mine, other = (
        {case["user_id"]: case for case in each.past_cases(number).to_pylist() if case["task"] == "recommend"}
        for each in (built, built_with(changed))
    )
    both = mine.keys() & other.keys()
    assert len(both) > 5
    assert any(mine[user]["truth"] != other[user]["truth"] for user in both)
    for user in both:
        assert {**mine[user], "truth": []} == {**other[user], "truth": []}


@pytest.mark.parametrize(("windows", "enabled"), [(1, True), (3, True), (3, False)])
def test_as_many_files_as_there_are_windows_and_none_without_a_stage(windows: int, enabled: bool) -> None:
    found = _case_tables(built_with(windows=windows, enabled=enabled))
    past = [past_name(number) for number in range(1, 1 + windows)] if enabled else []
    assert list(found) == ["validation", "test", "histories", *past]


@pytest.mark.parametrize(
    ("ranking", "towers", "length"),
    [({"history_length": 7}, 3, 7), ({"history_length": 2}, 3, 3), ({"history_length": 7, "enabled": False}, 3, 3)],
)
def test_histories_are_as_long_as_the_part_that_reads_most(ranking: dict[str, Any], towers: int, length: int) -> None:
    built = build(ROWS, ranking=ranking, features={"history": {"length": towers}})
    lengths = [len(case["history_item_ids"]) for case in built.validation_cases.to_pylist()]
    assert max(lengths) == length
    examples = next(built.batches("train"))
    assert set(examples.column("history_item_ids").value_lengths().to_pylist()) == {towers}
