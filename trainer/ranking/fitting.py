"""How the network learns: lists of candidates, a softmax over each."""

from __future__ import annotations

import logging

import keras
import numpy as np
import tensorflow as tf

from pipeline.config import RankingConfig
from trainer.optimizer import warmed_cosine
from trainer.ranking.lists import FEATURES, LABELS, LISTS, CandidateLists
from trainer.ranking.network import RankingNetwork

_LOG = logging.getLogger(__name__)
_CLIP = 5.0
_WARMUP_SHARE = 0.05
_ODDS_WEIGHT = 1.0


def fit_network(lists: CandidateLists, config: RankingConfig, seed: int) -> RankingNetwork:
    """Trains a network.

    Args:
      lists: at least one with a hit.
      config: of the ranking stage.
      seed: of start, order and dropout.

    Raises:
      ValueError: if no list has a hit.
    """
    count = len(lists.with_hits())
    if not count:
        raise ValueError(
            "no list of candidates holds an item that was bought: there is nothing to learn a ranking from"
        )
    keras.utils.set_random_seed(seed)
    network = RankingNetwork(lists.features.shape[1], config, seed)
    network.bins.adapt(lists.features)
    network(tf.constant(lists.features[:1]))
    steps = config.epochs * -(-count // config.batch_requests)
    optimizer = keras.optimizers.AdamW(
        warmed_cosine(config.learning_rate, steps, _WARMUP_SHARE),
        weight_decay=config.weight_decay,
        global_clipnorm=_CLIP,
    )
    optimizer.build(network.trainable_variables)
    step = _step(network, optimizer, lists.features.shape[1])
    for epoch in range(config.epochs):
        losses = [
            float(step(batch[FEATURES], batch[LABELS], batch[LISTS]))
            for batch in lists.batches(config.batch_requests, seed + epoch)
        ]
        _LOG.info("ranking: epoch %d of %d: loss=%.6g", epoch + 1, config.epochs, np.mean(losses))
    return network


def list_loss(scores: tf.Tensor, labels: tf.Tensor, lists: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Computes a cross-entropy over lists and one over candidates.

    The first is that of a softmax over each list with the bought candidates, each with an equal share. The second
    makes a score the log-odds of a purchase as well.

    Cao et al., Learning to rank: from pairwise approach to listwise approach, 2007.

    Args:
      scores: [n] log-odds.
      labels: [n], 1 where bought.
      lists: int32 [n] ascending, the list of each.
      count: number of lists, a scalar.

    Returns:
      The mean over lists with a hit of the first, plus the mean over candidates of the second, a scalar.
    """
    most = tf.stop_gradient(tf.math.unsorted_segment_max(scores, lists, count))
    total = tf.math.unsorted_segment_sum(tf.exp(scores - tf.gather(most, lists)), lists, count)
    shares = scores - tf.gather(tf.math.log(total) + most, lists)
    hits = tf.math.unsorted_segment_sum(labels, lists, count)
    found = tf.math.unsorted_segment_sum(labels * shares, lists, count)
    ranked = -tf.math.divide_no_nan(
        tf.reduce_sum(tf.math.divide_no_nan(found, hits)), tf.reduce_sum(tf.cast(hits > 0, tf.float32))
    )
    odds = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=scores))
    return ranked + _ODDS_WEIGHT * odds


def _step(
    network: RankingNetwork, optimizer: keras.optimizers.Optimizer, width: int
) -> tf.types.experimental.PolymorphicFunction:
    @tf.function(
        input_signature=[
            tf.TensorSpec([None, width], tf.float32),
            tf.TensorSpec([None], tf.float32),
            tf.TensorSpec([None], tf.int32),
        ],
        autograph=False,
    )
    def step(features: tf.Tensor, labels: tf.Tensor, lists: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = list_loss(network(features, training=True), labels, lists, tf.reduce_max(lists) + 1)
        variables = [variable.value for variable in network.trainable_variables]
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), network.trainable_variables, strict=True))
        return loss

    return step
