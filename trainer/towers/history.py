"""How the events before the request become one vector."""

from __future__ import annotations

import keras
import tensorflow as tf

from pipeline import schema

TYPE_IDS = 1 + len(schema.EVENT_TYPES)
_NO_WEIGHT = -1e9


class HistoryPooling(keras.layers.Layer):
    """The mean over the events, each the vector of its item plus those of its type and its age.

    Args:
      dimension: width of the item vectors.
      l2: weight of the penalty on the learned tables.
      times: whether the ages count.
    """

    def __init__(self, dimension: int, *, l2: float = 0.0, times: bool = True, name: str = "history") -> None:
        super().__init__(name=name)
        self.dimension = dimension
        self.l2 = l2
        self.times = times
        self.marks = self.add_weight(
            name="marks",
            shape=(TYPE_IDS + (schema.AGE_BUCKETS if times else 0), dimension),
            initializer="zeros",
            regularizer=keras.regularizers.L2(l2),
        )

    def call(
        self, entries: tf.Tensor, present: tf.Tensor, types: tf.Tensor, ages: tf.Tensor, state: tf.Tensor
    ) -> tf.Tensor:
        """Pools histories.

        Args:
          entries: [batch, H, dim] item vectors, newest event first; anything where there is no event.
          present: bool [batch, H], where there is an event.
          types: [batch, H] type of each event, 0 if unknown.
          ages: [batch, H] age bucket of each event, 0 if unknown.
          state: [batch, dim] what else is known of the request.

        Returns:
          [batch, dim], zeros where there is no event.
        """
        del state
        marks = self.mark(types, ages)
        weights = tf.cast(present, entries.dtype)
        weights = tf.math.divide_no_nan(weights, tf.reduce_sum(weights, axis=1, keepdims=True))
        return self.combine(weights[:, tf.newaxis], entries, marks)[:, 0]

    def mark(self, types: tf.Tensor, ages: tf.Tensor) -> tf.Tensor:
        """Marks type and age of each event with ones, [batch, H, marks]."""
        one_hot = [tf.one_hot(types, TYPE_IDS)]
        if self.times:
            one_hot.append(tf.one_hot(ages, schema.AGE_BUCKETS))
        return tf.cast(tf.concat(one_hot, axis=-1), self.compute_dtype)

    def combine(self, weights: tf.Tensor, entries: tf.Tensor, marks: tf.Tensor) -> tf.Tensor:
        """Sums events by weights [batch, heads, H], to [batch, heads, dim].

        The vectors of types and ages are summed by how much weight each has: there are far fewer than events.
        """
        table = tf.cast(self.marks, entries.dtype)
        return tf.matmul(weights, entries) + tf.matmul(tf.matmul(weights, marks), table)


class HistoryAttention(HistoryPooling):
    """Attention over the events; what they are asked depends on the last item and on the request.

    Each head weighs an event by the product of its vector with the head's question, which is learned, and by
    its type and age. Questions start at zero, and so training at the mean.

    Args:
      dimension: width of the item vectors.
      heads: number of questions.
      l2: weight of the penalty on what is learned.
      times: whether the ages count.
    """

    def __init__(
        self, dimension: int, *, heads: int = 4, l2: float = 0.0, times: bool = True, name: str = "history"
    ) -> None:
        super().__init__(dimension, l2=l2, times=times, name=name)
        self.heads = heads
        penalty = keras.regularizers.L2(l2)
        self.question = keras.layers.Dense(heads * dimension, kernel_initializer="zeros", kernel_regularizer=penalty)
        self.mix = keras.layers.Dense(dimension, kernel_initializer="zeros", kernel_regularizer=penalty)
        self.mark_logits = self.add_weight(name="mark_logits", shape=(self.marks.shape[0], heads), initializer="zeros")

    def call(
        self, entries: tf.Tensor, present: tf.Tensor, types: tf.Tensor, ages: tf.Tensor, state: tf.Tensor
    ) -> tf.Tensor:
        """Pools histories; see `HistoryPooling.call`."""
        marks = self.mark(types, ages)
        newest = entries[:, 0] * tf.cast(present[:, :1], entries.dtype)
        questions = self.question(tf.concat([newest, state], axis=-1))
        questions = tf.reshape(questions, [-1, self.heads, self.dimension])
        by_marks = tf.matmul(questions, tf.cast(self.marks, entries.dtype), transpose_b=True)
        by_marks += tf.transpose(tf.cast(self.mark_logits, entries.dtype))
        logits = tf.matmul(questions, entries, transpose_b=True) + tf.matmul(by_marks, marks, transpose_b=True)
        logits = tf.where(present[:, tf.newaxis], tf.cast(logits, tf.float32), _NO_WEIGHT)
        weights = tf.nn.softmax(logits, axis=-1) * tf.cast(tf.reduce_any(present, axis=1), tf.float32)[:, None, None]
        pooled = self.combine(tf.cast(weights, entries.dtype), entries, marks)
        return tf.reduce_mean(pooled, axis=1) + self.mix(tf.reshape(pooled, [-1, self.heads * self.dimension]))


def history_encoder(kind: str, dimension: int, *, l2: float, times: bool = True) -> HistoryPooling:
    """Makes the encoder that `features.history.encoder` names: `attention` or `pooling`."""
    encoder = HistoryAttention if kind == "attention" else HistoryPooling
    return encoder(dimension, l2=l2, times=times)
