"""One part of a table, from file to clean canonical rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from pipeline.cleaning.apply import clean
from pipeline.cleaning.rules import References
from pipeline.columns.convert import convert
from pipeline.columns.mapping import map_columns
from pipeline.config import CleaningRule, Config
from pipeline.report import Example, TableReport
from pipeline.sources.parts import open_source
from pipeline.sources.source import BadRow, SourcePart
from pipeline.table_check import check_readable

_EARLY_ROWS = 1_000  # a part of so many rows is judged by itself, before the others are read


def read_part(
    config: Config, part: SourcePart, rules: Sequence[CleaningRule], references: References, report: TableReport
) -> Iterator[pa.Table]:
    """Yields a part's kept rows, a bounded number at a time.

    Args:
      config: the shop's configuration.
      part: what to read.
      rules: cleaning rules to apply, in this order.
      references: the ids that exist, for `unknown_reference`.
      report: where rows are counted; complete once the last batch was taken.

    Yields:
      Canonical columns and `ROW`, `[kept]`.

    Raises:
      TableError: if the part cannot be used.
    """
    mapping = map_columns(config, part)
    source = open_source(part)
    names = mapping.wanted(source.names())
    seen: set[str] = set()
    for batch in source.batches(names):
        report.read += len(batch.rows) + len(batch.bad_rows)
        _count_bad_rows(part.path, batch.bad_rows, report)
        seen.update(batch.columns)
        rows = clean(convert(mapping, batch, report), rules, references, report, part.path)
        report.kept += rows.num_rows
        yield rows
    if report.read and source.names() is None:
        report.absent = frozenset(mapping.absent(seen))
    if report.read >= _EARLY_ROWS:
        check_readable(report)


def _count_bad_rows(path: str, bad_rows: list[BadRow], report: TableReport) -> None:
    for bad in bad_rows:
        report.drop(bad.reason, 1, [Example(path, bad.row, bad.value)])
