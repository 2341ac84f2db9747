"""Reads a word that no item has as the nearest one that some have."""

from __future__ import annotations

import math

import tensorflow as tf

from trainer.lexical.vocabulary import UNKNOWN, Vocabulary

SHORTEST, LONGEST = 4, 24  # characters of words that are read anew
_RARE = 2  # words that come less often are no better known than the typed one
_SAME_START = 2.0  # in natural logarithms of counts: few mistype the first letter
_NONE = -1


class Spelling(tf.Module):
    """Finds words that differ by one letter missing, added, exchanged or swapped with its neighbour.

    Two words differ by so little only if they are equal after at most one letter is left out of each (W. Garbe,
    SymSpell, 2012): the table holds the items' words and all that is left of them, the commonest word for each.

    Args:
      vocabulary: the words of the items.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__(name="spelling")
        kept = [
            place
            for place, (word, count) in enumerate(zip(vocabulary.words, vocabulary.counts, strict=True))
            if count >= _RARE and word.isalpha() and SHORTEST <= len(word) <= LONGEST
        ]
        kept.sort(key=lambda place: int(vocabulary.counts[place]))
        names = [vocabulary.words[place] for place in kept]
        places: dict[str, int] = {}
        for place, name in enumerate(names):
            places.update(dict.fromkeys((name, *_shortened(name)), place))
        self._words = tf.Variable([*names, ""], trainable=False, name="words")
        logs = [math.log(int(vocabulary.counts[place])) for place in kept]
        self._logs = tf.Variable([*logs, -math.inf], trainable=False, dtype=tf.float32, name="log_counts")
        keys, values = tf.constant(list(places) or [""]), tf.constant(list(places.values()) or [_NONE], tf.int64)
        self._places = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), _NONE)

    def corrected(self, found: tf.Tensor, stems: tf.Tensor) -> tf.Tensor:
        """Replaces unknown words.

        Args:
          found: string [n], words.
          stems: int64 [n], what they are known as.

        Returns:
          string [n]; a word without a near one stays as it is.
        """
        size = tf.strings.length(found, unit="UTF8_CHAR")
        spelled = tf.strings.regex_full_match(found, r"\p{L}+")
        wanted = tf.where(tf.equal(stems, UNKNOWN) & spelled & (size >= SHORTEST) & (size <= LONGEST))

        def correct() -> tf.Tensor:
            return tf.tensor_scatter_nd_update(found, wanted, self._nearest(tf.gather(found, wanted[:, 0])))

        return tf.cond(tf.shape(wanted)[0] > 0, correct, lambda: found)

    def _nearest(self, unknown: tf.Tensor) -> tf.Tensor:
        near = self._places.lookup(tf.concat([unknown[:, tf.newaxis], _all_shortened(unknown)], axis=1))
        near = tf.where(near >= 0, near, tf.shape(self._logs, tf.int64)[0] - 1)
        words = tf.gather(self._words, near)
        first = tf.strings.substr(unknown, 0, 1, unit="UTF8_CHAR")[:, tf.newaxis]
        # Of "" no letter can be taken.
        starts = tf.strings.substr(tf.strings.join([words, " "]), 0, 1, unit="UTF8_CHAR")
        values = tf.gather(self._logs, near) + tf.where(tf.equal(starts, first), _SAME_START, 0.0)
        best = tf.gather(words, tf.argmax(values, axis=1), batch_dims=1)
        return tf.where(tf.equal(best, ""), unknown, best)


def _shortened(word: str) -> list[str]:
    return [word[:place] + word[place + 1 :] for place in range(len(word))]


def _all_shortened(found: tf.Tensor) -> tf.Tensor:
    """Leaves one letter out of words [n]: [n, LONGEST], the last letter again where a word is shorter."""
    last = tf.strings.length(found, unit="UTF8_CHAR")[:, tf.newaxis] - 1
    places = tf.minimum(tf.range(LONGEST)[tf.newaxis], last)
    wide = tf.repeat(found[:, tf.newaxis], LONGEST, axis=1)
    starts = tf.strings.substr(wide, tf.zeros_like(places), places, unit="UTF8_CHAR")
    ends = tf.strings.substr(wide, places + 1, tf.fill(tf.shape(places), LONGEST), unit="UTF8_CHAR")
    return tf.strings.join([starts, ends])
