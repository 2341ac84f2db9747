"""Which of a file's columns is which canonical one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from pipeline import schema
from pipeline.config import Config, TableConfig
from pipeline.sources.source import SourcePart, TableError
from pipeline.sources.ubi import ubi_table

ID_COLUMNS = ("user_id", "item_id", "order_id", "session_id")

_ARROW_TYPES = {"string": pa.string(), "float": pa.float64(), "int": pa.int64(), "timestamp": pa.int64()}


@dataclass(frozen=True)
class MappedColumn:
    """One canonical column and where it comes from.

    Args:
      column: the canonical column.
      sources: the file's names for it, joined with a space where there are several.
      constant: a value for every row instead.
      listed: whether the configuration names it; one that is not listed is read where the file has it.
    """

    column: schema.Column
    sources: tuple[str, ...]
    constant: str | None
    listed: bool


@dataclass(frozen=True)
class Mapping:
    """The columns of one part of a table, in canonical order."""

    part: SourcePart
    columns: tuple[MappedColumn, ...]
    event_types: dict[str, str]

    def wanted(self, names: tuple[str, ...] | None) -> list[str]:
        """The file's names to read.

        Args:
          names: the file's columns, or None where every row brings its own.

        Raises:
          TableError: if a listed or required column is not in the file, or one is there twice.
        """
        wanted = [name for mapped in self.columns if mapped.constant is None for name in mapped.sources]
        if names is None:
            return list(dict.fromkeys(wanted))
        if not names:  # an empty file, no fault where the table has others
            return []
        for mapped in self.columns:
            missing = [name for name in mapped.sources if name not in names]
            if mapped.constant is None and missing and (mapped.listed or mapped.column.required):
                raise self.missing(mapped, missing[0], names)
        found = [name for name in dict.fromkeys(wanted) if name in names]
        for name in found:
            if names.count(name) > 1:
                raise TableError(
                    f"{self.part.path}: column '{name}' is there {names.count(name)} times; rename all but one"
                )
        return found

    def absent(self, seen: set[str]) -> list[str]:
        """The names that the configuration lists, or every row needs, and that were not seen."""
        needed = [mapped for mapped in self.columns if mapped.listed or mapped.column.required]
        return [name for mapped in needed if mapped.constant is None for name in mapped.sources if name not in seen]

    def missing(self, mapped: MappedColumn, name: str, names: Iterable[str]) -> TableError:
        """The error for a column that a file lacks."""
        key = f"tables.{self.part.table}.columns.{mapped.column.name}"
        needed_by = f"{key} names it" if mapped.listed else f"every row of {self.part.table} needs it"
        remedy = f"Set {key} to the column that says: {mapped.column.meaning}"
        if not mapped.column.required:
            remedy += "; or take the line out"
        elif mapped.column.name == "event_type":
            remedy += "; or give all rows one under constants"
        return TableError(
            f"{self.part.path}: has no column '{name}', and {needed_by}. Its columns: {', '.join(names)}. {remedy}"
        )


def map_columns(config: Config, part: SourcePart) -> Mapping:
    """Decides where each canonical column of a part comes from.

    Raises:
      TableError: if the configuration lists a column that the table cannot have, or one twice.
    """
    table: TableConfig = getattr(config.tables, part.table)
    _check_listed(config, part.table, table)
    named = ubi_table(table, part) if part.format.startswith("ubi") else table
    mapped = []
    for column in table_columns(config, part.table):
        found = named.columns.get(column.name, column.name)
        sources = (found,) if isinstance(found, str) else found
        constant = named.constants.get(column.name)
        mapped.append(MappedColumn(column, sources, constant, listed=column.name in table.columns))
    return Mapping(part, tuple(mapped), named.event_types)


def table_columns(config: Config, name: str) -> tuple[schema.Column, ...]:
    """The canonical columns of a table, and after them the shop's own: context of events, properties of users.

    Args:
      config: the shop's configuration.
      name: `users`, `items` or `events`.
    """
    table: TableConfig | None = getattr(config.tables, name)
    known = schema.columns_by_name(name)
    extra = [*table.columns, *table.constants] if table is not None and name != "items" else []
    if name == "events":
        extra += config.features.context
    own = [schema.Column(key, "string", False, "the shop's own") for key in dict.fromkeys(extra) if key not in known]
    return (*schema.TABLES[name], *own)


def arrow_schema(config: Config, name: str) -> pa.Schema:
    """The written types of a table's columns."""
    return pa.schema([(column.name, _ARROW_TYPES[column.kind]) for column in table_columns(config, name)])


def _check_listed(config: Config, name: str, table: TableConfig) -> None:
    known = [column.name for column in table_columns(config, name)]
    for key in (*table.columns, *table.constants):
        if key not in known:
            raise TableError(
                f"tables.{name}.columns.{key}: {name} have no such column; they have {', '.join(known)}. "
                "Join it to a text: 'description: [description, COLUMN]'"
            )
    both = sorted(set(table.columns) & set(table.constants))
    if both:
        raise TableError(f"tables.{name}: '{both[0]}' is under 'columns' and under 'constants'; keep one")
