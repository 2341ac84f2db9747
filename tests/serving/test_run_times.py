"""Which thread a run goes to: its caller's, or several where they are idle and worth waking."""

import pytest

from serving.run_times import RunsUnderWay, RunTimes


def _known(seconds: float) -> RunTimes:
    times = RunTimes()
    for _ in range(60):
        times.note(4, seconds)
    return times


@pytest.mark.parametrize(("seconds", "room", "here"), [(1e-4, True, True), (8e-3, True, False), (8e-3, False, True)])
def test_long_runs_spread_where_there_is_room(seconds: float, room: bool, here: bool) -> None:
    assert _known(seconds).stays_here(4, 10.0, room=room) == here


def test_a_run_that_might_miss_its_deadline_is_watched() -> None:
    times = _known(8e-3)
    assert times.stays_here(4, 0.2, room=False)
    assert not times.stays_here(4, 0.1, room=False)


def test_only_runs_that_are_known_are_short() -> None:
    assert _known(1e-4).are_short(4)
    assert not _known(1e-4).are_short(5), "nothing is known of larger inputs"
    assert not _known(1e-3).are_short(4)
    fresh = RunTimes()
    fresh.note(4, 1e-5)
    assert not fresh.are_short(4)


def test_a_run_that_was_held_up_does_not_change_what_is_usual() -> None:
    times = _known(1e-4)
    times.note(4, 5e-3)
    assert times.are_short(4)
    times.note(4, 0.5)
    assert not times.are_short(4), "no other program holds a run up for so long"
    times = _known(1e-4)
    for _ in range(60):
        times.note(4, 1e-3)
    assert not times.are_short(4)


def test_one_run_at_a_time_has_room() -> None:
    runs = RunsUnderWay(2)
    assert runs.leave_room
    with runs:
        assert not runs.leave_room
    with pytest.raises(ValueError, match="ends badly"):
        _end_badly(runs)
    assert runs.leave_room
    assert not RunsUnderWay(1).leave_room, "with one thread there is nothing to spread over"


def _end_badly(runs: RunsUnderWay) -> None:
    with runs:
        raise ValueError("ends badly")
