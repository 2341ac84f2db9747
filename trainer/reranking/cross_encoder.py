"""BERT over two texts in one sequence, with a head that says how well they belong together."""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.encoders.bert import PADDING_ID, BertEncoder

Weights = list[npt.NDArray[np.float32]]


class CrossEncoder(keras.layers.Layer):
    """Scores pairs of texts (Nogueira and Cho, Passage re-ranking with BERT, 2019).

    The head reads the mean of the last layer over all tokens: that is what the sentence encoders that it starts from
    were trained by, where the vector of `[CLS]` has not been trained for anything.

    ```python
    network = CrossEncoder(BertEncoder(".models/all-minilm-l6-v2", mode="full"), layers=3, seed=7)
    logits = network(*paired(queries, items, length=64))  # [batch]
    ```

    Args:
      encoder: where the weights start; they become this network's own, and learn as its mode says.
      layers: first layers that are kept; None keeps all.
      seed: of the head.

    Raises:
      ValueError: if the encoder's network is not KerasNLP's BERT, or has fewer layers.
    """

    def __init__(self, encoder: BertEncoder, *, layers: int | None = None, seed: int = 0) -> None:
        super().__init__(name="cross_encoder", dtype="float32")
        if not encoder.layers or (layers or 1) > encoder.layers:
            raise ValueError(f"expected KerasNLP's BERT of at least {layers or 1} layers, got {encoder.layers}")
        last = encoder.network.get_layer(f"transformer_layer_{(layers or encoder.layers) - 1}")
        self.network = keras.Model(encoder.network.input, last.output, name="pairs")
        start = keras.initializers.RandomNormal(stddev=0.02, seed=seed)
        self.head = keras.layers.Dense(1, kernel_initializer=start, name="head")
        self.head.build((None, encoder.width))
        self.built = True

    def call(self, tokens: tf.Tensor, segments: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Scores sequences [batch, tokens] as `paired` makes them: float32 [batch], larger where both fit better."""
        mask = tf.not_equal(tokens, PADDING_ID)
        given = {"token_ids": tokens, "segment_ids": segments, "padding_mask": tf.cast(mask, tf.int32)}
        sequence = self.network(given, training=training)
        kept = tf.cast(mask, tf.float32)[:, :, tf.newaxis]
        mean = tf.math.divide_no_nan(tf.reduce_sum(sequence * kept, axis=1), tf.reduce_sum(kept, axis=1))
        return self.head(mean)[:, 0]

    def weights_now(self) -> Weights:
        """Reads all weights, in the order of `take`."""
        return [variable.numpy() for variable in self.own_variables]

    def take(self, weights: Weights) -> None:
        """Puts weights in place of those it has.

        Raises:
          ValueError: if they are those of another network.
        """
        shapes = [tuple(variable.shape) for variable in self.own_variables]
        if [value.shape for value in weights] != shapes:
            raise ValueError(f"expected {len(shapes)} weights of the same network, got {len(weights)} others")
        for variable, value in zip(self.own_variables, weights, strict=True):
            variable.assign(value)

    @property
    def own_variables(self) -> list[keras.Variable]:
        """The weights that its answers depend on; the state of dropout is none."""
        return [each for each in (*self.network.variables, *self.head.variables) if "seed_generator" not in each.path]


def load_cross_encoder(source: str, *, layers: int | None, seed: int, random: bool = False) -> CrossEncoder:
    """Makes a cross-encoder of a preset, by folder or name; all of its weights may learn."""
    encoder = BertEncoder(source, mode="full", random_seed=seed if random else None)
    return CrossEncoder(encoder, layers=layers, seed=seed)
