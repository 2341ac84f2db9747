"""Which items speak for which: co-purchases, what comes next, and likeness of texts, the strongest of each item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.sparse

from trainer.days import DAY
from trainer.interactions import Interactions, presence

Floats = npt.NDArray[np.float32]

EASE_PENALTY = 500.0
NEXT_PENALTY = 200.0
NEXT_WINDOWS = 4
HALF_LIFE_DAYS = 90.0
LEAST_LIKENESS = 0.75
_BLOCK = 2048


@dataclass(frozen=True)
class Neighbours:
    """For each item the items that it speaks for, and how loudly.

    Args:
      rows: int32 [items, n], -1 pads.
      weights: float32 [items, n], of any sign, 0 where padded.
    """

    rows: npt.NDArray[np.int32]
    weights: Floats


def copurchases(bought: Interactions, *, most_items: int, count: int) -> Neighbours:
    """Learns which items are bought by the same customers: EASE (Steck, Embarrassingly shallow autoencoders, 2019).

    Args:
      bought: truth events.
      most_items: only so many items take part, the most bought ones, as the solution is dense.
      count: neighbours kept of each item.

    Returns:
      Of every item, at most `count` neighbours by absolute weight; never itself.
    """
    rows = _most_bought(bought, most_items)
    matrix = presence(bought.matrix())[:, rows]
    weights = _inverse(_gram(matrix, EASE_PENALTY))
    weights /= -np.diag(weights)[np.newaxis]
    np.fill_diagonal(weights, 0.0)
    return _strongest(weights.astype(np.float32), rows, bought.items, count)


def next_purchases(bought: Interactions, *, window_days: int, most_items: int, count: int) -> Neighbours:
    """Learns what follows from a history: ridge regression from histories to the purchases of the next window.

    The windows are the last `NEXT_WINDOWS` before the end of the events. An item may speak for itself, as it may be
    bought again.

    Args:
      bought: truth events.
      window_days: how long a window is.
      most_items: as in `copurchases`.
      count: as in `copurchases`.

    Returns:
      Of every item, at most `count` neighbours by absolute weight.
    """
    rows = _most_bought(bought, most_items)
    before, after = [], []
    for window in range(1, 1 + NEXT_WINDOWS):
        start = bought.end - window * window_days * DAY
        past = bought.before(start)
        bought_then = bought.before(start + window_days * DAY).since(start)
        if not len(past) or not len(bought_then):
            break
        then = presence(bought_then.matrix())[:, rows]
        active = np.flatnonzero(then.getnnz(axis=1))
        before.append(recency_matrix(past, HALF_LIFE_DAYS)[active][:, rows])
        after.append(then[active])
    if not before:
        nothing = np.zeros((len(rows), len(rows)), np.float32)
        return _strongest(nothing, rows, bought.items, count)
    inputs, targets = scipy.sparse.vstack(before).tocsr(), scipy.sparse.vstack(after).tocsr()
    weights = scipy.linalg.solve(
        _gram(inputs, NEXT_PENALTY), (inputs.T @ targets).toarray(), assume_a="pos", overwrite_a=True, overwrite_b=True
    )
    return _strongest(weights.astype(np.float32), rows, bought.items, count)


def alike(vectors: Floats, count: int) -> Neighbours:
    """Finds items whose texts say nearly the same, for variants of a product and for what is new.

    Args:
      vectors: [items, width] text vectors.
      count: neighbours kept of each item.

    Returns:
      Of every item, at most `count` others with a cosine of at least `LEAST_LIKENESS`; weights are the cosines.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.maximum(lengths, 1e-12)
    kept = min(count, len(unit))
    rows = np.full((len(unit), kept), -1, np.int32)
    weights = np.zeros((len(unit), kept), np.float32)
    for start in range(0, len(unit), _BLOCK):
        cosines = unit[start : start + _BLOCK] @ unit.T
        cosines[np.arange(len(cosines)), start + np.arange(len(cosines))] = -1.0
        part = slice(start, start + len(cosines))
        rows[part] = np.argpartition(-cosines, kept - 1, axis=1)[:, :kept]
        weights[part] = np.take_along_axis(cosines, rows[part].astype(np.int64), axis=1)
    near = weights >= LEAST_LIKENESS
    return Neighbours(np.where(near, rows, -1).astype(np.int32), np.where(near, weights, 0.0).astype(np.float32))


def recency_matrix(bought: Interactions, half_life_days: float) -> Any:
    """Sums events by user and item, each halved with every half-life of its age, at most 1, sparse [users, items]."""
    summed = bought.matrix(np.exp2((bought.timestamps - bought.end) / (half_life_days * DAY)))
    summed.data = np.minimum(summed.data, 1.0)
    return summed


def _most_bought(bought: Interactions, most: int) -> npt.NDArray[np.int64]:
    counts = np.bincount(bought.item_rows, minlength=bought.items)
    return np.sort(np.argsort(-counts, kind="stable")[:most])


def _gram(matrix: Any, penalty: float) -> npt.NDArray[np.float64]:
    gram = (matrix.T @ matrix).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += penalty
    return gram


def _inverse(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Inverts a symmetric, positive definite matrix by its Cholesky factor: half the work of a general inverse."""
    factor, _ = scipy.linalg.cho_factor(matrix, lower=True)
    lower, _ = scipy.linalg.lapack.dpotri(factor, lower=True, overwrite_c=True)
    lower = np.tril(lower)
    inverse: npt.NDArray[np.float64] = lower + np.tril(lower, -1).T
    return inverse


def _strongest(weights: Floats, rows: npt.NDArray[np.int64], items: int, count: int) -> Neighbours:
    """Keeps the weights of largest absolute value in each line of a matrix over some rows of the catalogue."""
    kept = min(count, len(rows))
    found = np.full((items, kept), -1, np.int32)
    values = np.zeros((items, kept), np.float32)
    places = np.argpartition(-np.abs(weights), kept - 1, axis=1)[:, :kept] if kept else np.zeros((0, 0), np.int64)
    values[rows] = np.take_along_axis(weights, places, axis=1)
    found[rows] = np.where(values[rows] != 0.0, rows[places], -1)
    return Neighbours(found, values)
