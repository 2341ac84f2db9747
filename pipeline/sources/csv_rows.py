"""The rows that Arrow's CSV parser hands over, gathered, numbered as in the file and decoded."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.sources.source import NOT_UTF8, WRONG_FIELDS, BadRow, SourceBatch

_TAIL_BYTES = 1 << 16

Numbers = npt.NDArray[np.int64]


class CsvRows:
    """Gathers parsed rows into batches and keeps their numbers true while the parser leaves rows out.

    Args:
      names: the columns, as the file calls them.
      header_lines: lines before the first row.
    """

    def __init__(self, names: Sequence[str], header_lines: int) -> None:
        self.names = tuple(names)
        self.last = 0  # number of the last row handed on
        self._last_bad = 0
        self._header_lines = header_lines
        self._last_values: dict[str, str] = {}
        self.restart()

    def restart(self) -> None:
        """Prepares for reading the file again from its beginning: what was handed on is not handed on again."""
        self._parsed = 0
        self._left_out: list[int] = []  # for each row left out: how many rows came before it and were not, plus 1
        self._bad_rows: list[BadRow] = []
        self._waiting: list[tuple[pa.RecordBatch, Numbers]] = []

    @property
    def waiting(self) -> int:
        """Number of rows gathered since the last `take`."""
        return sum(len(numbers) for _, numbers in self._waiting)

    def skip(self, row: Any) -> str:
        """Arrow's handler of rows with too few or too many fields."""
        number = row.number - self._header_lines
        self._left_out.append(number - len(self._left_out))
        if number > self._last_bad:
            found = f"{row.actual_columns} fields for {row.expected_columns} columns: {row.text[:80]}"
            self._bad_rows.append(BadRow(WRONG_FIELDS, number, found))
        return "skip"

    def add(self, batch: pa.RecordBatch) -> None:
        """Gathers what the parser hands over next, `[rows]` of bytes."""
        parsed = np.arange(self._parsed + 1, self._parsed + batch.num_rows + 1, dtype=np.int64)
        self._parsed += batch.num_rows
        numbers = parsed + np.searchsorted(np.asarray(self._left_out, np.int64), parsed, side="right")
        start = int(np.searchsorted(numbers, self.last, side="right"))
        if start < len(numbers):
            self._waiting.append((batch.slice(start), numbers[start:]))

    def take(self) -> SourceBatch:
        """Returns the gathered rows as strings; rows that are not UTF-8 are left out and named."""
        numbers = np.concatenate([np.zeros(0, np.int64), *(numbers for _, numbers in self._waiting)])
        arrays = {name: pa.array([], pa.binary()) for name in self.names}
        if self._waiting:
            table = pa.Table.from_batches([batch for batch, _ in self._waiting]).combine_chunks()
            arrays = {name: _one_chunk(column) for name, column in zip(self.names, table.columns, strict=True)}
            self.last = int(numbers[-1])
            self._last_values = {name: _text(array[-1].as_py()) for name, array in arrays.items()}
        bad_rows, self._bad_rows, self._waiting = self._bad_rows, [], []
        self._last_bad = max([self._last_bad, *(bad.row for bad in bad_rows)])
        columns, numbers, undecodable = _decode(arrays, numbers)
        return SourceBatch(columns, numbers, [*bad_rows, *undecodable])

    def differs_from(self, line: bytes, delimiter: str, header: Sequence[str]) -> bool:
        """Tells whether the last row is not the file's last line: then quotes swallowed what lies between.

        Args:
          line: the last line.
          delimiter: what separates its fields.
          header: the names of all columns.
        """
        try:
            fields = next(csv.reader([_text(line)], delimiter=delimiter), [])
        except csv.Error:
            return True
        if len(fields) != len(header):
            return self._last_bad <= self.last
        return any(fields[header.index(name)] != value for name, value in self._last_values.items())


class QuoteCounter:
    """A stream that counts the quote characters that pass, as the parser reads it.

    Args:
      stream: the file.
    """

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._quotes = 0
        self._tail = b""

    @property
    def odd(self) -> bool:
        """Whether some quote has no partner."""
        return self._quotes % 2 == 1

    def read(self, size: int = -1) -> bytes:
        """Reads up to `size` bytes."""
        block = self._stream.read(size)
        self._quotes += block.count(b'"')
        self._tail = (self._tail + block[-_TAIL_BYTES:])[-_TAIL_BYTES:]
        return block

    def last_line(self) -> bytes:
        """The last line that is not empty."""
        lines = self._tail.rstrip(b"\r\n").splitlines()
        return lines[-1] if lines else b""


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _text(value: bytes) -> str:
    return value.decode("utf-8", errors="replace")


def _decode(columns: dict[str, pa.Array], numbers: Numbers) -> tuple[dict[str, pa.Array], Numbers, list[BadRow]]:
    try:
        return {name: array.cast(pa.string()) for name, array in columns.items()}, numbers, []
    except pa.ArrowInvalid:
        fine = np.ones(len(numbers), bool)
        bad_rows = []
        for array in columns.values():
            for index, value in enumerate(array.to_pylist()):
                text = _text(value)
                if fine[index] and "\ufffd" in text and text.encode() != value:
                    fine[index] = False
                    bad_rows.append(BadRow(NOT_UTF8, int(numbers[index]), text[:80]))
        kept = pa.array(fine)
        strings = {name: array.filter(kept).cast(pa.string()) for name, array in columns.items()}
        return strings, numbers[fine], bad_rows
