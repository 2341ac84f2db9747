"""What must win: an item id, a model number, a brand, a whole title, a phrase of a title."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline import schema
from trainer.index import best
from trainer.lexical.lines import Lines, put_together
from trainer.lexical.postings import plain_postings
from trainer.lexical.texts import ItemTexts
from trainer.lexical.words import codes, condensed

Rows = npt.NDArray[np.int64]

_BATCH = 4096
_UNKNOWN = -1
_WHOLE, _PART = "=", "#"  # keys of whole queries, and of single words in them
# A letter before a digit: "wh1000xm4", not "64gb"; or a long number, as article numbers are.
_CODE = r"[\p{L}\p{N}]*\p{L}[\p{L}\p{N}]*\p{N}[\p{L}\p{N}]*|\p{N}{6,}"
_SHORTEST_CODE = 4
TITLE_WORDS, PHRASE_WORDS = 32, 8
_LOOKED_AT = 256
_NO_WORD = -3


class ExactKeys(tf.Module):
    """Items by keys that name them.

    Args:
      texts: of the items.
    """

    def __init__(self, texts: ItemTexts) -> None:
        super().__init__(name="exact_keys")
        spec = tf.TensorSpec([None], tf.string)
        function = tf.function(_item_keys, autograph=False).get_concrete_function(spec, spec, spec)
        numbers: dict[bytes, int] = {}
        pairs: set[tuple[int, int]] = set()
        named = (texts.ids, texts.column("title"), texts.column(schema.ITEM_BRAND))
        for start in range(0, len(texts.ids), _BATCH):
            columns = [tf.constant(each[start : start + _BATCH].tolist()) for each in named]
            keys = function(*columns)
            for row, key in zip(keys.rows.numpy(), keys.values.numpy(), strict=True):
                pairs.add((numbers.setdefault(key, len(numbers)), start + int(row)))
        self._postings = plain_postings(sorted(pairs), len(numbers), items=len(texts.ids), name="exact")
        table = tf.lookup.KeyValueTensorInitializer(
            tf.constant(list(numbers) or [b""]), tf.constant(list(numbers.values()) or [_UNKNOWN], tf.int64)
        )
        self._numbers = tf.lookup.StaticHashTable(table, _UNKNOWN)

    def found(self, queries: tf.Tensor) -> tf.Tensor:
        """Tells which items queries [batch] name: bool [batch, items]."""
        keys = put_together(_whole(queries), _parts(queries))
        return self._postings.scores(keys.with_values(self._numbers.lookup(keys.values))) > 0


class Phrases(tf.Module):
    """Titles in which the words of a query stand next to each other.

    Args:
      titles: int64 stems of each title, in their order.
    """

    def __init__(self, titles: Sequence[Rows]) -> None:
        super().__init__(name="phrases")
        table = np.full((len(titles), TITLE_WORDS + PHRASE_WORDS), _NO_WORD, np.int32)
        for row, stems in enumerate(titles):
            table[row, : min(len(stems), TITLE_WORDS)] = stems[:TITLE_WORDS]
        self._titles = tf.Variable(table, trainable=False, name="titles")
        self._count = min(_LOOKED_AT, len(titles))

    def found(self, stems: Lines, scores: tf.Tensor) -> tf.Tensor:
        """Looks at the titles that have most of the words.

        Args:
          stems: int64, of each query, negative for unknown words; a phrase has from two to `PHRASE_WORDS`.
          scores: [batch, items], which titles to look at.

        Returns:
          bool [batch, items].
        """
        rows = best(scores, self._count)
        titles = tf.gather(self._titles, tf.maximum(rows, 0))
        lengths, wanted = stems.lengths(), _first_words(stems)
        here = tf.ones_like(titles[:, :, :TITLE_WORDS], tf.bool)
        for place in range(PHRASE_WORDS):
            over = (lengths <= place)[:, tf.newaxis, tf.newaxis]
            here &= over | tf.equal(titles[:, :, place : TITLE_WORDS + place], wanted[:, place, tf.newaxis, tf.newaxis])
        phrase = (lengths > 1) & (lengths <= PHRASE_WORDS) & _all_known(stems)
        hits = tf.reduce_any(here, axis=2) & phrase[:, tf.newaxis] & (rows >= 0)
        places = tf.where(hits)
        cells = tf.stack([places[:, 0], tf.gather_nd(rows, places)], axis=1)
        marks = tf.ones(tf.shape(cells)[:1], tf.int32)
        return tf.scatter_nd(cells, marks, tf.shape(scores, tf.int64)) > 0


def _first_words(stems: Lines) -> tf.Tensor:
    """Writes the first `PHRASE_WORDS` of each line into a table, int32 [count, PHRASE_WORDS]."""
    cells = tf.stack([stems.rows, stems.places()], axis=1)
    first = tf.where(cells[:, 1] < PHRASE_WORDS)[:, 0]
    table = tf.fill(tf.stack([stems.count, PHRASE_WORDS]), _NO_WORD)
    found = tf.cast(tf.gather(stems.values, first), tf.int32)
    return tf.tensor_scatter_nd_update(table, tf.gather(cells, first), found)


def _all_known(stems: Lines) -> tf.Tensor:
    return tf.math.unsorted_segment_min(stems.values, stems.rows, stems.count) >= 0


def _item_keys(ids: tf.Tensor, titles: tf.Tensor, brands: tf.Tensor) -> Lines:
    return put_together(_whole(ids), _whole(titles), _whole(brands), _parts(ids), _parts(titles))


def _whole(texts: tf.Tensor) -> Lines:
    found = condensed(texts)
    size = tf.size(texts, tf.int64)
    return Lines(tf.strings.join([_WHOLE, found]), tf.range(size), size).where(tf.not_equal(found, ""))


def _parts(texts: tf.Tensor) -> Lines:
    found = codes(texts)
    named = tf.strings.regex_full_match(found.values, _CODE)
    named &= tf.strings.length(found.values, unit="UTF8_CHAR") >= _SHORTEST_CODE
    return found.with_values(tf.strings.join([_PART, found.values])).where(named)
