"""What is known of items without their history: price, category, text; and what their neighbours cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.ranking.neighbours import alike
from trainer.rules.attributes import ItemAttributes

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

TEXT_WIDTH = 32
_LIKE = 8
_LEAST_PER_GROUP = 2


@dataclass(frozen=True)
class Goods:
    """The items of the catalogue.

    Args:
      levels: [items] logarithms of the prices; NaN where unknown.
      dearness: [items], the level above the median of the item's category; NaN where the price is unknown.
      categories: int64 [items], place of the item's category.
      category_count: how many there are.
      texts: [items, n] the principal directions of the text vectors; n is 0 without texts.
      tastes: [items, n], the same of what tells an item from the others of its category.
      around: [items, 3], the median level of the other items of the category, of the brand, and the mean of those
        with nearly the same text; NaN where there are none. An item's own price is in none of them.
    """

    levels: Floats
    dearness: Floats
    categories: Rows
    category_count: int
    texts: Floats
    tastes: Floats
    around: Floats

    def __len__(self) -> int:
        return len(self.levels)


def describe_goods(attributes: ItemAttributes, texts: Floats | None) -> Goods:
    """Describes the catalogue.

    Args:
      attributes: price, brand and category.
      texts: [items, width] text vectors; None where the towers read no item text.
    """
    names, categories = np.unique(attributes.categories.astype(str), return_inverse=True)
    brands = np.unique(attributes.brands.astype(str), return_inverse=True)[1]
    known = attributes.prices > 0
    levels = np.where(known, np.log(np.where(known, attributes.prices, 1.0)), np.nan)
    vectors = np.zeros((len(levels), 0)) if texts is None else _unit(texts)
    means = _group_means(vectors, categories, len(names))
    return Goods(
        levels=levels.astype(np.float32),
        dearness=(levels - medians(levels, categories)[categories]).astype(np.float32),
        categories=categories.astype(np.int64),
        category_count=len(names),
        texts=_principal(vectors - vectors.mean(axis=0)),
        tastes=_principal(vectors - means[categories]),
        around=_around(levels, categories, np.where(attributes.brands == "", -1, brands), texts),
    )


def medians(values: npt.NDArray[np.float64], groups: Rows) -> npt.NDArray[np.float64]:
    """Computes the median of the known values of each group, NaN where there are none, [groups]."""
    found = np.full(int(groups.max(initial=-1)) + 1, np.nan)
    for group in np.unique(groups[np.isfinite(values)]):
        found[group] = np.median(values[(groups == group) & np.isfinite(values)])
    return found


def medians_of_others(values: npt.NDArray[np.float64], groups: Rows) -> npt.NDArray[np.float64]:
    """Computes for each place the median of the other known values of its group.

    Args:
      values: [n]; NaN where unknown.
      groups: int64 [n]; -1 is no group.

    Returns:
      [n]; NaN where there are no others.
    """
    found = np.full(len(values), np.nan)
    order = np.lexsort((values, groups))
    starts = np.flatnonzero(np.diff(groups[order], prepend=-2))
    for places in np.split(order, starts[1:]):
        if not len(places) or groups[places[0]] < 0:
            continue
        known = places[np.isfinite(values[places])]
        rest = len(known) - 1
        if len(known) >= _LEAST_PER_GROUP:
            own, low, high = np.arange(len(known)), (rest - 1) // 2, rest // 2
            middle = values[known[low + (low >= own)]] + values[known[high + (high >= own)]]
            found[known] = middle / 2
        if len(known):
            found[np.setdiff1d(places, known)] = np.median(values[known])
    return found


def _around(levels: npt.NDArray[np.float64], categories: Rows, brands: Rows, texts: Floats | None) -> Floats:
    near = np.full(len(levels), np.nan)
    if texts is not None:
        neighbours = alike(texts, _LIKE)
        found = levels[np.maximum(neighbours.rows, 0)]
        told = (neighbours.rows >= 0) & np.isfinite(found)
        sums, counts = np.where(told, found, 0.0).sum(axis=1), told.sum(axis=1)
        near = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    columns = [medians_of_others(levels, categories), medians_of_others(levels, brands), near]
    return np.stack(columns, axis=1).astype(np.float32)


def _unit(vectors: Floats) -> npt.NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float64) / np.maximum(lengths, 1e-12)


def _group_means(vectors: npt.NDArray[np.float64], groups: Rows, count: int) -> npt.NDArray[np.float64]:
    sums = np.zeros((count, vectors.shape[1]))
    np.add.at(sums, groups, vectors)
    means: npt.NDArray[np.float64] = sums / np.maximum(np.bincount(groups, minlength=count), 1)[:, np.newaxis]
    return means


def _principal(vectors: npt.NDArray[np.float64]) -> Floats:
    """Projects vectors [items, width] on their first principal directions, in each as wide as it is."""
    gram = vectors.T @ vectors
    directions = np.linalg.eigh(gram)[1][:, ::-1][:, :TEXT_WIDTH] if vectors.shape[1] else gram
    # The sign of a direction is free: the largest part is made positive, so that a run repeats.
    signs = np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(directions.shape[1])]) if len(gram) else 1.0
    return (vectors @ (directions * signs)).astype(np.float32)
