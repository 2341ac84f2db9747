"""Search by words: what of the items a query speaks of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pipeline.config import SearchConfig
from trainer.lexical.exact import ExactKeys, Phrases
from trainer.lexical.fusion import Found
from trainer.lexical.lines import Lines
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
      words: string, of each query, as they are read, without stop words.
      stems: int64, of these words, negative for one that no item has.
    """

    texts: tf.Tensor
    words: Lines
    stems: Lines


class WordSearch(tf.Module):
    """Looks queries up in the items' texts.

    Args:
      config: how words are read and weighed.
      texts: of the items.
    """

    def __init__(self, config: SearchConfig, texts: ItemTexts) -> None:
        super().__init__(name="word_search")
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
        # What a text has, a text of more columns has, too.
        self._widest = [
            place
            for place, names in enumerate(texts.documents)
            if not any(set(names) < set(others) for others in texts.documents)
        ]
        self._exact, self._phrases = ExactKeys(texts), Phrases(columns.get("title", nothing))
        self._spelling = Spelling(vocabulary) if config.correct_spelling else None

    def read(self, queries: tf.Tensor) -> Query:
        """Splits queries, string [batch], into words and corrects those."""
        queries = shortened(queries)
        typed = words(queries)
        typed = read = typed.where(typed.places() < _MOST_WORDS)
        stems = self._table.stems(typed.values)
        if self._spelling is not None:
            read = typed.with_values(self._spelling.corrected(typed.values, stems))
            changed = tf.not_equal(read.values, typed.values)
            stems = tf.where(changed, self._table.stems(read.values), stems)
            slips = tf.math.unsorted_segment_sum(tf.cast(changed, tf.int32), typed.rows, typed.count)
            queries = tf.where(slips > 0, read.joined(), queries)
        kept = tf.not_equal(stems, STOP_WORD)
        return Query(queries, read.where(kept), read.with_values(stems).where(kept))

    @property
    def size(self) -> int:
        """How many texts words are looked up in."""
        return len(self._documents)

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
        by_words = tuple(_of_best(scores) for scores in documents)
        says = (query.stems.lengths() > 0) | tf.reduce_any(named, axis=1)
        return Found(by_words, named, says)

    def matched(self, query: Query, rows: tf.Tensor) -> tf.Tensor:
        """Says which words of the queries stand in the texts of items, in any of their forms.

        Args:
          query: the words.
          rows: int64 [batch, n], items; negative for none.

        Returns:
          string [batch, n], the words with spaces between them.
        """
        hits = [self._documents[place].speak_for(query.stems, rows) for place in self._widest]
        found = tf.where(tf.reduce_any(tf.stack(hits), axis=0), query.words.values[:, tf.newaxis], "")
        joined = query.words.with_values(found).joined()
        return tf.strings.strip(tf.strings.regex_replace(joined, " +", " "))


def _of_best(scores: tf.Tensor) -> tf.Tensor:
    """Divides scores [batch, items] by the highest of each line; zeros stay."""
    return tf.math.divide_no_nan(scores, tf.reduce_max(scores, axis=1, keepdims=True))
