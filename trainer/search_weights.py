"""Learns how much words and meaning count in a shop's search, with the towers that its model has."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline import schema
from pipeline.config import Config
from trainer.adaptation.pairs import plain, read_clicks
from trainer.catalogue import Catalogue
from trainer.index import ExactIndex
from trainer.lexical.fusion import Fusion, FusionWeights
from trainer.lexical.fusion_evidence import Searches, gather_evidence
from trainer.lexical.fusion_fitting import fit
from trainer.lexical.made_searches import made_searches, taken, without
from trainer.lexical.search import WordSearch
from trainer.lexical.texts import ItemTexts, read_item_texts
from trainer.models.two_tower import TwoTower

_LOG = logging.getLogger(__name__)

_ITEMS = 2048  # of the catalogue, at most, that searches are asked of
_SEEN_SHARE = 0.1  # of the made searches whose words stay in the items' texts

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Encode = Callable[[list[str]], Floats]


class SearchVectors(Protocol):
    """What makes vectors of length 1 of searches and items, and those of the catalogue, [items, dim]."""

    item_vectors: Floats

    def queries(self, texts: list[str]) -> Floats:
        """Answers the vectors of searches of which nothing but the words is known, [n, dim]."""

    def items(self, rows: Rows, texts: list[str]) -> Floats:
        """Answers the vectors of items in `rows` as if they had other texts, [n, dim]."""


class TowerVectors:
    """Vectors by the towers.

    Args:
      model: the trained towers.
      catalogue: the items.
      item_vectors: [items, dim], what the towers make of them.
      history_length: of requests.
      encode: turns texts into the encoder's vectors, [n, width].
    """

    def __init__(
        self, model: TwoTower, catalogue: Catalogue, item_vectors: Floats, *, history_length: int, encode: Encode
    ) -> None:
        self._model, self._catalogue, self._history_length = model, catalogue, history_length
        self._encode, self.item_vectors = encode, item_vectors

    def queries(self, texts: list[str]) -> Floats:
        """Answers the vectors of searches of which nothing but the words is known, [n, dim]."""
        count = len(texts)
        nobody = {name: tf.zeros([count, 1], tf.int64) for name in self._model.query_feature_names}
        history = tf.zeros([count, self._history_length], tf.int64)
        nobody |= {schema.FEATURE_HISTORY_TYPES: history, schema.FEATURE_HISTORY_AGES: history}
        text = tf.constant(self._encode(texts))
        found: Floats = self._model.query_vectors(nobody, history, text, tf.constant(self.item_vectors)).numpy()
        return found

    def items(self, rows: Rows, texts: list[str]) -> Floats:
        """Answers the vectors of items in `rows` as if they had other texts, [n, dim]."""
        features = {name: tf.constant(values[rows]) for name, values in self._catalogue.features.items()}
        found: Floats = self._model.item_vectors(features, tf.constant(rows), tf.constant(self._encode(texts))).numpy()
        return found


def learned_weights(config: Config, tables_dir: str, catalogue: Catalogue, towers: SearchVectors) -> FusionWeights:
    """Learns the weights from searches made of titles, which the items' texts then lack, and from real ones.

    Args:
      config: of the shop, which looks words up.
      tables_dir: the tables; of the events, what comes before the validation window.
      catalogue: the items.
      towers: of the model.

    Returns:
      The weights; the configuration's where there is nothing to learn from.
    """
    texts = read_item_texts(tables_dir, list(catalogue.ids), config.search)
    if texts is None:
        return FusionWeights.fixed(config.search, 0)
    clicks = read_clicks(texts, catalogue, tables_dir, config)
    generator = np.random.default_rng(config.seed)
    newest = np.arange(len(clicks.anchors))[-config.search.fusion_queries :]
    drawn = generator.permutation(len(catalogue))[: max(1, _ITEMS - len(newest))]
    rows = np.union1d(drawn, clicks.rows[newest])
    lesson = _Lesson(config, taken(texts, rows), rows, towers)
    chosen = [clicks.anchors[place] for place in newest]
    lesson.add_real(chosen, np.searchsorted(rows, clicks.rows[newest]), clicks.weights[newest])
    lesson.add_made()
    return lesson.learn()


class _Lesson:
    """Searches to learn from, each in the catalogue that it is asked of."""

    def __init__(self, config: Config, texts: ItemTexts, rows: Rows, towers: SearchVectors) -> None:
        self._config, self._texts, self._rows, self._towers = config, texts, rows, towers
        self._parts: list[tuple[Searches, WordSearch, ExactIndex]] = []

    def add_real(self, queries: list[str], places: Rows, weights: Floats) -> None:
        """Adds searches [n] and what was chosen."""
        if queries:
            index = ExactIndex(self._towers.item_vectors[self._rows])
            self._parts.append(
                (self._searches(queries, places, weights), WordSearch(self._config.search, self._texts), index)
            )

    def add_made(self) -> None:
        """Adds searches made of titles; a few of them may find their words where they came from."""
        search, anchor = self._config.search, self._config.adaptation.anchor
        read = [name for name in self._config.features.item.text if name != anchor and name in self._texts.columns]
        queries, places = made_searches(self._texts, anchor, search.fusion_queries, self._config.seed)
        if not read or not queries:
            return
        seen = round(_SEEN_SHARE * len(queries))
        self.add_real(queries[:seen], places[:seen], np.ones(seen, np.float32))
        joined = [" ".join(parts) for parts in zip(*(self._texts.column(name) for name in read), strict=True)]
        index = ExactIndex(self._towers.items(self._rows, plain(np.array(joined, object)).tolist()))
        words = WordSearch(search, without(self._texts, anchor))
        ones = np.ones(len(queries) - seen, np.float32)
        self._parts.append((self._searches(queries[seen:], places[seen:], ones), words, index))

    def learn(self) -> FusionWeights:
        """Fits the weights."""
        search = self._config.search
        start = FusionWeights.fixed(search, len(self._texts.documents))
        if not self._parts:
            _LOG.warning("search.fusion: neither searches nor titles with other texts to learn from; fixed weights")
            return start
        fusion = Fusion(search, start)
        weights = fit([gather_evidence(*part, fusion) for part in self._parts], start)
        count = sum(len(searches) for searches, _, _ in self._parts)
        _LOG.info("search.fusion: learned from %d searches: %s", count, weights)
        return weights

    def _searches(self, queries: list[str], places: Rows, weights: Floats) -> Searches:
        return Searches(queries, self._towers.queries(queries), places, weights)
