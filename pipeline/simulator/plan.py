"""How large a simulated shop is and which days it covers."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

DAY_S = 86_400
DEFAULT_START = datetime.date(2024, 6, 1)
DEFAULT_DAYS = 395
FIRST_YEAR, LAST_YEAR = 1970, 2200
NEW_WINDOW_DAYS = 42  # new items are first offered within so many days before the end


class SimulationError(ValueError):
    """The simulation cannot be run as asked; the message says what was expected and what came."""


@dataclass(frozen=True)
class Plan:
    """Everything that the simulated tables depend on.

    Args:
      users: number of customers.
      items: number of products.
      events: number of rows of the events table.
      seed: the same seed gives the same bytes.
      start: first day.
      days: number of days.
      new_items: share of the products that are first offered in the last six weeks.

    Raises:
      SimulationError: if a number is out of its range.
    """

    users: int
    items: int
    events: int
    seed: int
    start: datetime.date = DEFAULT_START
    days: int = DEFAULT_DAYS
    new_items: float = 0.08

    def __post_init__(self) -> None:
        for name, least in (("users", 1), ("items", 1), ("events", 1), ("days", 1), ("seed", 0)):
            value = getattr(self, name)
            if value < least:
                raise SimulationError(f"{name}: expected {least} or more, got {value}")
        if not 0 <= self.new_items < 1:
            raise SimulationError(f"new_items: expected a share from 0 to below 1, got {self.new_items}")
        if self.start.year < FIRST_YEAR or self.days > (datetime.date(LAST_YEAR + 1, 1, 1) - self.start).days:
            raise SimulationError(
                f"start and days: expected days from {FIRST_YEAR} to {LAST_YEAR}, "
                f"got {self.days} days from {self.start.isoformat()}"
            )

    @property
    def start_s(self) -> int:
        """First second, since 1970 UTC."""
        midnight = datetime.datetime.combine(self.start, datetime.time(), datetime.UTC)
        return int(midnight.timestamp())

    @property
    def end_s(self) -> int:
        """The second after the last one."""
        return self.start_s + self.days * DAY_S

    @property
    def new_window_start_s(self) -> int:
        """From here on new items are first offered; a third of a short simulation, else six weeks."""
        return self.end_s - min(NEW_WINDOW_DAYS * DAY_S, (self.end_s - self.start_s) // 3)
