"""Search by words and by meaning: one score for each item."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pipeline.config import SearchConfig
from trainer.index import ExactIndex, best
from trainer.lexical.exact import ExactKeys, Phrases
from trainer.lexical.postings import bm25_postings
from trainer.lexical.spelling import Spelling
from trainer.lexical.texts import ItemTexts
from trainer.lexical.vocabulary import STOP_WORD, WordTable, split_columns
from trainer.lexical.words import shortened, words

_MOST_WORDS = 64  # of a query


class Query(NamedTuple):
    """What was typed.

    Args:
      texts: string [batch], cut to what is read; misspelt words are replaced.
      stems: int64 [batch, (words)], without stop words, negative for a word that no item has.
    """

    texts: tf.Tensor
    stems: tf.RaggedTensor


class WordSearch(tf.Module):
    """Looks queries up in the items' texts, and joins that with what the towers say.

    Args:
      config: the weights.
      texts: of the items.
    """

    def __init__(self, config: SearchConfig, texts: ItemTexts) -> None:
        super().__init__(name="word_search")
        self._config = config
        vocabulary, columns = split_columns(texts.columns, config)
        nothing = [np.zeros(0, np.int64)] * len(texts.ids)
        self._table = WordTable(vocabulary)
        self._documents = [
            bm25_postings(
                [np.concatenate(parts) for parts in zip(*(columns[name] for name in names), strict=True)],
                vocabulary.size,
                k1=config.k1,
                b=config.b,
                name=f"text_{place}",
            )
            for place, names in enumerate(texts.documents)
        ]
        self._exact, self._phrases = ExactKeys(texts), Phrases(columns.get("title", nothing))
        self._spelling = Spelling(vocabulary) if config.correct_spelling else None

    def read(self, queries: tf.Tensor) -> Query:
        """Splits queries, string [batch], into words and corrects those."""
        queries = shortened(queries)
        typed = words(queries)[:, :_MOST_WORDS]
        stems = self._table.stems(typed.flat_values)
        if self._spelling is not None:
            read = self._spelling.corrected(typed.flat_values, stems)
            stems = tf.where(tf.equal(read, typed.flat_values), stems, self._table.stems(read))
            read = typed.with_flat_values(read)
            changed = tf.reduce_any(tf.not_equal(read, typed), axis=1)
            queries = tf.where(changed, tf.strings.reduce_join(read, axis=1, separator=" "), queries)
        kept = typed.with_flat_values(tf.not_equal(stems, STOP_WORD))
        return Query(queries, tf.ragged.boolean_mask(typed.with_flat_values(stems), kept))

    def document_scores(self, query: Query) -> list[tf.Tensor]:
        """Answers BM25 of each text, float32 [batch, items] each."""
        return [each.scores(query.stems) for each in self._documents]

    def fused(self, query: Query, typed: tf.Tensor, vectors: tf.Tensor, index: ExactIndex) -> tf.Tensor:
        """Scores all items.

        Args:
          query: the words.
          typed: string [batch], what was typed, for names that are no words.
          vectors: [batch, dim], what the towers make of the requests.
          index: the items' vectors.

        Returns:
          float32 [batch, items]; between -1 and 1, and more where the query names an item.
        """
        config, towers = self._config, index.scores(vectors)
        documents = self.document_scores(query)
        by_words = sum(_of_best(scores) for scores in documents) / len(documents)
        scores = _weighed(by_words, towers, config.words_weight)
        if config.feedback_items:
            again = index.scores(self._drawn(vectors, scores, index))
            scores = _weighed(by_words, again, config.words_weight)
        named = self._exact.found(shortened(typed)) | self._phrases.found(query.stems, documents[0])
        scores += tf.where(named, config.exact_bonus, 0.0)
        # Where nothing was typed, the towers know as much as ever.
        return tf.where(
            (query.stems.row_lengths() > 0)[:, tf.newaxis] | tf.reduce_any(named, axis=1, keepdims=True), scores, towers
        )

    def _drawn(self, vectors: tf.Tensor, scores: tf.Tensor, index: ExactIndex) -> tf.Tensor:
        """Draws queries [batch, dim] towards the best items (Rocchio, Relevance feedback, 1971)."""
        rows = best(scores, tf.minimum(self._config.feedback_items, index.size))
        mean = tf.reduce_mean(tf.gather(index.vectors, tf.maximum(rows, 0)), axis=1)
        return tf.math.l2_normalize(vectors + self._config.feedback_weight * mean, axis=1)


def _weighed(by_words: tf.Tensor, by_meaning: tf.Tensor, weight: float) -> tf.Tensor:
    return weight * by_words + (1.0 - weight) * by_meaning


def _of_best(scores: tf.Tensor) -> tf.Tensor:
    """Divides scores [batch, items] by the highest of each line; zeros stay."""
    return tf.math.divide_no_nan(scores, tf.reduce_max(scores, axis=1, keepdims=True))
