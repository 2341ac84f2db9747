"""Which keys speak for which items and how much: ragged constants that the graph gathers from and adds up."""

from __future__ import annotations

from collections.abc import Sequence

import bm25s
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.lexical.lines import Lines

Rows = npt.NDArray[np.int64]


class Postings(tf.Module):
    """The items of each key, with weights.

    Args:
      splits: int [keys + 1]: key i has the entries from splits[i] to splits[i + 1].
      rows: int [entries], items.
      weights: float [entries].
      items: size of the catalogue.
      name: of the variables.
    """

    def __init__(
        self, splits: npt.ArrayLike, rows: npt.ArrayLike, weights: npt.ArrayLike, *, items: int, name: str
    ) -> None:
        super().__init__(name=name)
        self._items = items
        # A last key without items stands for whatever is not known.
        ends = np.asarray(splits, np.int64)
        rows, weights = _sorted(ends, np.asarray(rows, np.int32), np.asarray(weights, np.float32))
        self._unknown = len(ends) - 1
        self._splits = tf.Variable(np.append(ends, ends[-1:]), trainable=False, name="splits")
        self._rows = tf.Variable(rows, trainable=False, name="rows")
        self._weights = tf.Variable(weights, trainable=False, name="weights")

    def scores(self, keys: Lines) -> tf.Tensor:
        """Adds up what the keys of each line say; a key that comes twice counts twice.

        Args:
          keys: int64, of each line of the batch, negative for an unknown one; in any order.

        Returns:
          float32 [batch, items].
        """
        entries, owners = self._entries(keys)
        cells = tf.gather(keys.rows * self._items, owners) + tf.cast(tf.gather(self._rows, entries), tf.int64)
        summed = tf.math.unsorted_segment_sum(tf.gather(self._weights, entries), cells, keys.count * self._items)
        return tf.reshape(summed, tf.stack([keys.count, self._items]))

    def speak_for(self, keys: Lines, rows: tf.Tensor) -> tf.Tensor:
        """Tells which keys of each line speak for which of some items.

        Args:
          keys: int64, of each line of the batch, negative for an unknown one, which speaks for none.
          rows: int64 [batch, n], items; negative for none.

        Returns:
          bool [all keys, n].
        """
        entries, owners = self._entries(keys)
        places = tf.range(tf.size(keys.values, tf.int64)) * self._items
        # Entries are sorted by key and then by item, so one search finds each pair of both.
        listed = tf.gather(places, owners) + tf.cast(tf.gather(self._rows, entries), tf.int64)
        listed = tf.concat([listed, tf.constant([-1], tf.int64)], axis=0)
        mine = tf.gather(rows, keys.rows)
        wanted = places[:, tf.newaxis] + mine
        found = tf.searchsorted(listed[:-1], tf.reshape(wanted, [-1]), out_type=tf.int64)
        return tf.equal(tf.gather(listed, tf.reshape(found, tf.shape(wanted))), wanted) & (mine >= 0)

    def _entries(self, keys: Lines) -> tuple[tf.Tensor, tf.Tensor]:
        """Lists the entries of all keys, one key after the other, and the place of the key that each belongs to."""
        known = tf.where(keys.values >= 0, keys.values, self._unknown)
        starts, ends = tf.gather(self._splits, known), tf.gather(self._splits, known + 1)
        listed = tf.raw_ops.RaggedRange(starts=starts, limits=ends, deltas=tf.constant(1, tf.int64))
        entries, begins = listed.rt_dense_values, listed.rt_nested_splits[:-1]
        # One more for each key that begins here or before: several at once where some have no entry.
        begun = tf.math.unsorted_segment_sum(tf.ones_like(begins), begins, tf.size(entries, tf.int64) + 1)
        return entries, tf.cumsum(begun)[:-1] - 1


def bm25_postings(documents: Sequence[Rows], keys: int, *, k1: float, b: float, name: str) -> Postings:
    """Weighs words by BM25, as Lucene does (Robertson et al., Okapi at TREC-3, 1994).

    Args:
      documents: for each item its words as keys, repeated as they are.
      keys: how many there are.
      k1: how soon a word that comes again stops counting.
      b: how much long texts count less.
      name: of the variables.
    """
    if not any(len(each) for each in documents):
        return Postings(np.zeros(keys + 1), [], [], items=len(documents), name=name)
    index = bm25s.BM25(method="lucene", k1=k1, b=b)
    vocabulary = {str(key): key for key in range(keys)}
    index.index(([each.tolist() for each in documents], vocabulary), show_progress=False)
    found = index.scores
    return Postings(found["indptr"], found["indices"], found["data"], items=len(documents), name=name)


def plain_postings(pairs: Sequence[tuple[int, int]], keys: int, *, items: int, name: str) -> Postings:
    """Makes postings of weight 1.

    Args:
      pairs: (key, item), each once.
      keys: how many there are.
      items: size of the catalogue.
      name: of the variables.
    """
    table = np.array(sorted(pairs), np.int64).reshape(-1, 2)
    splits = np.searchsorted(table[:, 0], np.arange(keys + 1))
    return Postings(splits, table[:, 1], np.ones(len(table)), items=items, name=name)


def _sorted(
    splits: Rows, rows: npt.NDArray[np.int32], weights: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Sorts the entries of each key by item."""
    order = np.lexsort((rows, np.repeat(np.arange(len(splits) - 1), np.diff(splits))))
    return rows[order], weights[order]
