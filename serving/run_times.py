"""How long the runs of a graph take, and which thread that makes best for the next one."""

from __future__ import annotations

import threading

_LEAST_RUNS, _LARGER, _MARGIN, _FORGET = 20, 4, 20.0, 0.999
# From this usual time on, a second thread for what can be computed at once wins more than the hand-over costs.
_WORTH_TWO_S, _NEW, _OUTLIER = 1e-3, 0.1, 2.0
# Up to this usual time a run is over before another thread would have begun it.
_SHORT_S, _LONG_S = 2e-4, 2e-2


class RunsUnderWay:
    """Counts the runs of a model: each goes on within a `with` statement.

    Args:
      threads: how many threads its runs may use.
    """

    def __init__(self, threads: int) -> None:
        self._threads, self._count, self._lock = threads, 0, threading.Lock()

    @property
    def leave_room(self) -> bool:
        """Whether one more run would have threads beside its own that nobody else needs."""
        return self._threads > 1 and not self._count

    def __enter__(self) -> None:
        """One more run has begun."""
        with self._lock:
            self._count += 1

    def __exit__(self, *_exception: object) -> None:
        """It has ended."""
        with self._lock:
            self._count -= 1


class RunTimes:
    """How long the runs of one signature have taken, beside the size of their inputs."""

    def __init__(self) -> None:
        self._runs = 0
        self._usual_s = self._slowest_s = 0.0
        self._largest = self._largest_short = 0

    def are_short(self, size: int) -> bool:
        """Tells whether runs on inputs of so many values are known to take next to no time."""
        return self._runs >= _LEAST_RUNS and self._usual_s < _SHORT_S and size <= self._largest_short

    def stays_here(self, size: int, timeout_s: float | None, *, room: bool) -> bool:
        """Tells whether a run should stay in the thread that asks for it.

        That saves waking others, but nothing can end such a run: it must be sure to end long before its deadline.

        Args:
          size: how many values its inputs have.
          timeout_s: when its client stops waiting; None means never.
          room: whether there are idle threads; a run of some milliseconds spreads over these.
        """
        if self._runs < _LEAST_RUNS or size > _LARGER * self._largest:
            return False
        if timeout_s is not None and timeout_s <= _MARGIN * self._slowest_s:
            return False
        return not room or self._usual_s < _WORTH_TWO_S

    def note(self, size: int, seconds: float) -> None:
        """Notes a run."""
        self._runs += 1
        self._slowest_s = max(self._slowest_s * _FORGET, seconds)
        # A run that was held up by others on the processor says little of the next one; nobody holds it up for so long.
        held_up = self._usual_s > 0 and seconds < _LONG_S
        told_s = min(seconds, _OUTLIER * self._usual_s) if held_up else seconds
        self._usual_s += _NEW * (told_s - self._usual_s)
        self._largest = max(self._largest, size)
        if seconds < _SHORT_S:
            self._largest_short = max(self._largest_short, size)
