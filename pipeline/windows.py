"""The windows of the split by time: train | validation | test."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from pipeline.config import SplitConfig

SECONDS_PER_DAY = 86_400


class WindowError(ValueError):
    """The split cannot be made with these events; the message says which date to set."""


@dataclass(frozen=True)
class Windows:
    """The split in seconds since 1970 UTC; each window includes its start and excludes its end.

    Args:
      validation_start: where the validation window begins and training examples end.
      test_start: where the validation window ends and the test window begins.
      test_end: where the test window ends.
      has_test: whether any event lies at or after `test_start`.
      as_of: the moment after the last event.
    """

    validation_start: int
    test_start: int
    test_end: int
    has_test: bool
    as_of: int

    def past(self, number: int, days: int) -> tuple[int, int]:
        """Places windows of `days` before the validation window: number 1 ends where that one starts."""
        end = self.validation_start - (number - 1) * days * SECONDS_PER_DAY
        return end - days * SECONDS_PER_DAY, end


def plan_windows(split: SplitConfig, first_timestamp: int, last_timestamp: int) -> Windows:
    """Places the windows over the events.

    Args:
      split: the configured split.
      first_timestamp: when the first event happened, seconds since 1970 UTC.
      last_timestamp: when the last event happened.

    Returns:
      The windows.

    Raises:
      WindowError: if no event lies before the validation window, or none at or after its start.
    """
    test_start = seconds_of(split.test_start)
    validation_start = test_start - split.validation_days * SECONDS_PER_DAY
    if last_timestamp < validation_start:
        raise WindowError(
            f"split.test_start is {split.test_start}, so validation begins on {day_of(validation_start)}, but the last "
            f"event is of {day_of(last_timestamp)}; set split.test_start to {day_of(last_timestamp + SECONDS_PER_DAY)} "
            "or earlier"
        )
    if first_timestamp >= validation_start:
        earliest = day_of(first_timestamp + (split.validation_days + 1) * SECONDS_PER_DAY)
        raise WindowError(
            f"split.test_start is {split.test_start} and validation begins on {day_of(validation_start)}, so nothing "
            f"is left to learn from: the first event is of {day_of(first_timestamp)}; set split.test_start to "
            f"{earliest} or later, or split.validation_days to less"
        )
    return Windows(
        validation_start=validation_start,
        test_start=test_start,
        test_end=test_start + split.test_days * SECONDS_PER_DAY,
        has_test=last_timestamp >= test_start,
        as_of=last_timestamp + 1,
    )


def seconds_of(day: datetime.date) -> int:
    """Returns the midnight UTC with which `day` begins, in seconds since 1970 UTC."""
    return (day - datetime.date(1970, 1, 1)).days * SECONDS_PER_DAY


def day_of(timestamp: int) -> datetime.date:
    """Returns the UTC day of `timestamp`, seconds since 1970 UTC."""
    return datetime.date(1970, 1, 1) + datetime.timedelta(days=timestamp // SECONDS_PER_DAY)
