"""How many rows at once are worth it: learned from how long runs take, as nothing else tells."""

from __future__ import annotations

import threading
from dataclasses import dataclass

# A larger batch is worth its longer run if it takes so much less time a row.
_WORTH = 0.95
# Of the newest run, once there are some: a machine that others use too runs twice as long one time as another.
_LEAST_WEIGHT = 0.05
_LEAST_RUNS = 12
# What has not been tried for so many runs is not known any more: what else the processors do changes.
_FORGOTTEN_RUNS = 250


@dataclass(frozen=True)
class _Cost:
    """Of runs of one step: how many were seen, seconds a row, and the number of the last of them."""

    runs: int
    row_s: float
    last: int


class Pace:
    """What runs of a signature cost by the number of their rows, in steps of powers of two. Threads may share it.

    Args:
      most: rows of one run at most.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._costs: dict[int, _Cost] = {}
        self._runs = 0

    @property
    def limit(self) -> int:
        """How many rows to put together: as many as have paid so far, and where more are not yet known, twice that."""
        costs = self._costs  # never changed, only replaced
        known = sorted(step for step, cost in costs.items() if cost.runs >= _LEAST_RUNS)
        if not known:
            return 1
        paid = known[0]
        for step in known[1:]:
            if costs[step].row_s > _WORTH * costs[paid].row_s:
                return 1 << min(paid + 1, step - 1)
            paid = step
        return min(1 << (paid + 1), self._most)

    def note(self, rows: int, seconds: float) -> None:
        """Notes a run of at least one row."""
        step = (rows - 1).bit_length()
        with self._lock:
            self._runs += 1
            before = self._costs.get(step, _Cost(0, 0.0, 0))
            weight = max(_LEAST_WEIGHT, 1 / (before.runs + 1))
            row_s = before.row_s + weight * (seconds / rows - before.row_s)
            costs = self._costs | {step: _Cost(before.runs + 1, row_s, self._runs)}
            self._costs = {each: cost for each, cost in costs.items() if self._runs - cost.last < _FORGOTTEN_RUNS}
