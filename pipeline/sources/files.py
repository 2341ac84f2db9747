"""Finding a table's files and opening them, compressed or not."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

from pipeline.sources.source import TableError, reading

GZIP_RATIO = 6  # what gzip makes of tables, roughly; only sizes of work are planned with it

_ENDINGS = {".csv": "csv", ".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_GZIP_MARK = b"\x1f\x8b"


def find_files(pattern: str, key: str) -> list[str]:
    """Lists the files that a path or glob names, sorted.

    Args:
      pattern: a file or a glob.
      key: the configuration key that holds it, for the error.

    Raises:
      TableError: if there is none.
    """
    path = Path(pattern)
    if path.is_file():
        return [pattern]
    try:
        files = sorted(
            str(file) for file in Path(path.anchor).glob(str(path.relative_to(path.anchor))) if file.is_file()
        )
    except ValueError as error:
        raise TableError(f"{key}: '{pattern}' is no valid glob: {error}") from error
    if files:
        return files
    if path.is_dir():
        raise TableError(f"{key}: '{pattern}' is a folder; name a file or a glob such as '{pattern}/*.csv'")
    folder = path.parent
    beside = sorted(entry.name for entry in folder.iterdir())[:10] if folder.is_dir() else []
    hint = f"that folder has {', '.join(beside)}" if beside else f"the folder '{folder}' is missing or empty"
    raise TableError(f"{key}: no file matches '{pattern}'; {hint}")


def format_of(path: str) -> str:
    """Tells a file's format by its ending: `csv`, `parquet` or `jsonl`.

    Raises:
      TableError: if the ending says nothing.
    """
    name = path.lower().removesuffix(".gz")
    for ending, format_name in _ENDINGS.items():
        if name.endswith(ending):
            return format_name
    raise TableError(f"{path}: the ending tells no format; set 'format' to csv, parquet, jsonl or ubi")


def text_bytes(path: str) -> int:
    """The size of a text file, an estimate of the unpacked size where it is compressed."""
    with reading(path):
        size = Path(path).stat().st_size
        return size * GZIP_RATIO if _is_gzip(path) else size


def open_text(path: str) -> BinaryIO:
    """Opens a file of text for reading bytes, unpacking gzip whatever its ending says.

    Raises:
      TableError: if it cannot be opened or is UTF-16.
    """
    with reading(path):
        compression = "gzip" if _is_gzip(path) else None
        with pa.input_stream(path, compression=compression) as stream:
            mark = stream.read(2)
        if mark in _UTF16_MARKS:
            raise TableError(f"{path}: the text is UTF-16; save it as UTF-8 (iconv -f utf-16 -t utf-8)")
        return cast("BinaryIO", pa.input_stream(path, compression=compression))


def _is_gzip(path: str) -> bool:
    with Path(path).open("rb") as file:
        return file.read(2) == _GZIP_MARK
