"""Text vectors for training and judging, from the cache where the encoder does not learn."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.config import EncoderConfig, encoder_source
from trainer.device import encoding_dtype
from trainer.encoders.batching import BatchEncoder, Progress
from trainer.encoders.cache import VectorCache, fingerprint, fingerprint_of_weights
from trainer.encoders.text import TextEncoder, Texts, fast_encoder, load_encoder

Vectors = npt.NDArray[np.float32]


def network_weights(encoder: Any) -> dict[str, npt.NDArray[Any]]:
    """Reads the weights of an encoder over a KerasNLP backbone, by path; the state of dropout is none."""
    found = {variable.path: variable for variable in encoder.network.variables}
    return {path: variable.numpy() for path, variable in found.items() if "seed_generator" not in path}


class TextVectors:
    """Encodes the texts of items and queries as they are needed.

    Args:
      config: of the encoder.
      encoder: the one of the model. A frozen one stands in only where nothing faster does the same.
      cache: folder of vectors that a frozen encoder has computed.
      seed: of random weights, as the encoder has them.
      on_progress: called while texts are encoded, with how many are, and of how many that are not in the cache.
    """

    def __init__(
        self,
        config: EncoderConfig,
        encoder: TextEncoder,
        cache: Path,
        *,
        seed: int = 0,
        on_progress: Progress | None = None,
    ) -> None:
        self._config, self._seed, self._on_progress = config, seed, on_progress
        self._dtype = encoding_dtype(config.dtype)
        self.encoder = encoder
        self._batches = BatchEncoder(encoder, config.batch_size)
        self._cache: VectorCache | None = None
        if config.mode == "frozen":
            settings: dict[str, object] = {"kind": config.kind, "length": config.sequence_length, "dtype": self._dtype}
            if config.kind == "tensorflow_hub":
                key = fingerprint(encoder_source(config), **settings)
            else:
                key = fingerprint_of_weights(network_weights(encoder), **settings)
            self._cache = VectorCache(cache, key)

    @property
    def width(self) -> int:
        """Width of the vectors."""
        return self.encoder.width

    def encode(self, texts: Texts) -> Vectors:
        """Encodes texts [n] or [n, tokens] with the encoder as it is now, to [n, width]."""
        if not len(texts):
            return np.zeros((0, self.width), np.float32)
        if self._cache is None:
            return self._batches.encode(texts)
        fast = functools.cache(self._fast)  # made only where a text is missing

        def encode_frozen(part: Texts, before: int, total: int) -> Vectors:
            report = self._on_progress
            return fast().encode(part, report and (lambda done, _: report(before + done, total)))

        return self._cache.encode(texts, encode_frozen)

    def _fast(self) -> BatchEncoder:
        """Makes the fastest encoder that does the same in the precision asked for."""
        fast: Any = fast_encoder(self.encoder, self._dtype)
        if fast is None and (self._config.kind == "tensorflow_hub" or self._dtype == "float32"):
            return self._batches
        if fast is None:
            fast = load_encoder(self._config, self._dtype, seed=self._seed)
            fast.take(network_weights(self.encoder))
        return BatchEncoder(fast, self._config.batch_size)
