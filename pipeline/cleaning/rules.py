"""The cleaning rules: each marks the rows of a table that it drops.

`duplicate` and `unknown_reference` look beyond the row; the others look at one value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config import CleaningRule

VISITOR = "visitor"  # the column that says whose an event is, see `event_buckets`

# The ids that exist, by the column that refers to them.
References = Mapping[str, pa.Array]

Rule = Callable[[CleaningRule, pa.Table, References], pa.Array]


def cancelled(rule: CleaningRule, rows: pa.Table, _: References) -> pa.Array:
    """Marks rows whose value starts with `prefix` or is one of `values`.

    Args:
      rule: says which.
      rows: canonical columns, `[rows]`.

    Returns:
      True for each row to drop, `[rows]`.
    """
    column = rows[rule.column]
    marks = pc.is_in(column, value_set=pa.array(rule.values, pa.string()))
    return marks if rule.prefix is None else pc.or_(marks, pc.starts_with(column, rule.prefix))


def non_positive(rule: CleaningRule, rows: pa.Table, _: References) -> pa.Array:
    """Marks rows whose number is zero or less; a missing number stays (rule `missing` is for those)."""
    return pc.less_equal(rows[rule.column], 0.0)


def missing(rule: CleaningRule, rows: pa.Table, _: References) -> pa.Array:
    """Marks rows without a value."""
    column = rows[rule.column]
    return pc.equal(column, "") if pa.types.is_string(column.type) else pc.is_nan(column)


def outlier(rule: CleaningRule, rows: pa.Table, _: References) -> pa.Array:
    """Marks rows whose number is below `min` or above `max`; a missing number stays."""
    column = rows[rule.column]
    low = pc.less(column, -np.inf if rule.min is None else rule.min)
    return pc.or_(low, pc.greater(column, np.inf if rule.max is None else rule.max))


def unknown_reference(rule: CleaningRule, rows: pa.Table, references: References) -> pa.Array:
    """Marks rows whose id is in no row of the table that it refers to; rows without an id stay."""
    column = rows[rule.column]
    return pc.and_(pc.invert(pc.is_in(column, value_set=references[str(rule.column)])), pc.not_equal(column, ""))


def duplicate(rule: CleaningRule, rows: pa.Table, _: References) -> pa.Array:
    """Marks rows that equal an earlier one in all of `columns`, events of the same visitor only."""
    columns = [*rule.columns, *(name for name in (VISITOR,) if name in rows.column_names)]
    frame = rows.select(columns).to_pandas()
    return pa.array(frame.duplicated(keep="first").to_numpy())


RULES: dict[str, Rule] = {
    rule.__name__: rule for rule in (cancelled, non_positive, missing, outlier, unknown_reference, duplicate)
}
NUMERIC = ("non_positive", "outlier")
TEXTUAL = ("cancelled", "unknown_reference")
