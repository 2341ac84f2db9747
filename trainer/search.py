"""What a search asks for and finds: words, meaning, names, and who asks, as one score for each item."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import tensorflow as tf

from pipeline import schema
from pipeline.config import SearchConfig
from trainer import contract
from trainer.index import ExactIndex
from trainer.lexical.fusion import Found, Fusion, FusionWeights
from trainer.lexical.search import Query, WordSearch
from trainer.ranking_stage import Request
from trainer.request_reader import RequestReader, Tensors
from trainer.reranking.reranker import Reranker


class Asked(NamedTuple):
    """Searches as they were read.

    Args:
      request: with all that is known of who asks.
      vectors: [batch, dim], what the towers make of the queries alone.
      query: the words; None where the model looks no words up.
      found: what words say.
    """

    request: Request
    vectors: tf.Tensor
    query: Query | None
    found: Found


@dataclass(frozen=True)
class LearnedSearch:
    """What search has learned beside the towers.

    Args:
      weights: of words and meaning; None takes the configuration's.
      reranker: orders the best items anew; None leaves them as they are.
    """

    weights: FusionWeights | None = None
    reranker: Reranker | None = None


class Search(tf.Module):
    """Finds items by what was typed.

    Args:
      config: of search.
      words: looks words up; None leaves it to the towers.
      requests: reads requests.
      index: the items' vectors.
      learned: beside the towers; None is nothing.

    Raises:
      ValueError: if there are weights for another number of texts.
    """

    def __init__(
        self,
        config: SearchConfig,
        *,
        words: WordSearch | None,
        requests: RequestReader,
        index: ExactIndex,
        learned: LearnedSearch | None = None,
    ) -> None:
        super().__init__(name="search")
        self._words, self._requests, self._index = words, requests, index
        self._reranker = None if learned is None else learned.reranker
        weights = None if learned is None else learned.weights
        texts = 0 if words is None else words.size
        if weights is not None and len(weights.texts) != texts:
            raise ValueError(f"expected weights of the {texts} texts that are searched, got {len(weights.texts)}")
        self._fusion = Fusion(config, weights or FusionWeights.fixed(config, texts))

    def read(self, inputs: Tensors) -> Asked:
        """Reads searches from the raw inputs of the signature."""
        typed = inputs[schema.RAW_QUERY]
        if self._words is None:
            request, vectors = self._requests.read_search(inputs)
            return Asked(request, vectors, None, self._nothing(typed))
        query = self._words.read(typed)
        request, vectors = self._requests.read_search({**inputs, schema.RAW_QUERY: query.texts})
        return Asked(request, vectors, query, self._words.find(query, typed))

    def scores(self, asked: Asked, allowed: tf.Tensor) -> tf.Tensor:
        """Scores all items, [batch, items]; the best of those that are allowed, bool of that shape, are read again."""
        relevance = self._fusion.relevance(asked.found, asked.vectors, self._index)
        if self._reranker is not None:
            rerank = partial(self._reranker, relevance, allowed, asked.request.features[schema.FEATURE_QUERY_TOKENS])
            relevance = tf.cond(tf.reduce_any(asked.found.says), rerank, lambda: relevance)
        return self._fusion.scores(relevance, asked.found, asked.vectors, self._index, asked.request.queries)

    def relevant(self, asked: Asked) -> tf.Tensor:
        """Tells which items the result sets hold, whoever asks: bool [batch, items]."""
        relevance = self._fusion.relevance(asked.found, asked.vectors, self._index)
        return self._fusion.relevant(relevance, asked.found)

    def reasons(self, asked: Asked, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """Says why items are answered.

        Args:
          asked: the searches.
          rows: int64 [batch, n], items; -1 pads.

        Returns:
          `similarities`, `matched_words` and `named` of the contract, [batch, n] each.
        """
        named = tf.gather(asked.found.named, tf.maximum(rows, 0), batch_dims=1) & (rows >= 0)
        matched = tf.fill(tf.shape(rows), "")
        if self._words is not None and asked.query is not None:
            matched = self._words.matched(asked.query, rows)
        return {
            contract.SIMILARITIES: tf.where(rows >= 0, self._index.scores_of(asked.vectors, rows), 0.0),
            contract.MATCHED_WORDS: matched,
            contract.NAMED: tf.cast(named, tf.int32),
        }

    def _nothing(self, typed: tf.Tensor) -> Found:
        """What words say where none are looked up."""
        shape = tf.stack([tf.shape(typed)[0], self._index.size])
        return Found((), tf.zeros(shape, tf.bool), tf.not_equal(tf.strings.strip(typed), ""))
