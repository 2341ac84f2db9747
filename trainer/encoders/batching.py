"""Encodes many texts fast: those of similar length together, padded no further than needed."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.encoders.text import TextEncoder, Texts

_LOG = logging.getLogger(__name__)
PADDING_MULTIPLE = 8


def encode_texts(encoder: TextEncoder, texts: Texts, batch_size: int) -> npt.NDArray[np.float32]:
    """Encodes texts without dropout.

    Args:
      encoder: the pretrained network.
      texts: [n] strings or [n, tokens] token ids, 0 pads.
      batch_size: texts at once.

    Returns:
      [n, width], in the order of `texts`.
    """
    vectors = np.zeros((len(texts), encoder.width), np.float32)
    started = time.monotonic()

    @tf.function(reduce_retracing=True)
    def encode(batch: tf.Tensor) -> tf.Tensor:
        return encoder(batch, training=False)

    for places in _batches_by_length(texts, batch_size):
        vectors[places] = encode(tf.constant(trim_padding(texts[places]))).numpy()
    if len(texts):
        elapsed_s = time.monotonic() - started
        _LOG.info("encoded %d texts in %.1f s (%.0f a second)", len(texts), elapsed_s, len(texts) / elapsed_s)
    return vectors


def trim_padding(texts: Texts) -> Texts:
    """Cuts the columns in which every row is padding, up to a multiple of 8; leaves strings as they are."""
    if texts.ndim == 1:
        return texts
    longest = int((texts != 0).sum(axis=1).max(initial=1))
    return texts[:, : -(-longest // PADDING_MULTIPLE) * PADDING_MULTIPLE]


def _batches_by_length(texts: Texts, batch_size: int) -> Iterator[npt.NDArray[np.intp]]:
    if texts.ndim == 2:
        lengths = (texts != 0).sum(axis=1)
    else:
        lengths = np.array([len(str(text)) for text in texts], np.int64)
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]
