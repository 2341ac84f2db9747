"""JSON lines: one object a line.

Every row may have keys of its own, and a key values of several types: those become text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.sources.files import open_text
from pipeline.sources.source import NOT_JSON, NOT_UTF8, BadRow, SourceBatch, SourcePart, TableError, reading

_BLOCK_BYTES = 4 << 20
_LINE_BYTES = 64 << 20
_PEEK_ROWS = 1_000

Row = dict[str, Any]


class JsonLines:
    """Reads a file of JSON lines, plain or gzip.

    Args:
      part: the file.
    """

    def __init__(self, part: SourcePart) -> None:
        self.part = part

    def names(self) -> None:
        """None: every row brings its own names."""
        return

    def batches(self, names: Sequence[str]) -> Iterator[SourceBatch]:
        """Yields columns in the types that the batch's values have in common; see `Source`."""
        done = 0
        for lines in self._blocks():
            if done == 0 and lines and lines[0].lstrip()[:1] == b"[":
                raise TableError(
                    f"{self.part.path}: holds a JSON array, expected one object a line; convert it with jq -c '.[]'"
                )
            rows, numbers, bad_rows = _parse(lines, done)
            done += len(lines)
            rows, numbers, more_bad_rows = self.complete(rows, numbers)
            keys = set().union(*rows)
            columns = {name: array for name in names if (array := self._column(rows, keys, name)) is not None}
            yield SourceBatch(columns, np.asarray(numbers, np.int64), [*bad_rows, *more_bad_rows])

    def peek_names(self) -> list[str]:
        """The keys of the first rows, those of inner objects with dots."""
        lines = next(self._blocks(), [])[:_PEEK_ROWS]
        names = {name: None for row in _parse(lines, 0)[0] for name in _names_within(row)}
        return list(names)

    def complete(self, rows: list[Row], numbers: list[int]) -> tuple[list[Row], list[int], list[BadRow]]:
        """Lets a subclass add to the rows or leave some out."""
        return rows, numbers, []

    def _blocks(self) -> Iterator[list[bytes]]:
        path, rest = self.part.path, b""
        with open_text(path) as stream, reading(path):
            first = True
            while block := stream.read(_BLOCK_BYTES):
                if first:
                    block, first = block.removeprefix(b"\xef\xbb\xbf"), False
                lines = (rest + block).split(b"\n")
                rest = lines.pop()
                if len(rest) > _LINE_BYTES:
                    raise TableError(f"{path}: a line is longer than {_LINE_BYTES >> 20} MiB; is this JSON lines?")
                if lines:
                    yield lines
        if rest.strip():
            yield [rest]

    def _column(self, rows: list[Row], keys: set[str], name: str) -> pa.Array | None:
        """Gathers one column, or None where no row has its key."""
        path = name.split(".")
        if name in keys:
            values = [row.get(name) for row in rows]
        elif len(path) > 1 and any(_has(row, path) for row in rows):
            values = [_reach(row, path) for row in rows]
        else:
            return None
        if values.count(None) == len(values):
            return pa.nulls(len(rows), pa.string())
        return self._array(name, values)

    def _array(self, name: str, values: list[Any]) -> pa.Array:
        try:
            array = pa.array(values)
        except (pa.ArrowException, OverflowError, UnicodeEncodeError):
            pass  # several types in one column, a number too large, half a character
        else:
            if not pa.types.is_nested(array.type):
                return array
        nested = next((value for value in values if isinstance(value, dict)), None)
        if nested is not None:
            inner = ", ".join(f"{name}.{key}" for key in list(nested)[:10])
            raise TableError(f"{self.part.path}: '{name}' holds an object; name one of its keys: {inner}")
        if any(isinstance(value, list) for value in values):
            return pa.array([None if value is None else _texts(value) for value in values], pa.list_(pa.string()))
        return pa.array([_text(value) for value in values], pa.string())


def _parse(lines: list[bytes], done: int) -> tuple[list[Row], list[int], list[BadRow]]:
    """Reads lines that follow `done` others: the rows, their numbers and what could not be read."""
    if all(lines):
        try:
            rows = json.loads(b"[" + b",".join(lines) + b"]")  # one call for all is three times as fast
            if len(rows) == len(lines) and all(isinstance(row, dict) for row in rows):
                return rows, list(range(done + 1, done + len(lines) + 1)), []
        except (ValueError, RecursionError):
            pass  # some line is bad: find out which, one by one
    good, numbers, bad_rows = [], [], []
    for number, line in enumerate(lines, done + 1):
        if not line.strip():
            continue
        row = _parse_line(line)
        if isinstance(row, dict):
            good.append(row)
            numbers.append(number)
        else:
            bad_rows.append(BadRow(row, number, line[:80].decode("utf-8", errors="replace")))
    return good, numbers, bad_rows


def _parse_line(line: bytes) -> Row | str:
    """Reads one line: the row, or the reason why there is none."""
    try:
        row = json.loads(line)
    except UnicodeDecodeError:
        return NOT_UTF8
    except (ValueError, RecursionError):
        return NOT_JSON
    return row if isinstance(row, dict) else NOT_JSON


def _reach(row: Row, path: list[str]) -> Any:
    value: Any = row
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def _names_within(row: Row, prefix: str = "") -> Iterator[str]:
    for key, value in row.items():
        if isinstance(value, dict):
            yield from _names_within(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def _has(row: Row, path: list[str]) -> bool:
    parent = _reach(row, path[:-1]) if len(path) > 1 else row
    return isinstance(parent, dict) and path[-1] in parent


def _texts(value: Any) -> list[str]:
    items = value if isinstance(value, list) else [value]
    return [text for item in items if (text := _text(item)) is not None]


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        return value.encode("utf-8", errors="replace").decode("utf-8")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value)
