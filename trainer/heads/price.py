"""The price head: what a customer would pay for an item, by what it is and not by what it costs."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from trainer.heads.goods import Goods
from trainer.heads.taste import Met, Taste
from trainer.ranking_stage import Request


class PriceHead(tf.Module):
    """A price in the shop's currency; the item's own price is in none of what is read.

    Args:
      taste: reads histories.
      goods: the items, at least one with a price.
    """

    def __init__(self, taste: Taste, goods: Goods) -> None:
        super().__init__(name="price")
        self.taste = taste
        usual = np.nanmedian(goods.levels)
        start = np.where(np.isfinite(goods.around[:, 0]), goods.around[:, 0], usual)
        self._start = tf.Variable(start, trainable=False, name="price_start", dtype=tf.float32)

    def start(self, rows: tf.Tensor) -> tf.Tensor:
        """Answers the logarithm of the median price of the other items of the category, [batch, C]."""
        return tf.gather(self._start, rows)

    def rival(self, request: Request, rows: tf.Tensor) -> tf.Tensor:
        """Predicts the logarithm of the price by the category alone, [batch, C]."""
        del request
        return self.start(rows)

    def features(self, request: Request, met: Met, rows: tf.Tensor) -> tf.Tensor:
        """Describes customers with items [batch, C], to [batch, C, features]."""
        del request
        taste = self.taste
        around = tf.gather(taste.around, rows) - self.start(rows)[..., tf.newaxis]
        parts = [around, tf.gather(taste.texts, rows), tf.stack(taste.spending(met, rows), axis=-1)]
        return tf.concat(parts, axis=-1)

    def answer(self, predicted: tf.Tensor) -> tf.Tensor:
        """Turns logarithms into prices."""
        return tf.exp(predicted)
