"""Columns of numbers that grow while they are read: in memory while small, on disk beyond."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

Columns = dict[str, npt.NDArray[Any]]
MEMORY_LIMIT_BYTES = 2 << 30


class ColumnStore:
    """Collects chunks of equal columns.

    Args:
      scratch: where columns go that outgrow `limit_bytes`, as plain files that are mapped into memory; without
        it they stay in memory.
      limit_bytes: of all columns together.
    """

    def __init__(self, scratch: Path | None = None, limit_bytes: int = MEMORY_LIMIT_BYTES) -> None:
        self._scratch = scratch
        self._limit_bytes = limit_bytes
        self._chunks: list[Columns] = []
        self._bytes = 0
        self._like: Columns = {}
        self._files: dict[str, BinaryIO] = {}

    def append(self, columns: Columns) -> None:
        """Adds rows; the first call says names, types and widths.

        Raises:
          ValueError: if later rows have other columns.
        """
        if not self._like:
            self._like = {name: values[:0] for name, values in columns.items()}
        if columns.keys() != self._like.keys():
            raise ValueError(f"expected the columns {sorted(self._like)}, got {sorted(columns)}")
        self._chunks.append(columns)
        self._bytes += sum(values.nbytes for values in columns.values())
        if self._scratch is not None and self._bytes > self._limit_bytes:
            self._spill(self._scratch)

    def finish(self) -> Columns:
        """Returns all rows; empty if there were none."""
        if not self._files:
            return {name: np.concatenate([chunk[name] for chunk in self._chunks]) for name in self._like}
        assert self._scratch is not None
        self._spill(self._scratch)
        columns: Columns = {}
        for name, file in self._files.items():
            file.close()
            like = self._like[name]
            flat = np.memmap(self._scratch / f"{name}.column", like.dtype, mode="r")
            columns[name] = flat.reshape(-1, *like.shape[1:])
        return columns

    def _spill(self, scratch: Path) -> None:
        scratch.mkdir(parents=True, exist_ok=True)
        if not self._files:
            self._files = {name: (scratch / f"{name}.column").open("wb") for name in self._like}
        for chunk in self._chunks:
            for name, file in self._files.items():
                file.write(np.ascontiguousarray(chunk[name]).tobytes())
        self._chunks, self._bytes = [], 0


def hash_rows(columns: Columns) -> npt.NDArray[np.uint64]:
    """Hashes each row to 64 bits, by names and values, whatever the order of the columns.

    Args:
      columns: numbers, [n] or [n, width].

    Returns:
      [n]; floats count by their float32 bits.
    """
    total = np.zeros(len(next(iter(columns.values()))), np.uint64)
    for name in sorted(columns):
        values = columns[name].reshape(len(total), -1)
        bits = values.astype(np.float32).view(np.uint32) if values.dtype.kind == "f" else values.astype(np.int64)
        for place in range(values.shape[1]):
            total = _mix(total ^ bits[:, place].astype(np.uint64))
    return total


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): every bit depends on every bit."""
    with np.errstate(over="ignore"):
        values = values + np.uint64(0x9E3779B97F4A7C15)
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return values ^ (values >> np.uint64(31))
