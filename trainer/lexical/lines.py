"""Lists of different lengths in the graph: what ragged tensors do, in the few ops that a search can wait for."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf


class Lines(NamedTuple):
    """Values of several lines, one line after the other.

    Args:
      values: [n] of any type.
      rows: int64 [n], the line of each value, ascending.
      count: int64 scalar, how many lines there are; some may be empty.
    """

    values: tf.Tensor
    rows: tf.Tensor
    count: tf.Tensor

    def with_values(self, values: tf.Tensor) -> Lines:
        """Puts others, [n], in place of the values."""
        return self._replace(values=values)

    def where(self, kept: tf.Tensor) -> Lines:
        """Leaves out the values that are not kept, bool [n]."""
        places = tf.where(kept)[:, 0]
        return self._replace(values=tf.gather(self.values, places), rows=tf.gather(self.rows, places))

    def lengths(self) -> tf.Tensor:
        """Counts the values of each line, int64 [count]."""
        return tf.math.unsorted_segment_sum(tf.ones_like(self.rows), self.rows, self.count)

    def places(self) -> tf.Tensor:
        """Numbers the values of each line from 0, int64 [n]."""
        starts = tf.cumsum(self.lengths(), exclusive=True)
        return tf.range(tf.size(self.rows, tf.int64)) - tf.gather(starts, self.rows)

    def joined(self, separator: str = " ") -> tf.Tensor:
        """Joins the strings [n] or [n, m] of each line, [count] or [count, m]; an empty line gives ""."""
        return tf.strings.unsorted_segment_join(self.values, self.rows, self.count, separator=separator)


def split(texts: tf.Tensor) -> Lines:
    """Splits strings [count] at spaces."""
    found = tf.raw_ops.StringSplitV2(input=texts, sep="", maxsplit=-1)
    return Lines(found.values, found.indices[:, 0], tf.size(texts, tf.int64))


def put_together(*lines: Lines) -> Lines:
    """Joins values of the same lines in a set: their rows ascend no more, so there are no places in them."""
    values, rows = (tf.concat([each[part] for each in lines], axis=0) for part in (0, 1))
    return Lines(values, rows, lines[0].count)
