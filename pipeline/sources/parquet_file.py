"""Parquet files, some row groups at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.sources.source import SourceBatch, SourcePart, TableError, reading
from pipeline.sources.utf8 import decode

BATCH_ROWS = 65_536
_BATCH_BYTES = 32 << 20

_READABLE = (
    pa.types.is_null,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_float32,
    pa.types.is_float64,
    pa.types.is_decimal,
    pa.types.is_timestamp,
    pa.types.is_date,
)


class ParquetFile:
    """Reads row groups of a Parquet file.

    Args:
      part: the file and the row groups.
    """

    def __init__(self, part: SourcePart) -> None:
        self._part = part
        with reading(part.path):
            self._file = pq.ParquetFile(part.path, buffer_size=1 << 20)
        self._schema = self._file.schema_arrow

    def names(self) -> tuple[str, ...]:
        """The file's columns, those inside a struct with dots, `[columns]`."""
        return tuple(name for field in self._schema for name in _names_within(field.name, field.type))

    def batches(self, names: Sequence[str]) -> Iterator[SourceBatch]:
        """Yields columns in the file's own types; see `Source`."""
        roots = list(dict.fromkeys(self._root(name) for name in names))
        done = self._part.first_row
        with reading(self._part.path):
            for batch in self._file.iter_batches(
                batch_size=self._batch_rows(), row_groups=list(self._part.row_groups), columns=roots, use_threads=False
            ):
                rows = np.arange(done + 1, done + batch.num_rows + 1, dtype=np.int64)
                done += batch.num_rows
                yield decode({name: self._column(batch, name) for name in names}, rows, [])

    def _root(self, name: str) -> str:
        return name if name in self._schema.names else name.split(".", maxsplit=1)[0]

    def _column(self, batch: pa.RecordBatch, name: str) -> pa.Array:
        root = self._root(name)
        array = batch.column(batch.schema.get_field_index(root))
        for part in name[len(root) + 1 :].split(".") if name != root else ():
            array = pc.struct_field(array, [array.type.get_field_index(part)])
        self._check_type(name, array.type)
        return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array

    def _check_type(self, name: str, kind: pa.DataType) -> None:
        while pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_dictionary(kind):
            kind = kind.value_type
        if not any(is_type(kind) for is_type in _READABLE):
            raise TableError(
                f"{self._part.path}: column '{name}' is of type {kind}, which cannot be read; store it as text"
            )

    def _batch_rows(self) -> int:
        groups = [self._file.metadata.row_group(group) for group in self._part.row_groups]
        rows, size = sum(group.num_rows for group in groups), sum(group.total_byte_size for group in groups)
        return int(min(BATCH_ROWS, max(256, _BATCH_BYTES * rows // max(size, 1))))


def row_group_rows(path: str) -> list[int]:
    """The number of rows of each row group of a file.

    Raises:
      TableError: if the file is no Parquet file.
    """
    with reading(path):
        metadata = pq.read_metadata(path)
    return [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]


def _names_within(name: str, kind: pa.DataType) -> Iterator[str]:
    if not pa.types.is_struct(kind):
        yield name
        return
    for inner in kind:
        yield from _names_within(f"{name}.{inner.name}", inner.type)
