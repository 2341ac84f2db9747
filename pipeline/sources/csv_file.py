"""Comma- (or otherwise) separated text.

Arrow parses, but guesses nothing: every field arrives as bytes, so that neither a letter among numbers
in row a million nor one bad byte ends the import. A row is dropped for its own faults only.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.csv as arrow_csv

from pipeline.sources.csv_rows import CsvRows
from pipeline.sources.files import open_text
from pipeline.sources.source import SourceBatch, SourcePart, TableError, reading

# Arrow parses block by block, and a row must fit into one. It reads 32 blocks ahead, so blocks are small; a file
# in which a row does not fit (fields of a million characters) is read again in large ones.
_BLOCK_BYTES = (1 << 20, 16 << 20)
_BATCH_ROWS = 50_000
_HEADER_BYTES = 1 << 20
# What Arrow says about a header and nothing else, with or without the end of its line.
_NO_ROWS = ("Empty CSV", "CSV parse error: Empty CSV", "Could not skip initial")
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
        rows = CsvRows(names, self._header_lines)
        stopped = 0
        for block_bytes in _BLOCK_BYTES:
            with reading(self._part.path):
                try:
                    yield from self._read(rows, block_bytes)
                except pa.ArrowInvalid as error:
                    if "straddl" not in str(error):
                        raise
                    stopped = rows.next
                    rows.restart()
                else:
                    return
        raise self._unclosed(stopped, f"a row is longer than {_BLOCK_BYTES[-1] >> 20} MiB")

    def _read(self, rows: CsvRows, block_bytes: int) -> Iterator[SourceBatch]:
        with open_text(self._part.path) as stream:
            for batch in self._parse(stream, rows, block_bytes):
                rows.add(batch)
                if rows.waiting >= _BATCH_ROWS:
                    yield rows.take()
        rest = rows.take()
        if rows.spanning and _count_quotes(self._part.path) % 2:
            raise self._unclosed(rows.spanning, "the file ends inside quotes")
        if len(rest.rows) or rest.bad_rows:
            yield rest

    def _parse(self, stream: Any, rows: CsvRows, block_bytes: int) -> Iterator[pa.RecordBatch]:
        # Positions serve as names: headers may repeat names that nobody asked for. The last column comes along
        # because a quote that is never closed shows there.
        positions = [str(self._names.index(name)) for name in rows.names] + [str(len(self._names) - 1)]
        read = arrow_csv.ReadOptions(
            use_threads=False,
            block_size=block_bytes,
            column_names=[str(position) for position in range(len(self._names))],
            skip_rows=self._header_lines,
        )
        convert = arrow_csv.ConvertOptions(
            check_utf8=False,
            column_types={position: pa.binary() for position in positions},
            include_columns=positions,
            strings_can_be_null=False,
        )
        parse = self._parse_options(rows.skip)
        try:
            with arrow_csv.open_csv(stream, read_options=read, parse_options=parse, convert_options=convert) as reader:
                yield from reader
        except pa.ArrowInvalid as error:
            if not str(error).startswith(_NO_ROWS):
                raise

    def _parse_options(self, skip: Callable[[Any], str]) -> arrow_csv.ParseOptions:
        return arrow_csv.ParseOptions(delimiter=self._part.delimiter, newlines_in_values=True, invalid_row_handler=skip)

    def _unclosed(self, row: int, what: str) -> TableError:
        return TableError(
            f'{self._part.path}: {what}, near row {row:,}. Most likely a quote character (") is opened '
            'and never closed; double the quotes inside fields ("") and export again'
        )


def _count_quotes(path: str) -> int:
    count = 0
    with open_text(path) as stream:
        while block := stream.read(_HEADER_BYTES):
            count += block.count(b'"')
    return count


def _read_header(part: SourcePart) -> tuple[tuple[str, ...], int]:
    with open_text(part.path) as stream, reading(part.path):
        head = stream.read(_HEADER_BYTES)
    if b"\0" in head:
        raise TableError(f"{part.path}: holds zero bytes, so it is no text; is 'format' right?")
    text = head.decode("utf-8-sig", errors="replace")
    if len(head) == _HEADER_BYTES and not ("\n" in text or "\r" in text):
        raise TableError(f"{part.path}: the first line is longer than {_HEADER_BYTES >> 20} MiB; is 'format' right?")
    if not text.strip():
        return (), 0
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=part.delimiter)
    try:
        names = tuple(name.strip() for name in next(fields for fields in reader if fields))
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
