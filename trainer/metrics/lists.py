"""What lists of recommendations are like, apart from hits: their breadth, variety and likeness.

Each function answers one number for all lists; NaN where the number is not defined.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_BLOCK = 512  # lists whose vectors are gathered at once
_SMOOTHING = 0.01  # Steck's alpha: so much of the past is mixed into a list, which keeps the divergence finite


@dataclass(frozen=True)
class ItemTraits:
    """What is known of the catalogue's items.

    Args:
      counts: int64 [items], truth events before the window.
      groups: int64 [items], each item's category or price bucket, 0 or more.
      vectors: float32 [items, dim] of length 1; None where the model has none.
    """

    counts: Rows
    groups: Rows
    vectors: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Past:
    """What the users of the lists had before, and what they took then.

    Args:
      seen: for each case the rows that its user had.
      seen_counts: how often, beside `seen`.
      truth: for each case the rows that it took.
    """

    seen: Sequence[Rows]
    seen_counts: Sequence[Rows]
    truth: Sequence[Rows]


@dataclass(frozen=True)
class Lists:
    """Lists for users, with what is known of both.

    Args:
      ranked: int64 [cases, depth], rows of the catalogue, best first, negative where a list ends; none twice in a list.
      items: the catalogue.
      past: what the users had and took.
    """

    ranked: Rows
    items: ItemTraits
    past: Past

    def first(self, k: int) -> Lists:
        """Returns the lists cut to their first k."""
        return Lists(self.ranked[:, :k], self.items, self.past)


def coverage(lists: Lists) -> float:
    """Share of the catalogue that stands in at least one list."""
    return len(np.unique(lists.ranked[lists.ranked >= 0])) / len(lists.items.counts)


def novelty(lists: Lists) -> float:
    """Mean of -log2 of the popularity of the answered items: how many bits each of them says.

    Popularity is an item's share of all truth events before the window, one added to each count so that it is never 0.
    Zhou et al., Solving the apparent diversity-accuracy dilemma of recommender systems, 2010.
    """
    counts = lists.items.counts
    shares = (counts + 1.0) / (counts.sum() + len(counts))
    return _mean(-np.log2(shares)[lists.ranked[lists.ranked >= 0]])


def diversity(lists: Lists) -> float:
    """Mean over lists of 1 - cosine of two items of a list; without vectors, the share of pairs of two groups.

    Ziegler et al., Improving recommendation lists through topic diversification, 2005.
    """
    groups, vectors = lists.items.groups, lists.items.vectors
    likeness = [
        _group_likeness(part, groups) if vectors is None else _cosine_likeness(part, vectors)
        for part in _blocks(lists.ranked)
    ]
    return 1.0 - _mean(np.concatenate([np.zeros(0), *likeness]))


def personalisation(lists: Lists) -> float:
    """One minus the mean share of items that two users' lists have in common.

    Exact without comparing pairs: an item that stands in c lists is shared by c * (c - 1) ordered pairs of lists. The
    share is taken of the longest list.
    """
    answered = lists.ranked >= 0
    number, longest = len(answered), int(answered.sum(axis=1).max(initial=0))
    if number < 2 or not longest:
        return float("nan")
    counts = np.bincount(lists.ranked[answered], minlength=len(lists.items.counts)).astype(np.float64)
    return 1.0 - float((counts * (counts - 1.0)).sum()) / (number * (number - 1.0) * longest)


def popularity_bias(lists: Lists) -> float:
    """How often the answered items had been bought, against those that users then took; 1 is as popular.

    The mean count of each list against the mean count of each truth, both averaged over users.
    Abdollahpouri et al., The unfairness of popularity bias in recommendation, 2019.
    """
    counts, answered = lists.items.counts, lists.ranked >= 0
    sums = np.where(answered, counts[np.maximum(lists.ranked, 0)], 0).sum(axis=1)
    given = sums / np.maximum(answered.sum(axis=1), 1)
    wanted = _mean(np.array([counts[rows].mean() for rows in lists.past.truth]))
    return _mean(given[answered.any(axis=1)]) / wanted if wanted > 0 else float("nan")


def calibration(lists: Lists) -> float:
    """Mean Kullback-Leibler divergence, in nats, of a list's groups from those of what its user had; 0 is best.

    Users without a past are left out; not defined where all items are in one group.
    Steck, Calibrated recommendations, 2018.
    """
    groups = lists.items.groups
    width = int(groups.max(initial=0)) + 1
    if width < 2:
        return float("nan")
    found = []
    for start, ranked in zip(range(0, len(lists.ranked), _BLOCK), _blocks(lists.ranked), strict=True):
        shape = (len(ranked), width)
        places, columns = np.nonzero(ranked >= 0)
        given = _shares(places, groups[ranked[places, columns]], np.ones(len(places)), shape)
        had = _past_shares(lists.past, slice(start, start + _BLOCK), groups, shape)
        known = (had.sum(axis=1) > 0) & (given.sum(axis=1) > 0)
        mixed = (1.0 - _SMOOTHING) * given[known] + _SMOOTHING * had[known]
        ratios = np.divide(had[known], mixed, out=np.ones_like(mixed), where=had[known] > 0)
        found.append((had[known] * np.log(ratios)).sum(axis=1))
    return _mean(np.concatenate([np.zeros(0), *found]))


LIST_METRICS: dict[str, Callable[[Lists], float]] = {
    "coverage": coverage,
    "novelty": novelty,
    "diversity": diversity,
    "personalisation": personalisation,
    "popularity_bias": popularity_bias,
    "calibration": calibration,
}


def measure_lists(lists: Lists, depths: Sequence[int]) -> dict[str, float]:
    """Computes every list metric.

    Args:
      lists: as deep as the largest depth, or shorter where there are no more items.
      depths: how many of each list count.

    Returns:
      Values by names as in `coverage@20`; NaN where one is not defined.
    """
    return {f"{name}@{depth}": metric(lists.first(depth)) for name, metric in LIST_METRICS.items() for depth in depths}


def _blocks(ranked: Rows) -> list[Rows]:
    return [ranked[start : start + _BLOCK] for start in range(0, len(ranked), _BLOCK)]


def _cosine_likeness(ranked: Rows, vectors: npt.NDArray[np.float32]) -> Floats:
    """Mean cosine of two items of each list that has two: by |sum of v|^2 = sum of |v|^2 + sum over pairs."""
    answered = ranked >= 0
    gathered = vectors[np.maximum(ranked, 0)] * answered[..., np.newaxis]
    totals = gathered.sum(axis=1, dtype=np.float64)
    squares = np.square(gathered, dtype=np.float64).sum(axis=(1, 2))
    return _of_pairs(np.square(totals).sum(axis=1) - squares, answered)


def _group_likeness(ranked: Rows, groups: Rows) -> Floats:
    """Share of pairs of each list that are of one group."""
    answered = ranked >= 0
    places, columns = np.nonzero(answered)
    shape = (len(ranked), int(groups.max(initial=0)) + 1)
    keys = places * shape[1] + groups[ranked[places, columns]]
    counts = np.bincount(keys, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
    return _of_pairs((counts * (counts - 1.0)).sum(axis=1), answered)


def _of_pairs(sums: Floats, answered: npt.NDArray[np.bool_]) -> Floats:
    lengths = answered.sum(axis=1)
    several = lengths > 1
    means: Floats = sums[several] / (lengths[several] * (lengths[several] - 1.0))
    return means


def _past_shares(past: Past, part: slice, groups: Rows, shape: tuple[int, int]) -> Floats:
    seen, counts = past.seen[part], past.seen_counts[part]
    places = np.repeat(np.arange(len(seen)), [len(rows) for rows in seen])
    empty = np.zeros(0, np.int64)
    rows, weights = np.concatenate([empty, *seen]), np.concatenate([empty, *counts])
    return _shares(places, groups[rows], weights.astype(np.float64), shape)


def _shares(places: Rows, groups: Rows, weights: Floats, shape: tuple[int, int]) -> Floats:
    """Sums weights by list and group, and makes the sums of a list add up to 1, [lists, groups]; 0 without any."""
    sums = np.bincount(places * shape[1] + groups, weights, shape[0] * shape[1]).astype(np.float64).reshape(shape)
    totals = sums.sum(axis=1, keepdims=True)
    return np.divide(sums, totals, out=np.zeros_like(sums), where=totals > 0)


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")
