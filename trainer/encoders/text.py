"""What every pretrained text encoder does, and how the configured one is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline.config import EncoderConfig, encoder_source

# Token ids [n, tokens] or strings [n].
Texts = npt.NDArray[Any]


class Encodes(Protocol):
    """What turns texts into vectors."""

    width: int

    def __call__(self, texts: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Encodes texts.

        Args:
          texts: what the encoder reads: token ids [batch, tokens] or strings [batch].
          training: whether dropout is on.

        Returns:
          [batch, width] float32 of length 1.
        """
        ...


class TextEncoder(Encodes, Protocol):
    """A pretrained network from texts to vectors; a Keras layer, so that a model tracks its weights."""

    trainable_variables: list[tf.Variable]


def load_encoder(
    config: EncoderConfig, dtype: str = "float32", *, seed: int = 0, weights: Path | None = None
) -> TextEncoder:
    """Loads the encoder that the configuration names, in its mode.

    Args:
      config: kind, preset, weights, mode.
      dtype: in which a keras_nlp encoder computes; `bfloat16` only serves to encode a frozen catalogue.
      seed: of random weights.
      weights: file of those that take the place of the preset's, as `trainer.adaptation` writes it.

    Returns:
      The encoder. Its `trainable_variables` are those that the mode lets learn.
    """
    source = encoder_source(config)
    if config.kind == "tensorflow_hub":
        from trainer.encoders.hub import HubEncoder

        return HubEncoder(source)
    from trainer.encoders.bert import BertEncoder

    random = seed if config.weights == "random" else None
    encoder = BertEncoder(source, mode=config.mode, lora_rank=config.lora_rank, random_seed=random, dtype=dtype)
    if weights is not None:
        with np.load(weights) as stored:
            encoder.take({path: stored[path] for path in stored.files})
    return encoder


def fast_encoder(encoder: Any, dtype: str = "float32") -> Encodes | None:
    """Makes what encodes the same faster, with the weights that the encoder has now, and cannot learn.

    Args:
      encoder: the pretrained network.
      dtype: in which products are computed, `float32` or `bfloat16`.

    Returns:
      It; None where the network is not KerasNLP's BERT.
    """
    if not getattr(encoder, "heads", 0):
        return None
    # It imports KerasNLP, which a shop with a SavedModel for an encoder need not wait for.
    from trainer.encoders.inference import BertInference

    return BertInference(encoder, dtype)
