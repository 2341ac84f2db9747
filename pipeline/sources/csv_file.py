"""Comma- (or otherwise) separated text.

Arrow parses, but guesses nothing: every field arrives as bytes, so that neither a letter among numbers
in row a million nor one bad byte ends the import. A row is dropped for its own faults only.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as arrow_csv

from pipeline.sources.files import open_text
from pipeline.sources.source import NOT_UTF8, WRONG_FIELDS, BadRow, SourceBatch, SourcePart, TableError, reading

# Arrow parses block by block, and a row must fit into one: room for fields of millions of characters.
BLOCK_BYTES = 8 << 20
_HEADER_BYTES = 1 << 20
_DELIMITERS = {";": "';'", "\t": r'"\t"', "|": "'|'", ",": "','"}


class CsvFile:
    """Reads a CSV file, plain or gzip, with a header.

    Args:
      part: the file and its delimiter.
    """

    def __init__(self, part: SourcePart) -> None:
        self._part = part
        self._names, self._header_lines = _read_header(part)

    def names(self) -> tuple[str, ...]:
        """The header's names, `[columns]`; empty for an empty file."""
        return self._names

    def batches(self, names: Sequence[str]) -> Iterator[SourceBatch]:
        """Yields every column as strings; see `Source`."""
        if not self._names:
            return
        rows = _RowNumbers(self._header_lines)
        with open_text(self._part.path) as stream, reading(self._part.path), _parsing(self._part.path, rows):
            for batch in self._parse(stream, names, rows.skip):
                numbers = rows.number(batch.num_rows)
                columns, numbers, undecodable = _decode(dict(zip(names, batch.columns, strict=True)), numbers)
                yield SourceBatch(columns, numbers, [*rows.take_bad_rows(), *undecodable])
        bad_rows = rows.take_bad_rows()
        if bad_rows:
            yield SourceBatch({name: pa.array([], pa.string()) for name in names}, np.zeros(0, np.int64), bad_rows)

    def _parse(self, stream: Any, names: Sequence[str], skip: Callable[[Any], str]) -> Iterator[pa.RecordBatch]:
        # Positions serve as names: headers may repeat names that nobody asked for.
        positions = [str(self._names.index(name)) for name in names]
        read = arrow_csv.ReadOptions(
            use_threads=False,
            block_size=BLOCK_BYTES,
            column_names=[str(position) for position in range(len(self._names))],
            skip_rows=self._header_lines,
        )
        parse = arrow_csv.ParseOptions(
            delimiter=self._part.delimiter, newlines_in_values=True, invalid_row_handler=skip
        )
        convert = arrow_csv.ConvertOptions(
            check_utf8=False,
            column_types={position: pa.binary() for position in positions},
            include_columns=positions,
            strings_can_be_null=False,
        )
        try:
            yield from arrow_csv.open_csv(stream, read_options=read, parse_options=parse, convert_options=convert)
        except pa.ArrowInvalid as error:
            if "Empty CSV" not in str(error):  # a header and nothing else is a table without rows
                raise


class _RowNumbers:
    """Keeps the rows' numbers in the file true while Arrow leaves rows out."""

    def __init__(self, header_lines: int) -> None:
        self.done = 0
        self._header_lines = header_lines
        self._skipped: list[
            int
        ] = []  # for each row left out: how many rows came before it, less those left out, plus 1
        self._bad_rows: list[BadRow] = []

    def skip(self, row: Any) -> str:
        """Arrow's handler of rows with too few or too many fields."""
        number = row.number - self._header_lines
        self._skipped.append(number - len(self._skipped))
        found = f"{row.actual_columns} fields for {row.expected_columns} columns: {row.text[:80]}"
        self._bad_rows.append(BadRow(WRONG_FIELDS, number, found))
        return "skip"

    def number(self, count: int) -> npt.NDArray[np.int64]:
        """Numbers the next `count` rows that Arrow hands over."""
        kept = np.arange(self.done + 1, self.done + count + 1, dtype=np.int64)
        self.done += count
        return kept + np.searchsorted(np.asarray(self._skipped, np.int64), kept, side="right")

    def take_bad_rows(self) -> list[BadRow]:
        """Returns the rows left out since the last call."""
        taken, self._bad_rows = self._bad_rows, []
        return taken


@contextmanager
def _parsing(path: str, rows: _RowNumbers) -> Iterator[None]:
    try:
        yield
    except pa.ArrowInvalid as error:
        if "straddl" not in str(error):
            raise
        raise TableError(
            f"{path}: after row {rows.done:,} a row is longer than {BLOCK_BYTES >> 20} MiB. Most likely a quote "
            'character (") is opened and never closed; double the quotes inside fields ("") and export again'
        ) from error


def _read_header(part: SourcePart) -> tuple[tuple[str, ...], int]:
    with open_text(part.path) as stream, reading(part.path):
        head = stream.read(_HEADER_BYTES)
    if b"\0" in head:
        raise TableError(f"{part.path}: holds zero bytes, so it is no text; is 'format' right?")
    text = head.decode("utf-8-sig", errors="replace")
    if not text.strip():
        return (), 0
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=part.delimiter)
    try:
        names = tuple(name.strip() for name in next(reader))
    except csv.Error as error:
        raise TableError(f"{part.path}: the header cannot be read: {error}; is 'delimiter' right?") from error
    if len(names) == 1:
        _check_delimiter(part, names[0])
    return names, reader.line_num


def _check_delimiter(part: SourcePart, header: str) -> None:
    guess = max(_DELIMITERS, key=header.count)
    if header.count(guess):
        raise TableError(
            f"{part.path}: the header has one column, '{header[:80]}', because 'delimiter' is {part.delimiter!r}; "
            f"it looks like {_DELIMITERS[guess]}: set tables.{part.table}.delimiter: {_DELIMITERS[guess]}"
        )


def _decode(
    columns: dict[str, pa.Array], numbers: npt.NDArray[np.int64]
) -> tuple[dict[str, pa.Array], npt.NDArray[np.int64], list[BadRow]]:
    """Makes strings of bytes; rows that are not UTF-8 are left out."""
    try:
        return {name: array.cast(pa.string()) for name, array in columns.items()}, numbers, []
    except pa.ArrowInvalid:
        fine = np.ones(len(numbers), bool)
        bad_rows = []
        for array in columns.values():
            for index, value in enumerate(array.to_pylist()):
                text = value.decode("utf-8", errors="replace")
                if fine[index] and "\ufffd" in text and text.encode() != value:
                    fine[index] = False
                    bad_rows.append(BadRow(NOT_UTF8, int(numbers[index]), text[:80]))
        kept = pa.array(fine)
        strings = {name: array.filter(kept).cast(pa.string()) for name, array in columns.items()}
        return strings, numbers[fine], bad_rows
