"""The rows that Arrow's CSV parser hands over, gathered and numbered as in the file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.sources.source import WRONG_FIELDS, BadRow, SourceBatch
from pipeline.sources.utf8 import decode

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
        self.restart()

    def restart(self) -> None:
        """Prepares for reading the file again from its beginning: what was handed on is not handed on again."""
        self._parsed = 0
        self._left_out: list[int] = []  # for each row left out: how many rows came before it and were not, plus 1
        self._bad_rows: list[BadRow] = []
        self._waiting: list[tuple[pa.RecordBatch, Numbers]] = []
        self.spanning = 0  # number of the last row parsed where that spans several lines, else 0

    @property
    def next(self) -> int:
        """Number of the row after those parsed."""
        return self._parsed + len(self._left_out) + 1

    @property
    def waiting(self) -> int:
        """Number of rows gathered since the last `take`."""
        return sum(len(numbers) for _, numbers in self._waiting)

    def skip(self, row: Any) -> str:
        """Arrow's handler of rows with too few or too many fields."""
        number = row.number - self._header_lines
        self._left_out.append(number - len(self._left_out))
        self.spanning = number if "\n" in row.text else 0
        if number > self._last_bad:
            found = f"{row.actual_columns} fields for {row.expected_columns} columns: {row.text[:80]}"
            self._bad_rows.append(BadRow(WRONG_FIELDS, number, found))
        return "skip"

    def add(self, batch: pa.RecordBatch) -> None:
        """Gathers what the parser hands over next: `names` and after them the file's last column, `[rows]` of bytes."""
        parsed = np.arange(self._parsed + 1, self._parsed + batch.num_rows + 1, dtype=np.int64)
        self._parsed += batch.num_rows
        numbers = parsed + np.searchsorted(np.asarray(self._left_out, np.int64), parsed, side="right")
        if batch.num_rows and (not self._left_out or self._left_out[-1] <= self._parsed):
            self.spanning = int(numbers[-1]) if b"\n" in batch.columns[-1][-1].as_py() else 0
        start = int(np.searchsorted(numbers, self.last, side="right"))
        if start < len(numbers):
            self._waiting.append((batch.slice(start), numbers[start:]))

    def take(self) -> SourceBatch:
        """Returns the gathered rows as strings; rows that are not UTF-8 are left out and named."""
        numbers = np.concatenate([np.zeros(0, np.int64), *(numbers for _, numbers in self._waiting)])
        arrays = {name: pa.array([], pa.binary()) for name in self.names}
        if self._waiting:
            table = pa.Table.from_batches([batch for batch, _ in self._waiting]).combine_chunks()
            arrays = {name: _one_chunk(column) for name, column in zip(self.names, table.columns[:-1], strict=True)}
            self.last = int(numbers[-1])
        bad_rows, self._bad_rows, self._waiting = self._bad_rows, [], []
        self._last_bad = max([self._last_bad, *(bad.row for bad in bad_rows)])
        return decode(arrays, numbers, bad_rows)


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
