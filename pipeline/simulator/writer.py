"""Writes a simulated shop's tables into a folder."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO, Literal

import pyarrow.parquet as pq

from pipeline.simulator.csv_lines import csv_header, csv_lines
from pipeline.simulator.events import Events
from pipeline.simulator.plan import Plan, SimulationError
from pipeline.simulator.rows import RowMaker
from pipeline.simulator.stream import stream_events
from pipeline.simulator.truth import ITEMS_FILE, SHOP_FILE, USERS_FILE, write_truth
from pipeline.simulator.world import build_world

Format = Literal["csv", "csv.gz", "parquet"]
FORMATS: tuple[Format, ...] = ("csv", "csv.gz", "parquet")
TABLES = ("users", "items", "events")

_PARTIAL = ".partial"
_CHUNK_ROWS = 65_536
_GZIP_LEVEL = 6


def simulate(
    plan: Plan,
    folder: Path,
    *,
    table_format: Format = "csv",
    force: bool = False,
    chunk_rows: int = _CHUNK_ROWS,
    on_progress: Callable[[int], None] | None = None,
) -> dict[str, Path]:
    """Writes the users, items and events of a simulated shop, and the truth about it.

    The files appear under their names only when all of them are complete.

    Args:
      plan: how large the shop is, and its seed.
      folder: where to; made if missing.
      table_format: the file format of the three tables.
      force: replace the tables of an earlier simulation; other files in `folder` stay.
      chunk_rows: rows written at once; the files do not depend on it.
      on_progress: called with the number of events written so far.

    Returns:
      The paths of the three tables by name.

    Raises:
      SimulationError: if `folder` cannot be written or holds something already.
    """
    try:
        with _partial_folder(folder, force) as partial:
            _write(plan, partial, table_format, chunk_rows, on_progress)
            _publish(partial, folder)
    except OSError as error:
        raise SimulationError(
            f"{folder}: cannot be written: {error.strerror or error}; choose another folder"
        ) from error
    return {table: folder / f"{table}.{table_format}" for table in TABLES}


def _write(
    plan: Plan, folder: Path, table_format: Format, chunk_rows: int, on_progress: Callable[[int], None] | None
) -> None:
    world = build_world(plan)
    rows = RowMaker(world)
    for name, table in (("users", rows.users()), ("items", rows.items())):
        with _table_file(folder / f"{name}.{table_format}", table.schema, table_format) as write:
            write(table)
    write_truth(world, folder)
    schema = rows.events(Events.join([])).schema
    done = 0
    with _table_file(folder / f"events.{table_format}", schema, table_format) as write:
        for events in _chunks(stream_events(world), chunk_rows):
            write(rows.events(events))
            done += len(events)
            if on_progress is not None:
                on_progress(done)


def _chunks(pieces: Iterator[Events], rows: int) -> Iterator[Events]:
    """Joins and cuts the pieces into chunks of `rows`, the last one shorter."""
    held: list[Events] = []
    for piece in pieces:
        held.append(piece)
        if sum(map(len, held)) >= rows:
            joined = Events.join(held)
            whole = len(joined) // rows * rows
            for first in range(0, whole, rows):
                yield joined.take(slice(first, first + rows))
            held = [joined.take(slice(whole, None))]
    rest = Events.join(held)
    if len(rest):
        yield rest


@contextmanager
def _table_file(path: Path, schema: Any, table_format: Format) -> Iterator[Callable[[Any], object]]:
    """Opens a table for writing; yields what appends an Arrow table to it."""
    if table_format == "parquet":
        with pq.ParquetWriter(path, schema) as parquet:
            yield parquet.write_table
        return
    with path.open("wb") as raw, _gzip(raw) if table_format == "csv.gz" else nullcontext(raw) as file:
        file.write(csv_header(schema.names))
        yield lambda table: file.write(csv_lines(table))


def _gzip(raw: BinaryIO) -> gzip.GzipFile:
    # No name and no time in the header: the same rows are the same bytes.
    return gzip.GzipFile("", "wb", _GZIP_LEVEL, raw, mtime=0)


@contextmanager
def _partial_folder(folder: Path, force: bool) -> Iterator[Path]:
    """Makes the hidden folder for files that are not complete yet, and removes it in any case."""
    if folder.exists() and not folder.is_dir():
        raise SimulationError(f"{folder}: expected a folder, found a file; choose another name")
    folder.mkdir(parents=True, exist_ok=True)
    found = sorted(path.name for path in folder.iterdir() if path.name != _PARTIAL)
    if found and not force:
        raise SimulationError(
            f"{folder}: expected an empty or new folder, found {', '.join(found[:5])}; "
            "choose another one, or --force to replace the tables in it"
        )
    partial = folder / _PARTIAL
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _publish(partial: Path, folder: Path) -> None:
    """Replaces the files of an earlier simulation, whatever its format, by the new ones."""
    for table in TABLES:
        for table_format in FORMATS:
            (folder / f"{table}.{table_format}").unlink(missing_ok=True)
    for name in (USERS_FILE, ITEMS_FILE, SHOP_FILE):
        (partial / name).replace(folder / name)
    for path in sorted(partial.iterdir()):
        path.replace(folder / path.name)
