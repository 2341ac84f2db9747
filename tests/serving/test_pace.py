"""How many rows at once are worth it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from serving.pace import Pace


@pytest.mark.parametrize(
    ("seconds", "limit"), [(lambda _rows: 1.0, 64), (lambda rows: rows, 1), (lambda rows: max(8, rows), 8)]
)
def test_the_pace_finds_what_pays(seconds: Callable[[int], float], limit: int) -> None:
    pace, limits = Pace(64), []
    for _ in range(1000):
        limits.append(pace.limit)
        pace.note(pace.limit, float(seconds(pace.limit)))
        pace.note(1, float(seconds(1)))
    assert limits[0] == 1
    assert np.mean(np.equal(limits[200:], limit)) > 0.8  # what does not pay is tried again now and then
    assert max(limits) <= min(64, 2 * limit)


def test_a_slow_moment_is_forgotten() -> None:
    pace = Pace(64)
    for _ in range(50):
        pace.note(1, 8.0)
    for _ in range(20):  # something else had the processors while these ran
        pace.note(4, 4 * 20.0)
    assert pace.limit < 4
    runs = 0
    while pace.limit < 8:
        rows = min(4, pace.limit)
        pace.note(rows, 6.0 + 2.0 * rows)
        runs += 1
        assert runs < 500
    assert runs > 100  # not before others have run


def test_a_slow_moment_of_single_rows_is_forgotten_too() -> None:
    pace, limits = Pace(64), []
    for _ in range(12):
        pace.note(1, 10.0)
    for _ in range(2000):
        limits.append(pace.limit)
        pace.note(pace.limit, pace.limit * (1.0 if pace.limit < 4 else 1.3))
    assert np.mean(np.equal(limits[1000:], 2)) > 0.8


def test_calls_of_several_rows_may_be_all_that_come() -> None:
    pace = Pace(64)
    for _ in range(100):
        pace.note(max(2, pace.limit), 8.0 + max(2, pace.limit))
    assert pace.limit == 64


def test_a_pace_may_be_asked_while_others_note() -> None:
    pace, asked = Pace(64), []

    def note(rows: int) -> None:
        for _ in range(3000):
            pace.note(rows, float(rows))
            asked.append(pace.limit)

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(note, rows) for rows in (1, 2, 4, 8)]:
            future.result(timeout=60)
    assert len(asked) == 12_000
    assert pace._runs == 12_000
