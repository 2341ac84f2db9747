"""Trains a shop's cross-encoder once for its texts and settings, and keeps its weights."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from pipeline.config import Config, encoder_source
from trainer.adaptation.learning import Teacher, Tokenise
from trainer.adaptation.pairs import TextPairs, held_out, read_pairs
from trainer.array_file import write_arrays
from trainer.board import Board
from trainer.catalogue import Catalogue
from trainer.device import deterministic_ops
from trainer.encoders.cache import fingerprint
from trainer.lexical.texts import read_item_texts
from trainer.reranking.cross_encoder import CrossEncoder, Weights, load_cross_encoder
from trainer.reranking.learning import CrossLearning
from trainer.reranking.pairing import paired
from trainer.reranking.reranker import Reranker

_LOG = logging.getLogger(__name__)

_POOL = 10  # texts alike by their words that negatives are drawn from


def learned_cross_encoder(
    config: Config, catalogue: Catalogue, tables_dir: str, *, tokenise: Tokenise, cache: Path, board: Path
) -> CrossEncoder:
    """Trains the cross-encoder on the shop's pairs, or takes the weights that an earlier run has made of the same ones.

    Args:
      config: of the shop.
      catalogue: the items.
      tables_dir: the tables.
      tokenise: turns texts into the encoder's token ids [n, tokens].
      cache: folder that the weights are kept in.
      board: folder of curves.

    Raises:
      ValueError: if the shop has no pairs to learn from.
    """
    texts = read_item_texts(tables_dir, list(catalogue.ids), config.search)
    pairs = None if texts is None else read_pairs(texts, catalogue, tables_dir, config, pool=_POOL)
    if pairs is not None:
        pairs = pairs.take(np.flatnonzero(((pairs.negatives >= 0).sum(axis=1)) > 0))
    if pairs is None or len(np.unique(pairs.items)) < 2:
        raise ValueError(
            f"search.rerank: no two items alike have a text in '{config.adaptation.anchor}' and in one of "
            f"{', '.join(config.adaptation.texts)}; name other columns in adaptation, or turn it off"
        )
    file = cache / f"cross-encoder-{_digest(pairs, config)}.npz"
    network = new_cross_encoder(config)
    if not file.exists():
        weights = _learn(network, pairs, config, tokenise, board)
        write_arrays(file, {f"{place:04}": value for place, value in enumerate(weights)})
    with np.load(file) as stored:
        network.take([stored[name] for name in sorted(stored.files)])
    return network


def new_cross_encoder(config: Config) -> CrossEncoder:
    """Makes the network with the encoder's weights, and a head that knows nothing."""
    random = config.encoder.weights == "random"
    layers = config.search.rerank.layers
    return load_cross_encoder(encoder_source(config.encoder), layers=layers, seed=config.seed, random=random)


def pair_scores(network: CrossEncoder, length: int) -> Teacher:
    """Makes what scores two texts, token ids [n, tokens] each, to [n], read in sequences of `length` tokens."""
    texts = tf.TensorSpec([None, None], tf.int32)
    return tf.function(
        lambda first, second: network(*paired(first, second, length)), input_signature=[texts, texts], autograph=False
    )


def make_reranker(network: CrossEncoder, catalogue: Catalogue, config: Config) -> Reranker:
    """Puts a network into the served graph, beside what it reads of the items."""
    assert catalogue.texts is not None  # the configuration has said so
    return Reranker(
        config.search.rerank,
        lambda tokens, segments: network(tokens, segments, training=False),
        weights=[variable.value for variable in network.own_variables],
        item_tokens=catalogue.texts,
    )


def _learn(network: CrossEncoder, pairs: TextPairs, config: Config, tokenise: Tokenise, folder: Path) -> Weights:
    """Answers the weights of the best epoch, by held-out pairs."""
    rerank, board = config.search.rerank, Board(folder)
    learned, measured = held_out(pairs, config.adaptation.held_out_share, config.seed)
    _LOG.info("cross-encoder: %d pairs to learn from, %d held out", len(learned), len(measured))
    best, weights = -1.0, Weights()
    with deterministic_ops(config.training.deterministic):
        keras.utils.set_random_seed(config.seed)
        tokens = tokenise(pairs.texts.tolist())
        learning = CrossLearning(network, learned, measured, tokens=tokens, config=rerank, seed=config.seed)
        for epoch in range(rerank.epochs):
            loss, right = learning.train(epoch), learning.accuracy()
            _LOG.info("cross-encoder: epoch %d: loss %.4f, held-out pairs right %.3f", epoch + 1, loss, right)
            board.write_epoch(epoch + 1, {"cross_encoder/loss": loss, "cross_encoder/accuracy": right})
            if right > best:
                best, weights = right, network.weights_now()
    board.close()
    return weights


def _digest(pairs: TextPairs, config: Config) -> str:
    """Says all that the weights depend on."""
    rerank = config.search.rerank.model_dump_json(exclude={"enabled", "depth", "share"})
    digest = hashlib.sha256(f"{rerank} {config.adaptation.held_out_share} {config.encoder.sequence_length}".encode())
    digest.update(fingerprint(encoder_source(config.encoder), seed=config.seed, of=config.encoder.weights).encode())
    digest.update(pairs.digest().encode())
    return digest.hexdigest()[:32]
