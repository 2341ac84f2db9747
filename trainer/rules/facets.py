"""How many items of a result set there are of each category, brand, range of prices, number of stars."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer import contract
from trainer.rules.attributes import BRAND, CATEGORY, PRICE, RATING, STOCK, ItemAttributes
from trainer.rules.categories import category_tree
from trainer.rules.limits import checked

STARS = (4.0, 3.0, 2.0, 1.0)
MOST_RANGES = 8
_FINE, _COARSE = (1.0, 2.0, 5.0), (1.0,)


class Facets(tf.Module):
    """Counts the items of result sets, by the columns that are known.

    Args:
      attributes: of the items.
    """

    def __init__(self, attributes: ItemAttributes) -> None:
        super().__init__(name="facets")
        self._known = attributes.known
        tree = category_tree(attributes.categories)
        brands = sorted(set(attributes.brands) - {""})
        places = {brand: place for place, brand in enumerate(brands)}
        self._categories, self._brands = _names(tree.names, "categories"), _names(brands, "brands")
        self._path_of, self._ancestors = _rows(tree.path_of_items, "path_of"), _rows(tree.ancestors, "ancestors")
        self._brand_of = _rows([places.get(brand, -1) for brand in attributes.brands], "brand_of")
        self._starts = price_ranges(attributes.prices)
        ranges = np.searchsorted(self._starts, attributes.prices, side="right") - 1
        self._range_of = _rows(np.where(attributes.prices > 0, ranges, -1), "range_of")
        rated = np.zeros(len(attributes.prices)) if attributes.ratings is None else attributes.ratings
        stars = [np.where(rated >= least, 1, 0) for least in STARS]
        self._stars = tf.Variable(np.stack(stars, axis=1).astype(np.int32), trainable=False, name="stars")
        self._there = _rows((~(attributes.stock <= 0)).astype(np.int32), "in_stock")

    def count(self, found: tf.Tensor, sizes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Counts.

        Args:
          found: bool [batch, items], the result sets.
          sizes: [batch] int32, how many categories and brands each row wants; the others' places are pads.

        Returns:
          The outputs of the signature `facets`.

        Raises:
          tf.errors.InvalidArgumentError: in the graph, naming the input that is out of its limits.
        """
        sizes = checked(sizes, sizes >= 1, f"{contract.FACET_SIZE} must be at least 1")
        items = tf.cast(tf.transpose(found), tf.int32)
        counts = {contract.TOTAL: tf.reduce_sum(items, axis=0)}
        if CATEGORY in self._known:
            paths = tf.math.unsorted_segment_sum(items, self._path_of, tf.shape(self._ancestors)[0])
            # An item of "A > B" is one of "A", too.
            levels = [
                tf.math.unsorted_segment_sum(paths, self._ancestors[:, level], tf.size(self._categories))
                for level in range(self._ancestors.shape[1])
            ]
            counts |= _most("category", self._categories, tf.add_n(levels), sizes)
        if BRAND in self._known:
            of_brands = tf.math.unsorted_segment_sum(items, self._brand_of, tf.size(self._brands))
            counts |= _most("brand", self._brands, of_brands, sizes)
        if PRICE in self._known:
            priced = tf.math.unsorted_segment_sum(items, self._range_of, len(self._starts))
            counts |= _steps("price", self._starts, tf.transpose(priced))
        if RATING in self._known:
            counts |= _steps("rating", STARS, tf.matmul(items, self._stars, transpose_a=True))
        if STOCK in self._known:
            counts["in_stock_count"] = tf.reduce_sum(items * self._there[:, tf.newaxis], axis=0)
        return counts


def price_ranges(prices: npt.NDArray[np.float32]) -> list[float]:
    """Chooses where ranges of prices start: round numbers that cut the catalogue into at most `MOST_RANGES`.

    Args:
      prices: [items]; 0 where unknown.

    Returns:
      The starts, the first 0, each larger than the one before; no range above the last is empty.
    """
    known = prices[prices > 0]
    if not len(known):
        return [0.0]
    low, high = np.percentile(known, [5, 95])
    powers = range(int(np.floor(np.log10(low))), int(np.floor(np.log10(high))) + 1)
    for steps in (_FINE, _COARSE):
        rounded = [step * 10.0**power for power, step in itertools.product(powers, steps)]
        starts = [0.0, *(start for start in rounded if low < start <= high)]
        if len(starts) <= MOST_RANGES:
            return starts
    return starts[:: -(-len(starts) // MOST_RANGES)]


def _most(name: str, names: tf.Variable, counts: tf.Tensor, sizes: tf.Tensor) -> dict[str, tf.Tensor]:
    """Answers the names with the largest counts [names, batch], equal ones in the order of letters."""
    width = tf.minimum(tf.reduce_max(tf.concat([sizes, [0]], axis=0)), tf.size(names))
    values, places = tf.math.top_k(tf.transpose(counts), k=width)
    shown = (values > 0) & (tf.range(width)[tf.newaxis] < sizes[:, tf.newaxis])
    texts = tf.where(shown, tf.gather(names, places), "")
    return {f"{name}_values": texts, f"{name}_counts": tf.where(shown, values, 0)}


def _steps(name: str, starts: Sequence[float], counts: tf.Tensor) -> dict[str, tf.Tensor]:
    """Answers counts [batch, starts] beside where the steps start."""
    each = tf.ones([tf.shape(counts)[0], 1]) * tf.constant([list(starts)], tf.float32)
    return {f"{name}_from": each, f"{name}_counts": counts}


def _names(names: Sequence[str], name: str) -> tf.Variable:
    return tf.Variable(list(names) or [""], trainable=False, name=name)


def _rows(values: Sequence[int] | npt.NDArray[np.generic], name: str) -> tf.Variable:
    return tf.Variable(np.asarray(values, np.int32), trainable=False, name=name)
