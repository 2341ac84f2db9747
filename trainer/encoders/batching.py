"""Encodes many texts fast: those of similar length together, padded no further than needed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.encoders.text import Encodes, Texts

_LOG = logging.getLogger(__name__)
PADDING_MULTIPLE = 8
_SAYS_EVERY_S = 10.0

Progress = Callable[[int, int], None]


class BatchEncoder:
    """Encodes any number of texts, without dropout.

    Args:
      encoder: the pretrained network.
      batch_size: texts at once.
    """

    def __init__(self, encoder: Encodes, batch_size: int) -> None:
        self._encoder = encoder
        self._batch_size = batch_size
        # One trace each for strings and for tokens, whatever their shape.
        strings, tokens = tf.TensorSpec([None], tf.string), tf.TensorSpec([None, None], tf.int32)
        self._functions = {
            len(spec.shape): tf.function(
                lambda texts: encoder(texts, training=False), input_signature=[spec], autograph=False
            )
            for spec in (strings, tokens)
        }

    def encode(self, texts: Texts, on_progress: Progress | None = None) -> npt.NDArray[np.float32]:
        """Encodes texts; the log says every ten seconds how far it is.

        Args:
          texts: [n] strings or [n, tokens] token ids, 0 pads.
          on_progress: called after each batch with how many are encoded, and of how many.

        Returns:
          [n, width], in the order of `texts`.
        """
        vectors, encode = np.zeros((len(texts), self._encoder.width), np.float32), self._functions[texts.ndim]
        started = said = time.monotonic()
        done = 0
        for places in _batches_by_length(texts, self._batch_size):
            vectors[places] = encode(tf.constant(trim_padding(texts[places]))).numpy()
            done += len(places)
            if on_progress is not None:
                on_progress(done, len(texts))
            if time.monotonic() - said > _SAYS_EVERY_S:
                said = time.monotonic()
                _LOG.info("encoded %d of %d texts (%.0f a second)", done, len(texts), done / (said - started))
        elapsed_s = time.monotonic() - started
        _LOG.info("encoded %d texts in %.1f s (%.0f a second)", len(texts), elapsed_s, len(texts) / elapsed_s)
        return vectors


def trim_padding(texts: Texts) -> Texts:
    """Cuts the columns in which every row is padding, up to a multiple of 8, to int32; leaves strings as they are."""
    if texts.ndim == 1:
        return texts
    texts = texts.astype(np.int32)
    longest = int((texts != 0).sum(axis=1).max(initial=1))
    return texts[:, : -(-longest // PADDING_MULTIPLE) * PADDING_MULTIPLE]


def _batches_by_length(texts: Texts, batch_size: int) -> Iterator[npt.NDArray[np.intp]]:
    tokens = texts.ndim == 2
    order = np.argsort((texts != 0).sum(axis=1) if tokens else [len(text) for text in texts], kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]
