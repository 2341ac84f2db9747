"""When a table is of no use: what its report says about the configuration, as errors with a remedy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pipeline import schema
from pipeline.columns.mapping import map_columns
from pipeline.columns.timestamp import ACCEPTED
from pipeline.config import Config
from pipeline.report import TableReport
from pipeline.sources.parts import peek_names
from pipeline.sources.source import NOT_JSON, NOT_UTF8, WRONG_FIELDS, SourcePart, TableError

_UNREADABLE = (": unparsable", ": missing", ": unknown")

_ROW_REMEDIES = {
    WRONG_FIELDS: "Is 'delimiter' right, and are quote characters inside fields doubled?",
    NOT_JSON: "Is 'format' right? Each line must be one JSON object",
    NOT_UTF8: "Save the file as UTF-8 (iconv -f latin1 -t utf-8)",
}


def check_readable(report: TableReport) -> None:
    """Refuses a table of which more than half could not be read: the mapping must be wrong.

    Args:
      report: of a whole table, or of a part large enough to judge by.

    Raises:
      TableError: naming the file, the column, the count, examples and a remedy.
    """
    subject, count = _worst(report)
    if subject:
        raise TableError(_unreadable(report, subject, count))


def check_table(config: Config, parts: Sequence[SourcePart], report: TableReport) -> None:
    """Refuses a table that is empty, lacks a column, could not be read or has nothing left.

    Args:
      config: the shop's configuration.
      parts: all parts of the table.
      report: of the whole table.

    Raises:
      TableError: naming the file, what is wrong and a remedy.
    """
    files = ", ".join(dict.fromkeys(part.path for part in parts))
    if not report.read:
        raise TableError(
            f"{files}: the table of {report.table} is empty: no rows were found; check tables.{report.table}.path"
        )
    if report.absent and _worst(report)[0] != "row":
        _refuse_absent(config, parts, report.absent)
    check_readable(report)
    if not report.kept:
        reasons = "; ".join(f"{reason}: {dropped.rows:,} rows" for reason, dropped in report.dropped.items())
        raise TableError(
            f"{files}: nothing is left of {report.table}: {report.read:,} rows read, all dropped ({reasons}). "
            f"Check tables.{report.table}.cleaning and the mapped columns"
        )


def _refuse_absent(config: Config, parts: Sequence[SourcePart], absent: frozenset[str]) -> None:
    names = sorted({name for part in parts for name in peek_names(part)})
    for part in parts:
        mapping = map_columns(config, part)
        for mapped in mapping.columns:
            missing = [name for name in mapped.sources if name in absent]
            if missing:
                raise mapping.missing(mapped, missing[0], names)


def _worst(report: TableReport) -> tuple[str, int]:
    """What made more than half of the rows unreadable ("row", or a column) and how many; ("", 0) if nothing did."""
    counts: Counter[str] = Counter()
    for reason, dropped in report.dropped.items():
        if _is_unreadable(reason):
            counts[reason.split(":", maxsplit=1)[0]] += dropped.rows
    subject, count = max(counts.items(), key=lambda item: item[1], default=("", 0))
    return (subject, count) if count * 2 > report.read else ("", 0)


def _is_unreadable(reason: str) -> bool:
    return reason.startswith("row: ") or reason.endswith(_UNREADABLE)


def _unreadable(report: TableReport, subject: str, count: int) -> str:
    reasons = {
        reason: dropped
        for reason, dropped in report.dropped.items()
        if reason.startswith(f"{subject}: ") and _is_unreadable(reason)
    }
    (first, dropped), *_ = sorted(reasons.items(), key=lambda item: -item[1].rows)
    examples = ", ".join(f"row {example.row}: '{example.value}'" for example in dropped.examples)
    file = dropped.examples[0].file if dropped.examples else f"tables.{report.table}"
    return (
        f"{file}: {count:,} of {report.read:,} rows of {report.table} cannot be used because of "
        f"{'their form' if subject == 'row' else f'column {subject!r}'} ({first}; {examples}). "
        f"{_remedy(report.table, subject, first)}"
    )


def _remedy(table: str, subject: str, reason: str) -> str:
    if subject == "row":
        return _ROW_REMEDIES.get(reason, "")
    key = f"tables.{table}.columns.{subject}"
    if reason.endswith(": unknown"):
        return (
            f"Translate the shop's types under tables.{table}.event_types; allowed are "
            f"{', '.join(schema.EVENT_TYPES)}, ignore"
        )
    if reason.endswith(": missing"):
        return f"Does {key} name the right column?"
    if subject == "timestamp":
        return f"Expected {ACCEPTED}; does {key} name the right column?"
    return f"Expected plain numbers such as 1234.5; does {key} name the right column?"
