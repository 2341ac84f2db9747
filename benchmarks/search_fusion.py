"""Weights of words and meaning beside the configuration's: by cross-validation, or learned without judgments."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import tensorflow as tf

from benchmarks.runs import Trained
from benchmarks.search_judgments import METRICS, NDCG, RECALL, Judgments
from benchmarks.search_rivals import ZeroShot
from pipeline.config import Config, SearchConfig
from trainer.catalogue import Catalogue
from trainer.index import ExactIndex
from trainer.lexical.fusion import Fusion, FusionWeights
from trainer.lexical.search import WordSearch
from trainer.lexical.texts import read_item_texts
from trainer.search_weights import learned_weights

Scores = npt.NDArray[np.float32]
Measured = Mapping[str, npt.NDArray[np.float64]]

FOLDS = 5
CROSS_VALIDATED = f"weights cross-validated, {FOLDS} folds"
GRID = {"words_weight": (0.2, 0.3, 0.4), "feedback_items": (0, 3, 5, 10), "feedback_weight": (0.5, 1.0, 2.0)}


def search_settings() -> Iterator[SearchConfig]:
    """Lists the settings that cross-validation chooses from; without feedback its weight means nothing."""
    for values in itertools.product(*GRID.values()):
        chosen = dict(zip(GRID, values, strict=True))
        if chosen["feedback_items"] or chosen["feedback_weight"] == GRID["feedback_weight"][0]:
            yield SearchConfig.model_validate(chosen)


class EncoderVectors:
    """The encoder's vectors in place of the towers'.

    Args:
      encoder: the pretrained one.
      item_vectors: [items, width], of all their text.
    """

    def __init__(self, encoder: ZeroShot, item_vectors: Scores) -> None:
        self._encoder, self.item_vectors = encoder, item_vectors

    def queries(self, texts: list[str]) -> Scores:
        """Encodes searches, [n, width]."""
        return self._encoder.queries(texts)

    def items(self, rows: npt.NDArray[np.int64], texts: list[str]) -> Scores:
        """Encodes other texts of the items in `rows`, [n, width]."""
        del rows
        return self._encoder.items(texts)


class Fusions:
    """Measures weights by the encoder's vectors.

    Args:
      judged: the queries.
      trained: whose tables hold the items.
      config: of the shop.
      encoder: the pretrained one.
      vectors: of the judged queries and of the items.
    """

    def __init__(
        self, judged: Judgments, trained: Trained, config: Config, encoder: ZeroShot, vectors: tuple[Scores, Scores]
    ) -> None:
        self._judged, self._trained, self._config = judged, trained, config
        self._encoder, self._vectors, self._index = encoder, vectors, ExactIndex(vectors[1])
        self._ids = read_ids(trained.tables)
        texts = read_item_texts(trained.tables, self._ids, config.search)
        if texts is None:
            raise SystemExit(f"{trained.tables}: no item has a text to search in")
        words, typed = WordSearch(config.search, texts), tf.constant(judged.queries)
        self._size, self._found = words.size, words.find(words.read(typed), typed)

    def configured(self) -> Measured:
        """Measures the weights of the configuration."""
        return self._measure(self._config.search)

    def measured(self, seed: int) -> dict[str, Measured]:
        """Measures both ways of choosing; prints the weights that are learned."""
        weights = self._learned()
        print(f"Learned: {weights}\n")
        return {
            CROSS_VALIDATED: self._cross_validated(seed),
            "weights learned from the shop's texts": self._measure(self._config.search, weights),
        }

    def _measure(self, settings: SearchConfig, weights: FusionWeights | None = None) -> Measured:
        fusion = Fusion(settings, weights or FusionWeights.fixed(settings, self._size))
        vectors = tf.constant(self._vectors[0])
        relevance = fusion.relevance(self._found, vectors, self._index)
        return self._judged.measure(fusion.scores(relevance, self._found, vectors, self._index).numpy())

    def _cross_validated(self, seed: int) -> Measured:
        each = [self._measure(settings) for settings in search_settings()]
        folds = np.random.default_rng(seed).permutation(len(self._judged.queries)) % FOLDS
        values = {metric: np.zeros(len(folds)) for metric in METRICS}
        for fold in range(FOLDS):
            held = folds == fold
            best = max(each, key=lambda measured: measured[NDCG][~held].mean() + measured[RECALL][~held].mean())
            for metric in METRICS:
                values[metric][held] = best[metric][held]
        return values

    def _learned(self) -> FusionWeights:
        order, catalogue = np.argsort(self._ids), named_items(self._ids)
        vectors = EncoderVectors(self._encoder, self._vectors[1][order])
        return learned_weights(self._config, self._trained.tables, catalogue, vectors)


def read_ids(tables: str) -> npt.NDArray[np.object_]:
    """Reads the items' ids, in the order of their table."""
    table = pq.read_table(Path(tables, "items.parquet"), columns=["item_id"])
    return np.array(table["item_id"].to_pylist(), object)


def named_items(ids: npt.NDArray[np.object_]) -> Catalogue:
    """Makes a catalogue of which nothing but the ids is known."""
    known = np.sort(ids)
    return Catalogue(known, known, None, {})
