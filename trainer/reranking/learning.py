"""The training loop of the cross-encoder, and how well it tells held-out pairs apart."""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline.config import RerankConfig
from trainer.adaptation.epoch import PairEpochs
from trainer.adaptation.pairs import TextPairs
from trainer.optimizer import warmed_cosine
from trainer.reranking.cross_encoder import CrossEncoder
from trainer.reranking.pairing import paired
from trainer.tasks.candidates import candidate_loss

_WARMUP_SHARE = 0.1
_MEASURED = 500  # held-out pairs at most
_BATCH = 16

Rows = npt.NDArray[np.int64]
Tokens = npt.NDArray[np.int32]


class CrossLearning:
    """One training of one cross-encoder.

    Args:
      network: whose weights learn.
      pairs: to learn from, each with at least one negative.
      measured: held out; none of their items is among the others'.
      tokens: int32 [texts, tokens] of the pairs' texts, 0 pads.
      config: of re-ranking.
      seed: of the order and the negatives.
    """

    def __init__(
        self,
        network: CrossEncoder,
        pairs: TextPairs,
        measured: TextPairs,
        *,
        tokens: Tokens,
        config: RerankConfig,
        seed: int,
    ) -> None:
        self._network, self._tokens, self._config = network, tokens, config
        self._measured = measured.take(np.arange(min(len(measured), _MEASURED)))
        self._epochs = PairEpochs(pairs, config.batch_size, seed, "cross-encoder")
        rates = warmed_cosine(config.learning_rate, self._epochs.steps * config.epochs, _WARMUP_SHARE)
        self._optimizer = keras.optimizers.AdamW(rates, weight_decay=0.01)
        self._optimizer.build(self._variables)
        texts, flags = tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None, None], tf.bool)
        learned = [texts, texts, flags, tf.TensorSpec([None], tf.float32)]
        self._step = tf.function(self._learn, input_signature=learned, autograph=False)
        self._ask = tf.function(self._logits, input_signature=[texts, texts], autograph=False)

    def train(self, epoch: int) -> float:
        """Learns from every pair once; answers the mean loss."""
        return self._epochs.run(epoch, self._learn_from)

    def accuracy(self) -> float:
        """Says in which share of their comparisons the right texts of held-out pairs beat their first negatives."""
        pairs = self._measured
        texts = np.concatenate([pairs.positives[:, np.newaxis], pairs.negatives[:, : self._config.negatives]], axis=1)
        right = []
        for start in range(0, len(pairs), _BATCH):
            part = slice(start, start + _BATCH)
            logits = self._ask(*self._read(pairs.anchors[part], texts[part])).numpy().reshape(-1, texts.shape[1])
            compared = (texts[part, 1:] >= 0) & (texts[part, 1:] != texts[part, :1])
            right.append((logits[:, :1] > logits[:, 1:])[compared])
        return float(np.concatenate(right).mean())

    def _learn_from(self, pairs: TextPairs, generator: np.random.Generator) -> float:
        texts = candidates(pairs, self._config.negatives, generator)
        first, second = self._read(pairs.anchors, texts)
        return float(self._step(first, second, tf.constant(texts >= 0), tf.constant(pairs.weights)))

    def _read(self, anchors: Rows, texts: Rows) -> tuple[tf.Tensor, tf.Tensor]:
        """Answers the tokens of anchors and of all their candidates, line by line; a missing one is the first text."""
        first = self._tokens[np.repeat(anchors, texts.shape[1])]
        return tf.constant(first), tf.constant(self._tokens[np.maximum(texts, 0).ravel()])

    def _logits(self, first: tf.Tensor, second: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self._network(*paired(first, second, self._config.sequence_length), training=training)

    def _learn(self, first: tf.Tensor, second: tf.Tensor, present: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = tf.reshape(self._logits(first, second, training=True), tf.shape(present))
            loss = candidate_loss(logits, present=present, weights=weights)
        variables = self._variables
        self._optimizer.apply(tape.gradient(loss, [variable.value for variable in variables]), variables)
        return loss

    @property
    def _variables(self) -> list[keras.Variable]:
        return [*self._network.network.trainable_variables, *self._network.head.trainable_variables]


def candidates(pairs: TextPairs, count: int, generator: np.random.Generator) -> Rows:
    """Draws negatives that say something else than the right text.

    Args:
      pairs: n of them.
      count: of the negatives.
      generator: of the draw.

    Returns:
      int64 [n, 1 + count], the right text first; -1 where the pool has fewer.
    """
    drawn = generator.permuted(pairs.negatives, axis=1) if pairs.negatives.size else pairs.negatives
    drawn = np.where(drawn == pairs.positives[:, np.newaxis], -1, drawn)
    # A stable sort brings what is there to the front, in the order that was drawn.
    order = np.argsort(drawn < 0, axis=1, kind="stable")[:, :count]
    return np.concatenate([pairs.positives[:, np.newaxis], np.take_along_axis(drawn, order, axis=1)], axis=1)
