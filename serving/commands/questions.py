"""Who and what is asked about: values on the command line or a file of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

_TABLES = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz", ".parquet")
_LISTS = (".txt", ".txt.gz")


def read_values(values: Sequence[str], column: str, option: str) -> list[str]:
    """Turns the values of an option into what to ask about, each once, in their order.

    Args:
      values: plain values, or names of files: one value a line, or a table with `column`.
      column: the column to take from .csv, .jsonl and .parquet files.
      option: the option's name, for messages.

    Returns:
      The values.

    Raises:
      click.UsageError: if there are none, or a file cannot be used.
    """
    found: list[str] = []
    for value in values:
        path = Path(value)
        if path.is_file():
            found.extend(_read_file(path, column, option))
        elif value.lower().endswith((*_TABLES, *_LISTS)):
            raise click.UsageError(f"{option} {value}: there is no such file")
        else:
            found.append(value)
    distinct = list(dict.fromkeys(found))
    if not distinct:
        raise click.UsageError(f"{option}: give at least one value, or a file with some")
    return distinct


def read_context(pairs: Sequence[str]) -> dict[str, str]:
    """Reads `KEY=VALUE` texts.

    Raises:
      click.UsageError: if one has no key.
    """
    context = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key.strip():
            raise click.UsageError(f"--context {pair}: expected KEY=VALUE, for example country=France")
        context[key.strip()] = value
    return context


def read_moment(text: str | None) -> int | None:
    """Reads a moment as `serving.event_files.parse_time` does.

    Raises:
      click.UsageError: if it is none.
    """
    if text is None:
        return None
    from serving.event_files import parse_time

    try:
        return parse_time(text)
    except ValueError as error:
        raise click.UsageError(
            f"--at {text}: expected seconds since 1970 or an ISO time, for example 2026-11-24T18:00"
        ) from error


def _read_file(path: Path, column: str, option: str) -> list[str]:
    if path.name.lower().endswith(_TABLES):
        from serving.event_files import read_table
        from serving.histories import HistoryError

        try:
            table = read_table(path, [column], [column])
        except HistoryError as error:
            raise click.UsageError(f"{option} {error}") from error
        if column not in table.column_names:
            raise click.UsageError(f"{option} {path}: has no column '{column}'")
        return [value for value in table[column].to_pylist() if value]
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{option} {path}: cannot be read as text, one value a line: {error}") from error
    return [line.strip() for line in lines if line.strip()]
