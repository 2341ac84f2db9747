"""The plan of reading: which parts a table's files fall into, and who reads each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pipeline.config import Config, TableConfig
from pipeline.sources.csv_file import CsvFile
from pipeline.sources.files import find_files, format_of, text_bytes
from pipeline.sources.json_lines import JsonLines
from pipeline.sources.parquet_file import ParquetFile, row_group_rows
from pipeline.sources.source import Source, SourcePart, TableError
from pipeline.sources.ubi import UbiEvents, UbiQueries

_PART_ROWS = 1_000_000  # row groups of a Parquet file are read by one worker up to so many rows
_ROW_BYTES = {"csv": 80, "jsonl": 200, "ubi_events": 400, "ubi_queries": 400}  # typical; plans sizes of work only


def plan_parts(config: Config) -> list[SourcePart]:
    """Finds the files of all tables.

    Args:
      config: the shop's configuration.

    Returns:
      The parts of `users`, `items` and `events`; within a table in the order of the files' names.

    Raises:
      TableError: if a file is missing or its format unknown.
    """
    parts: list[SourcePart] = []
    for name in ("users", "items", "events"):
        table: TableConfig | None = getattr(config.tables, name)
        if table is not None and table.path is not None:
            found = _parts_of_table(name, table)
            parts += [replace(part, index=index) for index, part in enumerate(found)]
    return parts


def open_source(part: SourcePart) -> Source:
    """Opens the reader of a part.

    Raises:
      TableError: if the file cannot be read.
    """
    match part.format:
        case "csv":
            return CsvFile(part)
        case "parquet":
            return ParquetFile(part)
        case "jsonl":
            return JsonLines(part)
        case "ubi_events":
            return UbiEvents(part)
        case "ubi_queries":
            return UbiQueries(part)


def peek_names(part: SourcePart) -> list[str]:
    """The names of a part's columns; of JSON those of its first rows, for messages."""
    source = open_source(part)
    if isinstance(source, JsonLines):
        return source.peek_names()
    return list(source.names() or ())


def _parts_of_table(name: str, table: TableConfig) -> Iterator[SourcePart]:
    key = f"tables.{name}.path"
    files = find_files(table.path or "", key)
    if table.format == "ubi":
        if name != "events":
            raise TableError(f"tables.{name}.format: 'ubi' is a format of events; use jsonl for {name}")
        yield from _ubi_parts(files, table)
        return
    for path in files:
        match table.format if table.format != "auto" else format_of(path):
            case "parquet":
                yield from _parquet_parts(name, path)
            case "jsonl":
                yield SourcePart(name, 0, path, "jsonl", rows=_estimate(path, "jsonl"))
            case _:
                rows = _estimate(path, "csv")
                yield SourcePart(name, 0, path, "csv", rows=rows, delimiter=table.delimiter)


def _ubi_parts(files: list[str], table: TableConfig) -> Iterator[SourcePart]:
    queries: tuple[str, ...] = ()
    if table.queries_path is not None:
        queries = tuple(find_files(table.queries_path, "tables.events.queries_path"))
    for path in queries:
        yield SourcePart("events", 0, path, "ubi_queries", rows=_estimate(path, "ubi_queries"))
    for path in files:
        yield SourcePart("events", 0, path, "ubi_events", rows=_estimate(path, "ubi_events"), queries=queries)


def _parquet_parts(name: str, path: str) -> Iterator[SourcePart]:
    groups: list[int] = []
    first_row, rows = 0, 0
    for group, count in enumerate(row_group_rows(path)):
        if groups and rows + count > _PART_ROWS:
            yield SourcePart(name, 0, path, "parquet", rows=rows, row_groups=tuple(groups), first_row=first_row)
            groups, first_row, rows = [], first_row + rows, 0
        groups.append(group)
        rows += count
    yield SourcePart(name, 0, path, "parquet", rows=rows, row_groups=tuple(groups), first_row=first_row)


def _estimate(path: str, format_name: str) -> int:
    return text_bytes(path) // _ROW_BYTES[format_name] + 1
