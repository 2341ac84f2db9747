"""The training loop of the adaptation, and how well held-out pairs are told apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline.config import Config
from trainer.adaptation.epoch import PairEpochs
from trainer.adaptation.pairs import TextPairs
from trainer.encoders.batching import BatchEncoder, trim_padding
from trainer.encoders.bert import BertEncoder
from trainer.optimizer import warmed_cosine
from trainer.tasks.candidates import margin_loss
from trainer.tasks.contrastive import contrastive_loss

_WARMUP_SHARE = 0.1
_MEASURED = 2_000  # held-out pairs at most, so that measuring stays a small part of learning

Rows = npt.NDArray[np.int64]
Tokenise = Callable[[Sequence[str]], npt.NDArray[np.int32]]
Teacher = Callable[[npt.NDArray[np.int32], npt.NDArray[np.int32]], tf.Tensor]


@dataclass(frozen=True)
class PairAccuracy:
    """How well held-out pairs are told apart.

    Args:
      among_alike: share of the pairs whose text is nearer than the texts of the items alike by their words.
      among_all: share whose text is the nearest of all held-out texts.
    """

    among_alike: float
    among_all: float

    def better_than(self, other: PairAccuracy) -> bool:
        """Compares the sum of both."""
        return self.among_alike + self.among_all > other.among_alike + other.among_all

    def as_dict(self) -> dict[str, float]:
        """Names the numbers for curves."""
        return {"adaptation/among_alike": self.among_alike, "adaptation/among_all": self.among_all}

    def __str__(self) -> str:
        return f"held-out pairs right among alike {self.among_alike:.3f}, among all {self.among_all:.3f}"


class Learning:
    """One adaptation of one encoder.

    Args:
      encoder: with the weights that may learn.
      pairs: to learn from.
      measured: held out; none of their items is among the others'.
      config: of the shop.
      tokenise: turns texts into the encoder's token ids [n, tokens].
      teacher: scores two texts, token ids [n, tokens] each, to [n]; None teaches nothing.
    """

    def __init__(
        self,
        encoder: BertEncoder,
        pairs: TextPairs,
        measured: TextPairs,
        config: Config,
        *,
        tokenise: Tokenise,
        teacher: Teacher | None = None,
    ) -> None:
        self._encoder, self._pairs, self._config, self._teacher = encoder, pairs, config.adaptation, teacher
        self._measured = measured.take(np.arange(min(len(measured), _MEASURED)))
        self._batch_size = config.encoder.batch_size
        self._whole = tokenise(pairs.texts.tolist())
        self._tokens = _cut(self._whole, self._config.sequence_length)
        self._epochs = PairEpochs(pairs, self._config.batch_size, config.seed, "adaptation")
        rates = warmed_cosine(self._config.highest_rate, self._epochs.steps * self._config.epochs, _WARMUP_SHARE)
        self._optimizer = keras.optimizers.AdamW(rates, weight_decay=0.01)
        self._optimizer.build(encoder.trainable_variables)
        width = tf.TensorSpec([None, None], tf.int32)
        flags, weights = tf.TensorSpec([None, None], tf.bool), tf.TensorSpec([None], tf.float32)
        signature = [width, flags, weights, tf.TensorSpec([None], tf.int64), weights]
        self._step = tf.function(self._learn, input_signature=signature, autograph=False)

    def train(self, epoch: int) -> float:
        """Learns from every pair once; answers the mean loss."""
        return self._epochs.run(epoch, self._learn_from)

    def accuracy(self) -> PairAccuracy:
        """Measures the held-out pairs with the encoder as it is now, in float32."""
        pairs = self._measured
        used, places = np.unique(
            np.concatenate([pairs.anchors, pairs.positives, pairs.negatives[pairs.negatives >= 0]]), return_inverse=True
        )
        vectors = BatchEncoder(self._encoder, self._batch_size).encode(self._tokens[used])
        count = len(pairs)
        anchors, positives = vectors[places[:count]], vectors[places[count : 2 * count]]
        own = (anchors * positives).sum(axis=1)
        line_of = np.searchsorted(used, np.maximum(pairs.negatives, used[0]))
        alike = np.einsum("nw,npw->np", anchors, vectors[np.minimum(line_of, len(used) - 1)])
        counts = (pairs.negatives >= 0) & (pairs.negatives != pairs.positives[:, np.newaxis])
        nearest = np.where(counts, alike, -np.inf).max(axis=1, initial=-np.inf)
        others = anchors @ positives.T
        wrong = pairs.positives[:, np.newaxis] != pairs.positives[np.newaxis]
        wrong &= pairs.items[:, np.newaxis] != pairs.items[np.newaxis]
        farther = np.where(wrong, others, -np.inf).max(axis=1)
        return PairAccuracy(float((own > nearest).mean()), float((own > farther).mean()))

    def _learn_from(self, pairs: TextPairs, generator: np.random.Generator) -> float:
        texts, items, lines = _candidates(pairs, self._config.hard_negatives, generator)
        tokens = tf.constant(trim_padding(self._tokens[np.concatenate([pairs.anchors, texts])]))
        wrong, weights = tf.constant(foreign(pairs, texts, items)), tf.constant(pairs.weights)
        return float(self._step(tokens, wrong, weights, tf.constant(lines), self._taught(pairs, texts, lines)))

    def _taught(self, pairs: TextPairs, texts: Rows, lines: Rows) -> tf.Tensor:
        """Asks the teacher by how much the right texts of `lines` are better than the hard negatives, [negatives]."""
        if self._teacher is None:
            return tf.zeros(len(lines))
        anchors, scores = self._whole[pairs.anchors], self._teacher
        right, wrong = self._whole[texts[: len(pairs)]], self._whole[texts[len(pairs) :]]
        return tf.gather(scores(anchors, right), lines) - scores(anchors[lines], wrong)

    def _learn(
        self, tokens: tf.Tensor, wrong: tf.Tensor, weights: tf.Tensor, lines: tf.Tensor, taught: tf.Tensor
    ) -> tf.Tensor:
        batch = tf.shape(weights)[0]
        with tf.GradientTape() as tape:
            vectors = self._encoder(tokens, training=True)
            loss = contrastive_loss(
                vectors[:batch],
                vectors[batch:],
                foreign=wrong,
                weights=weights,
                temperature=self._config.temperature,
            )
            if self._teacher is not None:
                anchors, right = tf.gather(vectors[:batch], lines), tf.gather(vectors[batch : 2 * batch], lines)
                margins = tf.reduce_sum(anchors * (right - vectors[2 * batch :]), axis=1) / self._config.temperature
                loss += self._config.distil * margin_loss(margins, taught, weights=tf.gather(weights, lines))
        variables = self._encoder.trainable_variables
        self._optimizer.apply(tape.gradient(loss, [variable.value for variable in variables]), variables)
        return loss


def foreign(pairs: TextPairs, texts: Rows, items: Rows) -> npt.NDArray[np.bool_]:
    """Says which candidates are of another item and say something else than an anchor's own, [n, candidates]."""
    other_item = pairs.items[:, np.newaxis] != items[np.newaxis]
    return other_item & (pairs.positives[:, np.newaxis] != texts[np.newaxis])


def _candidates(pairs: TextPairs, hard: int, generator: np.random.Generator) -> tuple[Rows, Rows, Rows]:
    """Answers the texts that anchors are read against and their items, and whose hard negatives the last ones are.

    The pairs' own texts come first, in their order, then hard negatives.
    """
    texts, items, whose = [pairs.positives], [pairs.items], [np.zeros(0, np.int64)]
    for _ in range(hard):
        pools = (pairs.negatives >= 0).sum(axis=1)
        lines = np.flatnonzero(pools > 0)
        drawn = (generator.random(len(lines)) * pools[lines]).astype(np.int64)
        texts.append(pairs.negatives[lines, drawn])
        items.append(pairs.negative_items[lines, drawn])
        whose.append(lines)
    return np.concatenate(texts), np.concatenate(items), np.concatenate(whose)


def _cut(tokens: npt.NDArray[np.int32], length: int) -> npt.NDArray[np.int32]:
    """Cuts token ids [n, tokens] to `length` of them; the token that ends a text stays its last."""
    used = (tokens != 0).sum(axis=1)
    ends = tokens[np.arange(len(tokens)), np.maximum(used, 1) - 1]
    cut = tokens[:, :length].copy()
    cut[used > length, -1] = ends[used > length]
    return cut
