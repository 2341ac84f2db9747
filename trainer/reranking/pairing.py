"""Two texts in one sequence, as a cross-encoder reads them."""

from __future__ import annotations

import tensorflow as tf

PADDING_ID = 0


def paired(first: tf.Tensor, second: tf.Tensor, length: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Puts two texts into one sequence, `[CLS] first [SEP] second [SEP]`, as BERT was trained (Devlin et al., 2019).

    Args:
      first: int [n, tokens] of a text with its start and its end, 0 pads; at most half of `length` is kept.
      second: the same of another text; what room is left is kept.
      length: tokens of a sequence at most, at least 8.

    Returns:
      Token ids and segment ids, int32 [n, longest], 0 pads; segments are 0 for the first text and 1 for the second.
    """
    one, two = (tf.RaggedTensor.from_tensor(tf.cast(each, tf.int32), padding=PADDING_ID) for each in (first, second))
    half = length // 2
    head = tf.concat([one[:, :1], one[:, 1:-1][:, : half - 2], one[:, -1:]], axis=1)
    tail = tf.concat([two[:, 1:-1][:, : length - half - 1], two[:, -1:]], axis=1)
    tokens, segments = tf.concat([head, tail], axis=1), tf.concat([tf.zeros_like(head), tf.ones_like(tail)], axis=1)
    return tokens.to_tensor(PADDING_ID), segments.to_tensor(PADDING_ID)
