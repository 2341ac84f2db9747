"""How many rows at once are worth it: learned from how long runs take, as nothing else tells."""

from __future__ import annotations

# A larger batch is worth its longer run if it takes so much less time a row.
_WORTH = 0.95
# Of the newest run, once there are some: a machine that others use too runs twice as long one time as another.
_LEAST_WEIGHT = 0.05
_LEAST_RUNS = 12
# What has not been tried for so many runs is not known any more: what else the processors do changes.
_FORGOTTEN_RUNS = 250


class Pace:
    """What runs of a signature cost by the number of their rows, in steps of powers of two.

    Args:
      most: rows of one run at most.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        # step: (runs seen, seconds a row, number of the last run)
        self._costs: dict[int, tuple[int, float, int]] = {}
        self._runs = 0

    @property
    def limit(self) -> int:
        """How many rows to put together: as many as have paid so far, and where more are not yet known, twice that."""
        if not self._known(0):
            return 1
        known = [step for step in sorted(self._costs) if self._known(step)]
        bad = next((step for step in known if not self._pays(step)), None)
        paid = max(step for step in known if bad is None or step < bad)
        return min(1 << (paid if bad == paid + 1 else paid + 1), self._most)

    def note(self, rows: int, seconds: float) -> None:
        """Notes a run of at least one row."""
        self._runs += 1
        step = (rows - 1).bit_length()
        runs, cost, _ = self._costs.get(step, (0, 0.0, 0))
        weight = max(_LEAST_WEIGHT, 1 / (runs + 1))
        costs = self._costs | {step: (runs + 1, cost + weight * (seconds / rows - cost), self._runs)}
        # All is compared with the runs of single rows, which others may have left no room for.
        self._costs = {each: cost for each, cost in costs.items() if not each or self._runs - cost[2] < _FORGOTTEN_RUNS}

    def _known(self, step: int) -> bool:
        return self._costs.get(step, (0, 0.0, 0))[0] >= _LEAST_RUNS

    def _pays(self, step: int) -> bool:
        """Whether a run of so many rows takes less time a row than every shorter one."""
        shorter = [self._costs[below][1] for below in self._costs if below < step and self._known(below)]
        return not shorter or self._costs[step][1] <= _WORTH * min(shorter)
