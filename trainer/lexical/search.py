"""Search by words: what of the items a query speaks of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pipeline.config import SearchConfig
from trainer.lexical.exact import ExactKeys, Phrases
from trainer.lexical.fusion import Found, Fusion
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
    """Looks queries up in the items' texts.

    Args:
      config: how words are read and weighed.
      texts: of the items.
    """

    def __init__(self, config: SearchConfig, texts: ItemTexts) -> None:
        super().__init__(name="word_search")
        self.fusion = Fusion(config)
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

    def find(self, query: Query, typed: tf.Tensor) -> Found:
        """Looks queries up.

        Args:
          query: the words.
          typed: string [batch], what was typed, for names that are no words.
        """
        documents = self.document_scores(query)
        named = self._exact.found(shortened(typed)) | self._phrases.found(query.stems, documents[0])
        by_words = sum(_of_best(scores) for scores in documents) / len(documents)
        says = (query.stems.row_lengths() > 0) | tf.reduce_any(named, axis=1)
        return Found(by_words, named, says)


def _of_best(scores: tf.Tensor) -> tf.Tensor:
    """Divides scores [batch, items] by the highest of each line; zeros stay."""
    return tf.math.divide_no_nan(scores, tf.reduce_max(scores, axis=1, keepdims=True))
