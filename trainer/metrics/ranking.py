"""Ranking metrics over the whole catalogue, in NumPy.

Every metric answers one value per case, so that callers can average, pair and resample them.
`ir_measures` gives the same numbers: ndcg = nDCG@k, mrr = RR@k, hit_rate = Success@k. Recall and average
precision are divided by min(k, |truth|) here, by |truth| there, so that a perfect list of k items scores 1:
recall = max(R@k, P@k), map = AP@k * |truth| / min(k, |truth|).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
_NAME = re.compile(r"^(recall|ndcg|mrr|hit_rate|map)@([1-9][0-9]*)$")


@dataclass(frozen=True)
class Hits:
    """Where the truth stands in each ranking.

    Args:
      at: bool [cases, depth], whether the answer at this place is in the case's truth. An item that a
        ranking repeats counts at its first place only.
      truth_sizes: int64 [cases], number of distinct items in each truth, at least 1.
    """

    at: npt.NDArray[np.bool_]
    truth_sizes: npt.NDArray[np.int64]


def find_hits(ranked: npt.ArrayLike, truth: Sequence[npt.ArrayLike]) -> Hits:
    """Marks the answers that are in the truth of their case.

    Args:
      ranked: [cases, depth] item ids or rows, best first. Short rankings are padded with "" or a negative row.
      truth: for each case its items, of the same kind as `ranked`; repeated ones count once.

    Returns:
      The hits, as all metrics read them.

    Raises:
      ValueError: if the shapes do not fit or a truth is empty.
    """
    answers = np.asarray(ranked)
    if answers.ndim != 2 or len(answers) != len(truth):
        raise ValueError(
            f"expected ranked [cases, depth] and one truth a case, got shape {answers.shape} and {len(truth)} truths"
        )
    sizes = np.array([len(np.asarray(items)) for items in truth], np.int64)
    if (sizes == 0).any():
        raise ValueError(f"case {int(np.argmin(sizes))} has an empty truth: leave such cases out, no metric is defined")
    if not len(answers):
        return Hits(np.zeros(answers.shape, np.bool_), sizes)
    wanted = np.concatenate([np.asarray(items) for items in truth])
    codes = _codes(np.concatenate([answers.ravel(), wanted]), len(answers))
    cases = np.concatenate(
        [np.repeat(np.arange(len(answers)), answers.shape[1]), np.repeat(np.arange(len(sizes)), sizes)]
    )
    width = int(codes.max()) + 1
    keys = cases * width + codes
    answer_keys, truth_keys = keys[: answers.size], np.unique(keys[answers.size :])
    at = np.isin(answer_keys, truth_keys) & _first_places(answer_keys) & ~_pads(answers)
    distinct = np.bincount(truth_keys // width, minlength=len(sizes))
    return Hits(at.reshape(answers.shape), distinct.astype(np.int64))


def recall(hits: Hits, k: int) -> Values:
    """Share of what could be found that was found: hits in the first k by min(k, |truth|), [cases]."""
    return hits.at[:, :k].sum(axis=1) / np.minimum(hits.truth_sizes, k)


def ndcg(hits: Hits, k: int) -> Values:
    """Normalised discounted cumulative gain with binary gains, ideal over min(k, |truth|), [cases].

    Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, 2002.
    """
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    depth = min(k, hits.at.shape[1])
    gains = hits.at[:, :depth] @ discounts[:depth]
    ideal = np.concatenate([[0.0], np.cumsum(discounts)])
    return gains / ideal[np.minimum(hits.truth_sizes, k)]


def mrr(hits: Hits, k: int) -> Values:
    """Reciprocal of the first hit's place within k, 0 without one, [cases]."""
    found = hits.at[:, :k]
    if not found.shape[1]:
        return np.zeros(len(found))
    return np.where(found.any(axis=1), 1.0 / (found.argmax(axis=1) + 1), 0.0)


def hit_rate(hits: Hits, k: int) -> Values:
    """1 where at least one of the first k is a hit, else 0, [cases]."""
    return hits.at[:, :k].any(axis=1).astype(np.float64)


def average_precision(hits: Hits, k: int) -> Values:
    """Sum of the precisions at the places of the hits in the first k, by min(k, |truth|), [cases]."""
    found = hits.at[:, :k]
    precisions = np.cumsum(found, axis=1) / np.arange(1, found.shape[1] + 1)
    return (precisions * found).sum(axis=1) / np.minimum(hits.truth_sizes, k)


METRICS: dict[str, Callable[[Hits, int], Values]] = {
    "recall": recall,
    "ndcg": ndcg,
    "mrr": mrr,
    "hit_rate": hit_rate,
    "map": average_precision,
}


def parse_metric(name: str) -> tuple[str, int]:
    """Splits `ndcg@20` into the metric's name and k.

    Raises:
      ValueError: if there is no such metric.
    """
    match = _NAME.match(name)
    if match is None:
        raise ValueError(f"'{name}' is no metric: expected one of {', '.join(METRICS)}, then @ and k, as in ndcg@20")
    return match.group(1), int(match.group(2))


def measure(ranked: npt.ArrayLike, truth: Sequence[npt.ArrayLike], names: Sequence[str]) -> dict[str, Values]:
    """Computes several metrics of one set of rankings.

    Args:
      ranked: as in `find_hits`; as deep as the largest k, or shorter where there are no more items.
      truth: as in `find_hits`.
      names: metrics with their k, as in `ndcg@20`.

    Returns:
      For each name the value of every case, [cases].

    Raises:
      ValueError: as `find_hits` and `parse_metric`.
    """
    wanted = [(name, *parse_metric(name)) for name in names]
    hits = find_hits(ranked, truth)
    return {name: METRICS[metric](hits, k) for name, metric, k in wanted}


def _codes(values: npt.NDArray[Any], cases: int) -> npt.NDArray[np.int64]:
    """Numbers values from 0, equal ones equally, so that (case, number) fits into an int64."""
    if np.issubdtype(values.dtype, np.integer):
        least, most = int(values.min()), int(values.max())
        if (most - least + 1) * cases < np.iinfo(np.int64).max:
            return values.astype(np.int64) - least
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _first_places(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    first = np.zeros(len(keys), np.bool_)
    first[np.unique(keys, return_index=True)[1]] = True
    return first


def _pads(answers: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    flat = answers.ravel()
    pads: npt.NDArray[np.bool_] = flat < 0 if np.issubdtype(flat.dtype, np.number) else flat == flat.dtype.type()
    return pads
