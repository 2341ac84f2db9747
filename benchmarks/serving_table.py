"""Numbers of the serving benchmark beside their limits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """One number.

    Args:
      what: for people.
      value: the number.
      unit: of it.
      least: the limit of a number that should be large.
      most: the limit of one that should be small.
    """

    what: str
    value: float
    unit: str = ""
    least: float | None = None
    most: float | None = None

    @property
    def kept(self) -> bool:
        """Whether the limit, if there is one, is kept."""
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)

    def row(self) -> tuple[str, str, str, str]:
        """Returns what a table shows: name, value, limit, verdict."""
        limit, sign = (self.most, "<=") if self.most is not None else (self.least, ">=")
        told = "" if limit is None else f"{sign} {limit:g}"
        digits = 0 if abs(self.value) >= 100 else 2
        return self.what, f"{self.value:,.{digits}f} {self.unit}".strip(), told, "" if self.kept else "missed"
