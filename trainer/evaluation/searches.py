"""What the report says of searches beside the tables' numbers: slices of queries, and how often nothing was found."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from trainer.cases import Cases
from trainer.evaluation.slices import Slice, of_cases

_LONG = 4  # words from which on queries are one band
_NUMBER = re.compile(r"\d")
_NOT = re.compile(r"\b(?:without|no|not|non)\b", re.IGNORECASE)


def search_slices(cases: Cases) -> list[Slice]:
    """Cuts searches by how many words they have, and by what kind of words; each kind of slice holds every case once.

    Args:
      cases: searches.
    """
    queries = [query or "" for query in cases.table["query"].to_pylist()]
    return [
        *_by(cases, "words of the query", [query_length(query) for query in queries]),
        *_by(cases, "class of the query", [query_class(query) for query in queries]),
    ]


def zero_result_rates(ranked: Mapping[str, npt.NDArray[np.int64]]) -> dict[str, float]:
    """Says for each ranker which share of the searches, [cases, depth] rows, it answered with no item at all."""
    return {name: float((rows < 0).all(axis=1).mean()) for name, rows in ranked.items()}


def query_length(query: str) -> str:
    """Names the band of a query by its number of words."""
    count = max(1, len(query.split()))
    return f"{count}" if count < _LONG else f"{_LONG} or more"


def query_class(query: str) -> str:
    """Names the class of a query: whether it has a number, or says what is not wanted."""
    if _NUMBER.search(query):
        return "with a number"
    return "says what not" if _NOT.search(query) else "words only"


def _by(cases: Cases, by: str, labels: list[str]) -> list[Slice]:
    names = np.array(labels)
    shown = sorted(set(labels)) if len(set(labels)) > 1 else []
    return [of_cases(cases, by, name, names == name) for name in shown]
