"""Parts of the known customers' cases: by country, by activity, by the age and the category of what they took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from trainer.cases import Cases
from trainer.days import DAY
from trainer.evaluation.items import UNKNOWN, Items

Rows = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FEW = 30  # with fewer cases a number says little
_MOST = 8  # countries, or categories, that have a slice of their own
_BANDS = 4
_AGES_DAYS = (30, 90)
_COUNTRY = "country"


@dataclass(frozen=True)
class Slice:
    """Some of a table's cases.

    Args:
      by: what the slices differ in.
      name: of this one.
      keep: bool [cases], which cases are in it.
      truth: for each kept case the rows that count as hits, at least one; rankings are those of the whole table.
    """

    by: str
    name: str
    keep: Bools
    truth: list[Rows]


def make_slices(cases: Cases, items: Items, tables_dir: str, start: int) -> list[Slice]:
    """Cuts cases into slices; those of one kind hold every case, or every hit, once.

    Args:
      cases: of known customers.
      items: the catalogue.
      tables_dir: the tables; users.parquet tells countries where the cases do not.
      start: of the judged window, seconds since 1970 UTC.
    """
    return [
        *_by_label(cases, _COUNTRY, _countries(cases, tables_dir)),
        *_by_activity(cases),
        *_by_age(cases, items, start),
        *_by_group(cases, items),
    ]


def _countries(cases: Cases, tables_dir: str) -> list[str]:
    if _COUNTRY in cases.table.column_names:
        return [name or UNKNOWN for name in cases.table[_COUNTRY].to_pylist()]
    file = Path(tables_dir, "users.parquet")
    if not file.is_file() or not {"user_id", _COUNTRY} <= set(pq.read_schema(file).names):
        return []
    users = pq.read_table(file, columns=["user_id", _COUNTRY])
    known = dict(zip(users["user_id"].to_pylist(), users[_COUNTRY].to_pylist(), strict=True))
    return [known.get(user) or UNKNOWN for user in cases.table["user_id"].to_pylist()]


def _by_label(cases: Cases, by: str, labels: Sequence[str]) -> list[Slice]:
    counts = Counter(labels)
    shown = [label for label, count in counts.most_common(_MOST) if count >= FEW]
    if len(counts) < 2 or not shown:
        return []
    merged = np.array([label if label in shown else f"others ({len(counts) - len(shown)})" for label in labels])
    return [of_cases(cases, by, name, merged == name) for name in dict.fromkeys([*shown, *merged])]


def _by_activity(cases: Cases) -> list[Slice]:
    """Bands of users with equally many cases, by how many items they had before."""
    sizes = np.array([len(rows) for rows in cases.seen], np.int64)
    edges = np.unique(np.quantile(sizes, np.linspace(0.0, 1.0, _BANDS + 1)[1:-1], method="lower"))
    bands = np.searchsorted(edges, sizes)
    kept = [bands == band for band in np.unique(bands)]
    if len(kept) < 2:
        return []
    ranges = [(int(sizes[keep].min()), int(sizes[keep].max())) for keep in kept]
    names = [f"{low}" if low == high else f"{low} to {high}" for low, high in ranges]
    return [of_cases(cases, "items had before", name, keep) for name, keep in zip(names, kept, strict=True)]


def _by_age(cases: Cases, items: Items, start: int) -> list[Slice]:
    if items.first_seen is None:
        return []
    ages = (start - items.first_seen) / DAY
    ages = np.where(items.first_seen > 0, ages, -1.0)
    young, old = _AGES_DAYS
    bands = {
        "not met before": ages <= 0,
        f"up to {young}": (ages > 0) & (ages <= young),
        f"{young} to {old}": (ages > young) & (ages <= old),
        f"over {old}": ages > old,
    }
    return _of_items(cases, "days since first sale", bands)


def _by_group(cases: Cases, items: Items) -> list[Slice]:
    wanted = Counter(group for rows in cases.truth for group in set(items.groups[rows].tolist()))
    shown = [group for group, count in wanted.most_common(_MOST) if count >= FEW]
    if len(wanted) < 2 or not shown:
        return []
    bands = {items.group_names[group]: items.groups == group for group in sorted(shown)}
    rest = len(wanted) - len(shown)
    if rest:
        bands[f"others ({rest})"] = ~np.isin(items.groups, shown)
    return _of_items(cases, items.grouped_by, bands)


def of_cases(cases: Cases, by: str, name: str, keep: Bools) -> Slice:
    """Makes the slice `name` of the cases where `keep` [cases] is true, with their whole truth."""
    return Slice(by, name, keep, [cases.truth[place] for place in np.flatnonzero(keep)])


def _of_items(cases: Cases, by: str, bands: dict[str, Bools]) -> list[Slice]:
    """Slices whose truth is only what lies in a band of items, `bands` [items]."""
    found = []
    for name, band in bands.items():
        truth = [rows[band[rows]] for rows in cases.truth]
        keep = np.array([len(rows) > 0 for rows in truth], np.bool_)
        if keep.any():
            found.append(Slice(by, name, keep, [rows for rows in truth if len(rows)]))
    return found if len(found) > 1 else []
