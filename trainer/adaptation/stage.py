"""Adapts the encoder once for a shop's texts and settings, and keeps its weights."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from pipeline.config import Config, encoder_source
from trainer.adaptation.learning import Learning, Teacher, Tokenise
from trainer.adaptation.pairs import TextPairs, held_out, read_pairs
from trainer.array_file import write_arrays
from trainer.board import Board
from trainer.catalogue import Catalogue
from trainer.device import deterministic_ops, precision_policy
from trainer.encoders.bert import BertEncoder, merged_weights
from trainer.encoders.cache import fingerprint
from trainer.encoders.text import load_encoder
from trainer.lexical.texts import read_item_texts
from trainer.reranking.stage import learned_cross_encoder, pair_scores

_LOG = logging.getLogger(__name__)

_POOL = 10  # texts alike that each hard negative is drawn from

Weights = dict[str, npt.NDArray[np.float32]]


def adapted_weights(
    config: Config, catalogue: Catalogue, tables_dir: str, *, tokenise: Tokenise, cache: Path, board: Path
) -> Path | None:
    """Trains the encoder on the shop's pairs, or finds the weights that an earlier run has made of the same ones.

    Args:
      config: of the shop.
      catalogue: the items.
      tables_dir: the tables.
      tokenise: turns texts into the encoder's token ids [n, tokens].
      cache: folder that the weights are kept in.
      board: folder of curves.

    Returns:
      The file of the weights for `load_encoder`; None without adaptation, or where no epoch was better than none.

    Raises:
      ValueError: if the shop has no pairs to learn from.
    """
    if config.adaptation.mode == "none":
        return None
    texts = read_item_texts(tables_dir, list(catalogue.ids), config.search)
    pool = _POOL * config.adaptation.hard_negatives
    pairs = None if texts is None else read_pairs(texts, catalogue, tables_dir, config, pool=pool)
    if pairs is None or len(np.unique(pairs.items)) < 2:
        raise ValueError(
            f"adaptation: no two items have a text in '{config.adaptation.anchor}' and in one of "
            f"{', '.join(config.adaptation.texts)}; name other columns, or set adaptation.mode to none"
        )
    file = cache / f"adapted-{_digest(pairs, config)}.npz"
    if not file.exists():
        teacher = None
        if config.adaptation.distil:
            curves = board.with_name("cross_encoder")
            network = learned_cross_encoder(config, catalogue, tables_dir, tokenise=tokenise, cache=cache, board=curves)
            teacher = pair_scores(network, config.search.rerank.sequence_length)
        write_arrays(file, _learn(pairs, config, tokenise, board, teacher))
    with np.load(file) as stored:
        return file if stored.files else None


def _learn(pairs: TextPairs, config: Config, tokenise: Tokenise, folder: Path, teacher: Teacher | None) -> Weights:
    """Answers the weights of the best epoch; none where that is the encoder as it came."""
    adaptation, board = config.adaptation, Board(folder)
    learned, measured = held_out(pairs, adaptation.held_out_share, config.seed)
    _LOG.info("adaptation: %d pairs to learn from, %d held out", len(learned), len(measured))
    with deterministic_ops(config.training.deterministic):
        keras.utils.set_random_seed(config.seed)
        settings = {"mode": adaptation.mode, "lora_rank": adaptation.lora_rank}
        encoder = load_encoder(config.encoder.model_copy(update=settings), _policy(config), seed=config.seed)
        assert isinstance(encoder, BertEncoder)
        learning = Learning(encoder, learned, measured, config, tokenise=tokenise, teacher=teacher)
        best, weights = learning.accuracy(), Weights()
        _LOG.info("adaptation: as it came: %s", best)
        board.write_epoch(0, best.as_dict())
        for epoch in range(adaptation.epochs):
            loss = learning.train(epoch)
            found = learning.accuracy()
            _LOG.info("adaptation: epoch %d of %d: loss %.4f, %s", epoch + 1, adaptation.epochs, loss, found)
            board.write_epoch(epoch + 1, {"adaptation/loss": loss, **found.as_dict()})
            if found.better_than(best):
                best, weights = found, merged_weights(encoder)
    board.close()
    if not weights:
        _LOG.warning("adaptation: no epoch tells held-out pairs apart better than the encoder as it came, which stays")
    return weights


def _policy(config: Config) -> str:
    """Answers the precision policy; float16 of older GPUs would need its loss scaled, so those learn in float32."""
    policy = precision_policy(config.training.mixed_precision)
    return "float32" if policy == "mixed_float16" else policy


def _digest(pairs: TextPairs, config: Config) -> str:
    """Says all that the weights depend on."""
    digest = hashlib.sha256(config.adaptation.model_dump_json().encode())
    digest.update(_policy(config).encode())
    digest.update(fingerprint(encoder_source(config.encoder), seed=config.seed, of=config.encoder.weights).encode())
    digest.update(pairs.digest().encode())
    if config.adaptation.distil:
        digest.update(config.search.rerank.model_dump_json().encode())
    return digest.hexdigest()[:32]
