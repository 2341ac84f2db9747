"""The windows of the split."""

import datetime

import pytest

from pipeline.config import SplitConfig
from pipeline.windows import WindowError, day_of, plan_windows, seconds_of


def seconds(text: str) -> int:
    return int(datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC).timestamp())


SPLIT = SplitConfig(test_start=datetime.date(2024, 3, 1), test_days=7, validation_days=14)
FIRST = seconds("2023-01-01 12:00")


def test_windows_begin_at_midnight_utc() -> None:
    windows = plan_windows(SPLIT, FIRST, seconds("2024-03-20 10:00"))
    assert windows.validation_start == seconds("2024-02-16")
    assert windows.test_start == seconds("2024-03-01")
    assert windows.test_end == seconds("2024-03-08")
    assert windows.has_test
    assert windows.as_of == seconds("2024-03-20 10:00") + 1


@pytest.mark.parametrize(("last", "has_test"), [("2024-02-29 23:59:59", False), ("2024-03-01", True)])
def test_there_is_a_test_window_only_with_an_event_at_or_after_its_start(last: str, has_test: bool) -> None:
    assert plan_windows(SPLIT, FIRST, seconds(last)).has_test is has_test


def test_events_that_end_before_validation_name_the_date_to_set() -> None:
    last = seconds("2024-02-15 23:00")
    with pytest.raises(WindowError, match=r"set split\.test_start to 2024-02-16 or earlier"):
        plan_windows(SPLIT, FIRST, last)
    fixed = SPLIT.model_copy(update={"test_start": datetime.date(2024, 2, 16)})
    assert plan_windows(fixed, FIRST, last).validation_start <= last


def test_events_that_begin_in_validation_name_the_date_to_set() -> None:
    first, last = seconds("2024-02-20 09:00"), seconds("2024-04-20")
    with pytest.raises(WindowError, match=r"set split\.test_start to 2024-03-06 or later"):
        plan_windows(SPLIT, first, last)
    fixed = SPLIT.model_copy(update={"test_start": datetime.date(2024, 3, 6)})
    assert plan_windows(fixed, first, last).validation_start > first


@pytest.mark.parametrize("day", ["1969-12-31", "1970-01-01", "2024-02-29"])
def test_days_and_seconds_are_inverse(day: str) -> None:
    date = datetime.date.fromisoformat(day)
    assert seconds_of(date) == seconds(day)
    assert day_of(seconds_of(date)) == day_of(seconds_of(date) + 86_399) == date
