"""Which items a request allows, in the graph and before the best are picked: a filter never starves an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer import contract
from trainer.rules.attributes import BRAND, CATEGORY, PRICE, RATING, STOCK, ItemAttributes
from trainer.rules.categories import category_tree
from trainer.rules.limits import checked

Tensors = Mapping[str, tf.Tensor]


class Filters(tf.Module):
    """Turns the filters of requests into masks. A filter that nobody uses costs nothing.

    Args:
      attributes: of the items; requests filter by the columns that are known.
      rows: finds catalogue rows by item id, -1 for an unknown one.
    """

    def __init__(self, attributes: ItemAttributes, rows: tf.lookup.StaticHashTable) -> None:
        super().__init__(name="filters")
        self._rows, self._size = rows, len(attributes.prices)
        self._known = attributes.known
        tree = category_tree(attributes.categories)
        brands = sorted(set(attributes.brands) - {""})
        places = {brand: place for place, brand in enumerate(brands)}
        self._brands, self._categories = _numbers(brands), _numbers(tree.names)
        self._brand_of = _constants([places.get(brand, -1) for brand in attributes.brands], "brand_of")
        self._path_of = _constants(tree.path_of_items, "path_of")
        self._ancestors = _constants(tree.ancestors, "ancestors")
        self._prices = tf.Variable(attributes.prices, trainable=False, name="prices")
        self._there = tf.Variable(~(attributes.stock <= 0), trainable=False, name="in_stock")
        ratings = np.zeros(self._size, np.float32) if attributes.ratings is None else attributes.ratings
        self._ratings = tf.Variable(ratings, trainable=False, name="ratings")
        self.path_of = self._path_of

    def allowed(self, inputs: Tensors, banned: tf.Tensor | None = None) -> tf.Tensor:
        """Tells which items may be answered.

        Args:
          inputs: the raw inputs of a signature.
          banned: [batch] int64, one more row that is excluded; negative bans nothing.

        Returns:
          bool [1 or batch, 1 or items]: what no row filters is not spread over all.

        Raises:
          tf.errors.InvalidArgumentError: in the graph, naming the input that is out of its limits.
        """
        excluded = self._rows.lookup(inputs[contract.EXCLUDE])
        if banned is not None:
            excluded = tf.concat([excluded, banned[:, tf.newaxis]], axis=1)
        mask = _where_any(tf.reduce_any(excluded >= 0, axis=1), lambda: ~_marked(excluded, self._size))
        mask &= self._listed(inputs[contract.INCLUDE], lambda ids: _marked(self._rows.lookup(ids), self._size))
        if CATEGORY in self._known:
            mask &= self._listed(inputs[contract.CATEGORIES], self._in_categories)
            mask &= self._listed(inputs[contract.EXCLUDE_CATEGORIES], lambda names: ~self._in_categories(names))
        if BRAND in self._known:
            mask &= self._listed(inputs[contract.BRANDS], self._of_brands)
        if PRICE in self._known:
            mask &= self._priced(inputs[contract.MIN_PRICE], inputs[contract.MAX_PRICE])
        if RATING in self._known:
            mask &= self._rated(inputs[contract.MIN_RATING])
        if STOCK in self._known:
            wanted = inputs[contract.IN_STOCK]
            wanted = checked(wanted, (wanted == 0) | (wanted == 1), f"{contract.IN_STOCK} must be 0 or 1")
            mask &= _where_any(wanted == 1, lambda: self._there[tf.newaxis, :])
        return mask

    def prices_of(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """Looks up what items cost.

        Args:
          rows: [batch, n] int64; negative for none.

        Returns:
          `prices`, float32 [batch, n], 0 where unknown; nothing where no item has a price.
        """
        if PRICE not in self._known:
            return {}
        return {contract.PRICES: tf.where(rows >= 0, tf.gather(self._prices, tf.maximum(rows, 0)), 0.0)}

    @staticmethod
    def _listed(values: tf.Tensor, mask: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        """Applies the mask of a list of texts [batch, n] where it names anything."""
        named = tf.not_equal(values, "")
        return _where_any(tf.reduce_any(named, axis=1), lambda: mask(values))

    def _of_brands(self, names: tf.Tensor) -> tf.Tensor:
        asked = _marked(self._brands.lookup(names), self._brands.size())
        return _taken(asked, self._brand_of)

    def _in_categories(self, names: tf.Tensor) -> tf.Tensor:
        asked = _marked(self._categories.lookup(tf.strings.strip(names)), self._categories.size())
        found = [_taken(asked, self._ancestors[:, level]) for level in range(self._ancestors.shape[1])]
        return _taken(tf.reduce_any(tf.stack(found), axis=0), self._path_of)

    def _priced(self, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
        low = checked(low, low >= 0, f"{contract.MIN_PRICE} must not be negative; 0 sets no limit")
        high = checked(high, high >= 0, f"{contract.MAX_PRICE} must not be negative; 0 sets no limit")
        # An unknown price may be any: what asks for a price does not get it.
        known = self._prices > 0
        above = _where_any(low > 0, lambda: (self._prices >= low[:, tf.newaxis]) & known)
        return above & _where_any(high > 0, lambda: (self._prices <= high[:, tf.newaxis]) & known)

    def _rated(self, low: tf.Tensor) -> tf.Tensor:
        low = checked(low, low >= 0, f"{contract.MIN_RATING} must not be negative; 0 sets no limit")
        return _where_any(low > 0, lambda: self._ratings >= low[:, tf.newaxis])


def _where_any(asked: tf.Tensor, mask: Callable[[], tf.Tensor]) -> tf.Tensor:
    """Computes a mask [1 or batch, items] where any row asks for it; rows that do not ask, [batch], allow all."""
    return tf.cond(tf.reduce_any(asked), lambda: mask() | ~asked[:, tf.newaxis], lambda: tf.ones([1, 1], tf.bool))


def _marked(places: tf.Tensor, size: tf.Tensor | int) -> tf.Tensor:
    """Marks the places [batch, n], negative ones apart, in bool [batch, size]."""
    given = tf.where(places >= 0)
    cells = tf.stack([given[:, 0], tf.gather_nd(places, given)], axis=1)
    shape = tf.stack([tf.shape(places, tf.int64)[0], tf.cast(size, tf.int64)])
    return tf.tensor_scatter_nd_update(tf.zeros(shape, tf.bool), cells, tf.ones([tf.shape(cells)[0]], tf.bool))


def _taken(marks: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Takes the marks [batch, n] at the places [m], False for negative ones, [batch, m]."""
    return tf.gather(marks, tf.maximum(places, 0), axis=1) & (places >= 0)


def _numbers(names: Sequence[str]) -> tf.lookup.StaticHashTable:
    # A table needs an entry; the empty text is never asked for.
    keys, values = (list(names) or [""]), tf.range(max(len(names), 1), dtype=tf.int64)
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(tf.constant(keys), values), default_value=-1)


def _constants(values: Sequence[int] | npt.NDArray[np.int32], name: str) -> tf.Variable:
    return tf.Variable(np.asarray(values, np.int32), trainable=False, name=name)
