"""Canonical columns of a batch: typed, with every row that cannot be read counted and left out."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import schema
from pipeline.columns.mapping import ID_COLUMNS, MappedColumn, Mapping
from pipeline.columns.number import Mask, to_numbers
from pipeline.columns.text import (
    MAX_ID_CHARACTERS,
    MAX_TEXT_CHARACTERS,
    drop_float_ending,
    has_long,
    join_texts,
    longer_than,
    to_text,
)
from pipeline.columns.timestamp import to_seconds
from pipeline.report import TableReport, examples_of
from pipeline.sources.source import SourceBatch

ROW = "row number"  # the column that carries each row's number in its file; no shop's column can be called so

IGNORED = "event_type: ignored"


def convert(mapping: Mapping, batch: SourceBatch, report: TableReport) -> pa.Table:
    """Makes canonical columns of a batch.

    Args:
      mapping: where each column comes from.
      batch: rows as the file has them.
      report: where dropped rows are counted.

    Returns:
      The rows that could be read, `[kept]`, with their numbers in column `ROW`.
    """
    converter = _Converter(mapping, batch, report)
    columns = {mapped.column.name: converter.column(mapped) for mapped in mapping.columns}
    if mapping.part.table == "events":
        columns["value"] = _purchase_value(columns)
    rows = pa.table({**columns, ROW: pa.array(batch.rows)})
    return rows if converter.fine.all() else rows.filter(pa.array(converter.fine))


class _Converter:
    """Converts column by column; a row with several faults is counted under the first."""

    def __init__(self, mapping: Mapping, batch: SourceBatch, report: TableReport) -> None:
        self._mapping, self._batch, self._report = mapping, batch, report
        self.fine = np.ones(len(batch.rows), bool)

    def column(self, mapped: MappedColumn) -> pa.Array:
        raw = self._raw(mapped)
        problems: list[tuple[str, Mask]] = []
        match mapped.column.kind:
            case "timestamp":
                seconds, missing, bad = to_seconds(raw)
                problems = [("missing", missing), ("unparsable", bad)]
                array = pa.array(seconds)
            case "float" | "int":
                numbers, bad = to_numbers(raw)
                problems = [("unparsable", bad)]
                array = pa.array(numbers)
            case "string":
                array, problems = self._text(mapped.column, raw)
        for problem, mask in problems:
            self._drop(f"{mapped.column.name}: {problem}", mask, raw)
        return array

    def _raw(self, mapped: MappedColumn) -> pa.Array:
        count = len(self._batch.rows)
        if mapped.constant is not None:
            return pa.array([mapped.constant] * count, pa.string())
        found = [self._batch.columns[name] for name in mapped.sources if name in self._batch.columns]
        if not found:
            return pa.nulls(count, pa.string())
        if len(found) == 1:
            return found[0]
        return join_texts([to_text(array) for array in found])

    def _text(self, column: schema.Column, raw: pa.Array) -> tuple[pa.Array, list[tuple[str, Mask]]]:
        texts = to_text(raw, schema.CATEGORY_SEPARATOR if column.name == "category" else " ")
        problems: list[tuple[str, Mask]] = []
        if column.required:
            problems.append(("missing", _mask(pc.equal(texts, ""))))
        if column.name == "event_type":
            texts, unknown, ignored = _event_types(texts, self._mapping.event_types)
            return texts, [*problems, ("unknown", unknown), ("ignored", ignored)]
        if column.name in ID_COLUMNS:
            texts = drop_float_ending(texts)
            if has_long(texts, MAX_ID_CHARACTERS):
                long = _mask(longer_than(texts, MAX_ID_CHARACTERS))
                problems.append((f"longer than {MAX_ID_CHARACTERS} characters", long))
        elif has_long(texts, MAX_TEXT_CHARACTERS):
            long = _mask(longer_than(texts, MAX_TEXT_CHARACTERS)) & self.fine
            self._report.note(f"{column.name}: cut to {MAX_TEXT_CHARACTERS:,} characters", int(long.sum()))
            texts = pc.utf8_slice_codeunits(texts, 0, MAX_TEXT_CHARACTERS)
        return texts, problems

    def _drop(self, reason: str, mask: Mask, raw: pa.Array) -> None:
        dropped = mask & self.fine
        if dropped.any():
            picked = pa.array(np.flatnonzero(dropped)[:3])
            examples = examples_of(self._mapping.part.path, pa.array(self._batch.rows).take(picked), raw.take(picked))
            self._report.drop(reason, int(dropped.sum()), examples)
            self.fine &= ~dropped


def _event_types(texts: pa.Array, mapped: dict[str, str]) -> tuple[pa.Array, Mask, Mask]:
    """Translates event types; returns them and masks of the unknown and of those to ignore."""
    encoded = texts.dictionary_encode()
    theirs = encoded.dictionary.to_pylist()
    types = np.array([mapped.get(name) or _own_type(name) for name in theirs] or [""], dtype=object)
    codes = encoded.indices.to_numpy()
    known = np.isin(types, (*schema.EVENT_TYPES, "ignore"))
    missing = _mask(pc.equal(texts, ""))
    return pa.array(types, pa.string()).take(encoded.indices), ~known[codes] & ~missing, (types == "ignore")[codes]


def _own_type(theirs: str) -> str:
    return theirs.lower() if theirs.lower() in schema.EVENT_TYPES else ""


def _purchase_value(columns: dict[str, pa.Array]) -> pa.Array:
    """The value of purchases that say none: quantity times price."""
    wanted = pc.and_(pc.is_nan(columns["value"]), pc.equal(columns["event_type"], "purchase"))
    return pc.if_else(wanted, pc.multiply(columns["quantity"], columns["price"]), columns["value"])


def _mask(array: pa.Array) -> Mask:
    mask: Mask = array.to_numpy(zero_copy_only=False)
    return mask
