"""How many rows at once are worth it: learned from how long runs take, as nothing else tells."""

from __future__ import annotations

# A larger batch is worth its longer run if it takes so much less time a row.
_WORTH = 0.95
_WEIGHT = 0.2
_LEAST_RUNS = 8
# A verdict is looked at again after so many runs: what else the processors do changes.
_REVIEW_RUNS = 2000


class Pace:
    """What runs of a signature cost by the number of their rows, in steps of powers of two.

    Args:
      most: rows of one run at most.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        # step: (runs seen, seconds a row)
        self._costs: dict[int, tuple[int, float]] = {}
        self._runs = 0

    @property
    def limit(self) -> int:
        """How many rows to put together: as many as have paid so far, and where more are not yet known, twice that."""
        step = 0
        while 2 << step <= self._most and self._known(step) and self._pays(step + 1):
            step += 1
        return min(1 << step, self._most)

    def note(self, rows: int, seconds: float) -> None:
        """Notes a run of at least one row."""
        self._runs += 1
        if self._runs >= _REVIEW_RUNS:
            self._runs = 0
            self._costs = {step: cost for step, cost in self._costs.items() if step == 0}
        step = (rows - 1).bit_length()
        runs, cost = self._costs.get(step, (0, seconds / rows))
        self._costs[step] = (runs + 1, cost + _WEIGHT * (seconds / rows - cost))

    def _known(self, step: int) -> bool:
        return self._costs.get(step, (0, 0.0))[0] >= _LEAST_RUNS

    def _pays(self, step: int) -> bool:
        """Whether a run of so many rows takes less time a row than every shorter one, or nobody knows yet."""
        if not self._known(step):
            return True
        return self._costs[step][1] <= _WORTH * min(self._costs[below][1] for below in range(step))
