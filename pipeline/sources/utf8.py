"""Strings of bytes: rows that are not UTF-8 are named and left out, one by one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.sources.source import NOT_UTF8, BadRow, SourceBatch

_BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_string, pa.types.is_large_string)


def decode(columns: dict[str, pa.Array], numbers: npt.NDArray[np.int64], bad_rows: list[BadRow]) -> SourceBatch:
    """Makes a batch whose texts are valid UTF-8.

    Args:
      columns: arrays by name; bytes, or strings that nobody has checked, are decoded, others stay as they are.
      numbers: number of each row in the file, `[rows]`.
      bad_rows: rows already left out.
    """
    checked = {name: array for name, array in columns.items() if any(is_type(array.type) for is_type in _BYTES)}
    try:
        texts = {name: array.cast(pa.binary()).cast(pa.string()) for name, array in checked.items()}
    except pa.ArrowInvalid:
        return _decode_rows(columns, set(checked), numbers, bad_rows)
    return SourceBatch({**columns, **texts}, numbers, bad_rows)


def _decode_rows(
    columns: dict[str, pa.Array], checked: set[str], numbers: npt.NDArray[np.int64], bad_rows: list[BadRow]
) -> SourceBatch:
    fine = np.ones(len(numbers), bool)
    undecodable = []
    for name in checked:
        for index, value in enumerate(columns[name].cast(pa.binary()).to_pylist()):
            text = "" if value is None else value.decode("utf-8", errors="replace")
            if fine[index] and "\ufffd" in text and text.encode() != value:
                fine[index] = False
                undecodable.append(BadRow(NOT_UTF8, int(numbers[index]), text[:80]))
    undecodable.sort(key=lambda bad: bad.row)
    kept = pa.array(fine)
    fine_columns = {name: array.filter(kept) for name, array in columns.items()}
    texts = {name: fine_columns[name].cast(pa.binary()).cast(pa.string()) for name in checked}
    return SourceBatch({**fine_columns, **texts}, numbers[fine], [*bad_rows, *undecodable])
