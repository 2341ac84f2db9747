"""What every reader of files has in common: parts in, bounded batches of the file's own columns out."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

PartFormat = Literal["csv", "parquet", "jsonl", "ubi_events", "ubi_queries"]

# Reasons for rows that a reader could not take apart; the report counts them like every other reason.
WRONG_FIELDS = "row: wrong number of fields"
NOT_JSON = "row: not a JSON object"
NOT_UTF8 = "row: invalid UTF-8"
REPEATED_SEARCH = "duplicate: query_id, user_query"


class TableError(ValueError):
    """The shop's tables cannot be used; the message names the file, what is wrong and what to do."""


@dataclass(frozen=True)
class SourcePart:
    """What one worker reads at a time: a file, or some row groups of a Parquet file.

    Args:
      table: `events`, `items` or `users`.
      index: position among the table's parts; rows keep this order.
      path: the file.
      format: how it is read.
      rows: number of rows, an estimate unless the format says it.
      row_groups: parquet: the row groups to read.
      first_row: number of rows of the file before this part.
      delimiter: csv: what separates fields.
      queries: ubi: the files of queries; the events are joined with them.
      buckets: events: the number of buckets that the plan splits them into.
    """

    table: str
    index: int
    path: str
    format: PartFormat
    rows: int
    row_groups: tuple[int, ...] = ()
    first_row: int = 0
    delimiter: str = ","
    queries: tuple[str, ...] = ()
    buckets: int = 1


@dataclass(frozen=True)
class BadRow:
    """A row that could not be taken apart: why, its number in the file (from 1, header not counted), an excerpt."""

    reason: str
    row: int
    value: str


@dataclass(frozen=True)
class SourceBatch:
    """Some rows of a file.

    Args:
      columns: arrays by the file's own names (nested ones with dots); JSON rows may lack some. All of one length.
      rows: number of each row in the file, from 1, `[rows]`.
      bad_rows: rows met on the way that are not in `columns`.
    """

    columns: dict[str, pa.Array]
    rows: npt.NDArray[np.int64]
    bad_rows: list[BadRow] = field(default_factory=list)


class Source(Protocol):
    """A reader of one part."""

    def names(self) -> tuple[str, ...] | None:
        """The names of the part's columns, or None where every row brings its own (JSON)."""

    def batches(self, names: Sequence[str]) -> Iterator[SourceBatch]:
        """Yields the columns `names`, a bounded number of rows at a time.

        Raises:
          TableError: if the file cannot be read to its end.
        """


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Turns what the decoders raise about a damaged file into a TableError that names it.

    Raises:
      TableError: saying that the file is missing, truncated or damaged.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise TableError(f"{path}: there is no such file") from error
    except (pa.ArrowException, OSError, EOFError, zlib.error) as error:
        detail = str(error).split("\n", maxsplit=1)[0]
        if "runcated" in detail or "magic bytes" in detail or isinstance(error, EOFError):
            raise TableError(f"{path}: the file is truncated or damaged ({detail}); copy or export it again") from error
        raise TableError(f"{path}: cannot be read ({detail}); is 'format' right, is the file whole?") from error
