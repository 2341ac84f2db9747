"""A KerasNLP backbone as a text encoder: mean over the tokens, then length 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import keras_nlp
import numpy as np
import numpy.typing as npt
import tensorflow as tf

PADDING_ID = 0
_START = 0.02  # standard deviation of random weights, as BERT was started


class BertEncoder(keras.layers.Layer):
    """Turns token ids into one vector for each text.

    The vector is the mean of the last layer over the tokens that are not padding, scaled to length 1, as in
    Reimers and Gurevych, Sentence-BERT, 2019. A text without any token gets a vector of zeros.

    ```python
    encoder = BertEncoder(".models/all-minilm-l6-v2", mode="frozen")
    vectors = encoder(tf.constant([[101, 2417, 6007, 102, 0, 0]]))  # [1, 384]
    ```

    Args:
      source: a folder or a name that `keras_nlp.models.Backbone.from_preset` knows.
      mode: `frozen`: nothing learns; `lora`: low-rank updates of the attention's query and value projections
        (Hu et al., LoRA, 2021) learn; `full`: everything that the vector depends on learns.
      lora_rank: rank of the updates.
      random_seed: of random weights in place of the pretrained ones; None takes those.
      dtype: in which weights are held and products computed.
    """

    def __init__(
        self,
        source: str,
        *,
        mode: str = "frozen",
        lora_rank: int = 8,
        random_seed: int | None = None,
        dtype: str = "float32",
    ) -> None:
        super().__init__(name="text_encoder", dtype="float32")
        backbone = keras_nlp.models.Backbone.from_preset(source, load_weights=random_seed is None, dtype=dtype)
        if random_seed is not None:
            _draw_weights(backbone, random_seed)
        if mode == "lora":
            _enable_lora(backbone, lora_rank)
        output = backbone.output
        # Without the pooled output its dense layer is no part of the network, and so of what learns.
        sequence = output["sequence_output"] if isinstance(output, dict) else output
        self.network = keras.Model(backbone.input, sequence, name="backbone")
        if mode == "frozen":
            self.network.trainable = False
        self.input_names: tuple[str, ...] = tuple(backbone.input)
        known = isinstance(backbone, keras_nlp.models.BertBackbone)
        self.layers: int = backbone.num_layers if known else 0
        self.heads: int = backbone.num_heads if known else 0
        self.width = int(sequence.shape[-1])
        self.built = True

    def take(self, weights: Mapping[str, npt.NDArray[np.float32]]) -> None:
        """Puts weights in place of those it has, by path, as `merged_weights` reads them.

        Raises:
          ValueError: if one is missing.
        """
        for variable in self.network.variables:
            if "seed_generator" in variable.path or "lora_kernel" in variable.path:
                continue
            if variable.path not in weights:
                raise ValueError(f"expected weights of the same network, got none for {variable.path}")
            variable.assign(weights[variable.path])

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Encodes token ids [batch, tokens], 0 pads, to [batch, width] float32."""
        tokens = tf.cast(inputs, tf.int32)
        mask = tf.not_equal(tokens, PADDING_ID)
        given: dict[str, Any] = {
            "token_ids": tokens,
            "padding_mask": tf.cast(mask, tf.int32),
            "segment_ids": tf.zeros_like(tokens),
        }
        sequence = self.network({name: given[name] for name in self.input_names}, training=training)
        return mean_of_tokens(sequence, mask)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns [batch, width]."""
        return (input_shape[0], self.width)


def mean_of_tokens(sequence: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Answers the direction of the mean of [batch, tokens, width] where `mask` is true; zeros where it never is."""
    weights = tf.cast(mask, tf.float32)[:, :, tf.newaxis]
    total = tf.reduce_sum(tf.cast(sequence, tf.float32) * weights, axis=1)
    return tf.math.l2_normalize(total, axis=-1)


def merged_weights(encoder: BertEncoder) -> dict[str, npt.NDArray[np.float32]]:
    """Reads the weights by path, low-rank updates added to the kernels that they belong to."""
    found = {each.path: each.numpy() for each in encoder.network.variables if "seed_generator" not in each.path}
    merged = {}
    for path, value in found.items():
        update = path.removesuffix("kernel") + "lora_kernel_"
        if path.endswith("/kernel") and update + "a" in found:
            merged[path] = value + np.tensordot(found[update + "a"], found[update + "b"], axes=1)
        elif "lora_kernel" not in path:
            merged[path] = value
    return merged


def _draw_weights(backbone: Any, seed: int) -> None:
    """Draws embeddings and kernels, the same ones in any dtype; scales and biases stay at one and zero."""
    generator = np.random.default_rng(seed)
    for variable in backbone.trainable_variables:
        if variable.path.endswith(("kernel", "embeddings")):
            variable.assign(generator.normal(scale=_START, size=variable.shape))


def _enable_lora(backbone: Any, rank: int) -> None:
    """Lets the low-rank updates learn and nothing else; KerasNLP leaves the biases beside them free."""
    backbone.enable_lora(rank)
    for variable in backbone.trainable_variables:
        variable.trainable = "lora_kernel" in variable.path
