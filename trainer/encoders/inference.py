"""BERT for encoding alone: the same network as KerasNLP's in fewer and larger products, also in bfloat16."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.encoders.bert import PADDING_ID, BertEncoder, mean_of_tokens, merged_weights

_EPSILON = 1e-12  # of KerasNLP's BERT
_FAR = -1e9

Values = npt.NDArray[np.float32]
Weight = Any  # an array, which becomes a constant of the graph, or a variable


class _Layer(NamedTuple):
    """The weights of one transformer layer; norms are pairs of scale and shift."""

    projections: Weight
    projections_bias: Weight
    output: Weight
    output_bias: Weight
    norm: tuple[Weight, Weight]
    wide: Weight
    wide_bias: Weight
    narrow: Weight
    narrow_bias: Weight
    last_norm: tuple[Weight, Weight]


class BertInference(tf.Module):
    """Computes what a `BertEncoder` computes without dropout, with the weights that it has now.

    Query, key and value are one product, each further product is one matrix, and low-rank updates are added to
    the matrices they belong to. Norms and sums stay in float32.

    In bfloat16 the weights of products are constants of the graph: oneDNN brings those into its own order once, those
    of a variable at every call, which is half the time. In float32 nothing is gained by that, and variables serve any
    number of signatures: they are the encoder's own where those have the shape, so that one must not learn on.

    Args:
      encoder: over KerasNLP's BERT; it must say its number of `heads`.
      dtype: in which products are computed, `float32` or `bfloat16`.

    Raises:
      ValueError: if the encoder's network is another one.
    """

    def __init__(self, encoder: BertEncoder, dtype: str = "bfloat16") -> None:
        super().__init__(name="bert_inference")
        if not encoder.heads:
            raise ValueError("expected KerasNLP's BERT, got another backbone; encode with that itself")
        self.width, self._heads, self._dtype = encoder.width, encoder.heads, tf.as_dtype(dtype)
        weights = _Weights(encoder, self._dtype)
        self._tokens, self._positions = (weights.own(f"{name}_embedding/embeddings") for name in ("token", "position"))
        self._segments = weights.own("segment_embedding/embeddings")
        self._first_norm = weights.norm("embeddings_layer_norm")
        self._layers = [self._layer(weights, f"transformer_layer_{place}/") for place in range(encoder.layers)]

    @tf.Module.with_name_scope
    def __call__(self, texts: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Encodes token ids [batch, tokens], 0 pads, to [batch, width] float32 of length 1."""
        del training
        tokens = tf.cast(texts, tf.int32)
        mask = tf.not_equal(tokens, PADDING_ID)
        shape = tf.shape(tokens)
        embedded = tf.gather(self._tokens, tokens) + self._positions[: shape[1]] + self._segments[0]
        state = _normed(tf.reshape(embedded, [-1, self.width]), self._first_norm)
        far = tf.cast(tf.where(mask, 0.0, _FAR), self._dtype)[:, tf.newaxis, tf.newaxis, :]
        for layer in self._layers:
            state = _normed(state + self._attended(state, layer, far, shape), layer.norm)
            wide = tf.nn.gelu(self._product(state, layer.wide, layer.wide_bias), approximate=True)
            narrow = self._product(wide, layer.narrow, layer.narrow_bias)
            state = _normed(state + tf.cast(narrow, tf.float32), layer.last_norm)
        return mean_of_tokens(tf.reshape(state, [shape[0], shape[1], self.width]), mask)

    def _attended(self, state: tf.Tensor, layer: _Layer, far: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
        """Lets the tokens of each text see one another, [batch x tokens, width]."""
        projected = self._product(state, layer.projections, layer.projections_bias)
        parts = tf.reshape(projected, [shape[0], shape[1], 3, self._heads, self.width // self._heads])
        queries, keys, values = tf.unstack(tf.transpose(parts, [2, 0, 3, 1, 4]))
        shares = tf.nn.softmax(tf.matmul(queries, keys, transpose_b=True) + far)
        seen = tf.transpose(tf.matmul(shares, values), [0, 2, 1, 3])
        joined = self._product(tf.reshape(seen, [-1, self.width]), layer.output, layer.output_bias)
        return tf.cast(joined, tf.float32)

    def _product(self, values: tf.Tensor, kernel: Weight, bias: Weight) -> tf.Tensor:
        return tf.nn.bias_add(tf.matmul(tf.cast(values, self._dtype), kernel), bias)

    def _layer(self, weights: _Weights, prefix: str) -> _Layer:
        attention, parts = f"{prefix}self_attention_layer", ("query", "key", "value")
        # The scale of the dot products is part of the query's weights.
        scales = ((self.width // self._heads) ** -0.5, 1.0, 1.0)
        pairs = list(zip(parts, scales, strict=True))
        kernels = [scale * weights.plain(f"{attention}/{part}/kernel").reshape(self.width, -1) for part, scale in pairs]
        biases = [scale * weights.plain(f"{attention}/{part}/bias").reshape(-1) for part, scale in pairs]
        wide, narrow = f"{prefix}feedforward_intermediate_dense", f"{prefix}feedforward_output_dense"
        output = weights.plain(f"{attention}/attention_output/kernel").reshape(self.width, self.width)
        return _Layer(
            projections=weights.made(np.concatenate(kernels, axis=1)),
            projections_bias=weights.made(np.concatenate(biases)),
            output=weights.made(output),
            output_bias=weights.taken(f"{attention}/attention_output/bias"),
            norm=weights.norm(f"{attention}_norm"),
            wide=weights.taken(f"{wide}/kernel"),
            wide_bias=weights.taken(f"{wide}/bias"),
            narrow=weights.taken(f"{narrow}/kernel"),
            narrow_bias=weights.taken(f"{narrow}/bias"),
            last_norm=weights.norm(f"{prefix}feedforward_layer_norm"),
        )


class _Weights:
    """Reads the weights of KerasNLP's network by their paths."""

    def __init__(self, encoder: BertEncoder, dtype: tf.DType) -> None:
        self._found, self._dtype = merged_weights(encoder), dtype
        self._variables = {each.path: each.value for each in encoder.network.variables}

    def plain(self, path: str) -> Values:
        """Reads a weight as it is."""
        return np.asarray(self._found[path], np.float32)

    def own(self, path: str) -> tf.Variable:
        """Takes the encoder's own variable, in float32."""
        return self._variables[path]

    def norm(self, path: str) -> tuple[tf.Variable, tf.Variable]:
        """Takes scale and shift of a layer norm."""
        return self.own(f"{path}/gamma"), self.own(f"{path}/beta")

    def taken(self, path: str) -> Weight:
        """Takes a weight in the precision of products."""
        return self.own(path) if self._dtype == tf.float32 else self.made(self.plain(path))

    def made(self, values: Values) -> Weight:
        """Keeps values in the precision of products."""
        if self._dtype == tf.float32:
            return tf.Variable(values, trainable=False)
        return values.astype(self._dtype.as_numpy_dtype)


def _normed(values: tf.Tensor, norm: tuple[Weight, Weight]) -> tf.Tensor:
    centred = values - tf.reduce_mean(values, axis=-1, keepdims=True)
    variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)
    return centred * (tf.math.rsqrt(variance + _EPSILON) * norm[0]) + norm[1]
