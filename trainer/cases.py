"""The judged cases: what was asked in the window, and what turned out to be right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import schema

Rows = npt.NDArray[np.int64]

RECOMMEND = "recommend"
SEARCH = "search"


@dataclass(frozen=True)
class Cases:
    """Some cases with their items as rows of the catalogue.

    Args:
      table: the cases' columns as the pipeline wrote them; requests are made of these.
      truth: for each case the rows that count as hits.
      seen: for each case the rows that its user had truth events with before the window.
      seen_counts: how often, beside `seen`.
    """

    table: pa.Table
    truth: Sequence[Rows]
    seen: Sequence[Rows]
    seen_counts: Sequence[Rows]

    def __len__(self) -> int:
        return len(self.truth)

    def select(self, keep: npt.NDArray[np.bool_]) -> Cases:
        """Returns the cases where `keep` [cases] is true, in their order."""
        places = np.flatnonzero(keep)
        return Cases(
            table=self.table.take(pa.array(places, pa.int64())),
            truth=[self.truth[place] for place in places],
            seen=[self.seen[place] for place in places],
            seen_counts=[self.seen_counts[place] for place in places],
        )

    def of_task(self, task: str) -> Cases:
        """Returns the cases of one task, `recommend` or `search`."""
        return self.select(np.array(self.table["task"].to_pylist(), np.str_) == task)

    def warm(self) -> npt.NDArray[np.bool_]:
        """Tells which users had a truth event before the window, [cases]."""
        return np.array(self.table["warm"].to_pylist(), np.bool_)

    def unseen(self) -> Cases:
        """Returns the cases about new items only: seen items leave the truth, cases left without truth leave too."""
        truth = [np.setdiff1d(items, seen) for items, seen in zip(self.truth, self.seen, strict=True)]
        kept = Cases(self.table, truth, self.seen, self.seen_counts)
        return kept.select(np.array([len(items) > 0 for items in truth], np.bool_))


def read_cases(cases_dir: str, item_ids: Sequence[str]) -> tuple[str, Cases]:
    """Reads the judged window: the test window if it has cases, else the validation window.

    Args:
      cases_dir: a folder of cases, as the pipeline writes it.
      item_ids: str [items], the catalogue, sorted.

    Returns:
      The window's name, `test` or `validation`, and its cases. Those whose truth is outside the
      catalogue are left out.

    Raises:
      FileNotFoundError: if a file is missing.
    """
    name = "test" if pq.ParquetFile(_existing(cases_dir, "test")).metadata.num_rows else "validation"
    table = pq.read_table(_existing(cases_dir, name))
    index = pa.array(item_ids, pa.string())
    seen_rows, seen_counts = _rows(table["seen_item_ids"], index), _lists(table["seen_counts"])
    known = [rows >= 0 for rows in seen_rows]
    cases = Cases(
        table=table,
        truth=[np.unique(rows[rows >= 0]) for rows in _rows(table["truth"], index)],
        seen=[rows[each] for rows, each in zip(seen_rows, known, strict=True)],
        seen_counts=[counts[each] for counts, each in zip(seen_counts, known, strict=True)],
    )
    return name, cases.select(np.array([len(items) > 0 for items in cases.truth], np.bool_))


def case_inputs(table: pa.Table, context: Sequence[str]) -> dict[str, Any]:
    """Makes requests of cases: the inputs of a signature by name, [cases] or [cases, n].

    Args:
      table: some cases, as the pipeline writes them.
      context: names of the context columns that the model reads.
    """
    names = (schema.RAW_USER_ID, schema.RAW_TIMESTAMP, schema.RAW_QUERY, *context)
    inputs: dict[str, Any] = {name: table[name].to_pylist() for name in names if name in table.column_names}
    inputs[schema.RAW_TIMESTAMP] = np.array(inputs[schema.RAW_TIMESTAMP], np.int64)
    return inputs | {name: padded(table[name].to_pylist(), pad) for name, pad in schema.HISTORY_PADS.items()}


def padded(lists: Sequence[Sequence[Any]], pad: str | float) -> npt.NDArray[Any]:
    """Makes lists equally long, [n, longest], at least one wide."""
    width = max(1, max(map(len, lists), default=1))
    values = [[*each, *[pad] * (width - len(each))] for each in lists]
    return np.array(values, object if isinstance(pad, str) else np.float32).reshape(len(lists), width)


def _existing(cases_dir: str, name: str) -> Path:
    path = Path(cases_dir, f"{name}.parquet")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: the pipeline writes the cases of the {name} window there, found no file")
    return path


def _flat(column: pa.ChunkedArray) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    array = column.combine_chunks()
    array = array if isinstance(array, pa.Array) else pa.concat_arrays(array.chunks)
    return array.flatten(), np.cumsum(array.value_lengths().to_numpy(zero_copy_only=False))[:-1].astype(np.int64)


def _rows(column: pa.ChunkedArray, index: pa.Array) -> list[Rows]:
    values, ends = _flat(column)
    rows = pc.fill_null(pc.index_in(values, value_set=index), -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return np.split(rows, ends) if len(column) else []


def _lists(column: pa.ChunkedArray) -> list[Rows]:
    values, ends = _flat(column)
    return np.split(values.to_numpy(zero_copy_only=False).astype(np.int64), ends) if len(column) else []
