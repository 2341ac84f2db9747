"""The counted report of an import: every row read is either kept or dropped for one named reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

EXAMPLES = 3
_EXAMPLE_CHARACTERS = 80


@dataclass(frozen=True)
class Example:
    """One dropped row: its file, its number there (from 1, a header not counted), the value at fault."""

    file: str
    row: int
    value: str


@dataclass
class Dropped:
    """The rows dropped for one reason: how many, and the first few."""

    rows: int = 0
    examples: list[Example] = field(default_factory=list)


@dataclass
class TableReport:
    """What became of the rows of a table, or of a part of it; reports of parts add up with `add`.

    Args:
      table: `events`, `items` or `users`.
      read: rows met in the files.
      kept: rows in the written table. A later step that drops rows reports them with `kept` below zero.
      dropped: by reason; `read == kept + sum of dropped` always.
      notes: changes to rows that were kept: how many by what was done.
      absent: mapped columns met in no row so far; None where nothing was read.
    """

    table: str
    read: int = 0
    kept: int = 0
    dropped: dict[str, Dropped] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)
    absent: frozenset[str] | None = None

    def drop(self, reason: str, count: int, examples: Iterable[Example] = ()) -> None:
        """Counts `count` dropped rows; keeps a few of the examples."""
        if count:
            dropped = self.dropped.setdefault(reason, Dropped())
            dropped.rows += count
            dropped.examples += list(examples)[: EXAMPLES - len(dropped.examples)]

    def note(self, what: str, count: int) -> None:
        """Counts rows that were changed and kept."""
        if count:
            self.notes[what] = self.notes.get(what, 0) + count

    def add(self, other: TableReport) -> None:
        """Adds the counts of another part of the same table."""
        self.read += other.read
        self.kept += other.kept
        for reason, dropped in other.dropped.items():
            self.drop(reason, dropped.rows, dropped.examples)
        for what, count in other.notes.items():
            self.note(what, count)
        if other.absent is not None:
            self.absent = other.absent if self.absent is None else self.absent & other.absent

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        dropped = {
            reason: {"rows": found.rows, "examples": [vars(example) for example in found.examples]}
            for reason, found in self.dropped.items()
        }
        return {"read": self.read, "kept": self.kept, "dropped": dropped, "notes": dict(self.notes)}


@dataclass
class TablesReport:
    """The reports of all tables, by name."""

    tables: dict[str, TableReport]

    @classmethod
    def of(cls, reports: Iterable[TableReport]) -> TablesReport:
        """Adds up the reports of parts and steps."""
        tables: dict[str, TableReport] = {}
        for report in reports:
            tables.setdefault(report.table, TableReport(report.table)).add(report)
        return cls(tables)

    def to_json(self) -> dict[str, Any]:
        """The report as plain values, as `report.json` holds it."""
        return {"tables": {name: report.to_json() for name, report in self.tables.items()}}


def examples_of(file: str, rows: pa.Array, values: pa.Array) -> list[Example]:
    """The first few rows as examples.

    Args:
      file: where they were read.
      rows: their numbers in the file, int64 `[rows]`.
      values: the values at fault, `[rows]`.
    """
    pairs = zip(rows[:EXAMPLES].to_pylist(), values[:EXAMPLES].to_pylist(), strict=True)
    return [Example(file, row, _shorten(value)) for row, value in pairs]


def _shorten(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= _EXAMPLE_CHARACTERS else text[:_EXAMPLE_CHARACTERS] + "..."
