"""Runs a table's cleaning rules in their order and counts what each drops."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.cleaning.rules import NUMERIC, RULES, TEXTUAL, References
from pipeline.columns.convert import ROW
from pipeline.config import CleaningRule
from pipeline.report import TableReport, examples_of
from pipeline.sources.source import TableError

REFERENCES = {"events": ("item_id", "user_id")}


def clean(
    rows: pa.Table, rules: Sequence[CleaningRule], references: References, report: TableReport, file: str
) -> pa.Table:
    """Drops rows by the rules.

    Args:
      rows: canonical columns and `ROW`, `[rows]`.
      rules: applied in this order.
      references: the ids that exist, for `unknown_reference`.
      report: where dropped rows are counted.
      file: where the rows were read.

    Returns:
      The rows that every rule keeps, `[kept]`.
    """
    for rule in rules:
        marks = pc.fill_null(RULES[rule.rule](rule, rows, references), False)
        count = pc.sum(marks, min_count=0).as_py()
        if not count:
            continue
        value = rule.column or rule.columns[0]
        dropped = rows.select([ROW, value]).filter(marks).slice(0, 3)
        report.drop(reason_of(rule), count, examples_of(file, dropped[ROW], dropped[value]))
        rows = rows.filter(pc.invert(marks))
    return rows


def reason_of(rule: CleaningRule) -> str:
    """The rule's name in the report."""
    return f"{rule.rule}: {rule.column or ', '.join(rule.columns)}"


def check_rules(table: str, rules: Sequence[CleaningRule], columns: pa.Schema, has_users: bool) -> None:
    """Checks that the rules fit the table.

    Args:
      table: `events`, `items` or `users`.
      rules: the table's rules.
      columns: the table's columns as they will be written.
      has_users: whether there is a table of users to refer to.

    Raises:
      TableError: naming the rule, the column and what is allowed.
    """
    for index, rule in enumerate(rules):
        key = f"tables.{table}.cleaning.{index}"
        for name in rule.columns or (rule.column or "",):
            if name not in columns.names:
                raise TableError(f"{key}: {table} have no column '{name}'; they have {', '.join(columns.names)}")
        if rule.column is None:
            continue
        textual = pa.types.is_string(columns.field(rule.column).type)
        if (rule.rule in NUMERIC and textual) or (rule.rule in TEXTUAL and not textual):
            raise TableError(f"{key}: rule '{rule.rule}' cannot be used on '{rule.column}', a column of another type")
        if rule.rule == "unknown_reference":
            _check_reference(key, table, rule.column, has_users)


def _check_reference(key: str, table: str, column: str, has_users: bool) -> None:
    allowed = REFERENCES.get(table, ())
    if column not in allowed:
        raise TableError(f"{key}: rule 'unknown_reference' is for item_id and user_id of events, not {table}.{column}")
    if column == "user_id" and not has_users:
        raise TableError(f"{key}: rule 'unknown_reference' on user_id needs a table of users; tables.users is missing")
