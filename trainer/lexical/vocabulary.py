"""The words of the items and their stems; the graph looks words up where a stemmer cannot run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import Stemmer
import tensorflow as tf
from bm25s.stopwords import STOPWORDS_EN

from pipeline.config import SearchConfig
from trainer.lexical.lines import Lines
from trainer.lexical.words import words

Rows = npt.NDArray[np.int64]
_Split = Callable[[tf.Tensor], Lines]

UNKNOWN, STOP_WORD = -1, -2
_BATCH = 1024  # texts that one thread splits at once
_ENDINGS = 24  # the commonest of the catalogue, in which customers may write any of its words


@dataclass(frozen=True)
class Vocabulary:
    """Words by number.

    Args:
      words: str [words], as the items have them, stop words left out.
      counts: int64 [words], how often.
      stems: int64 [words], the stem's number.
      size: how many stems.
      inflections: further words and the number of their stem.
      stop_words: left out of texts and queries.
    """

    words: list[str]
    counts: Rows
    stems: Rows
    size: int
    inflections: dict[str, int]
    stop_words: frozenset[str]


def split_columns(
    columns: Mapping[str, npt.NDArray[np.object_]], config: SearchConfig
) -> tuple[Vocabulary, dict[str, list[Rows]]]:
    """Splits the items' texts into words, by the graph's own ops.

    Args:
      columns: str [items] by name, at least one.
      config: stemmer and stop words.

    Returns:
      The vocabulary, and for each column and item the stems of its words, in their order.
    """
    # Traced once for all columns; TensorFlow lets other threads run meanwhile.
    function = tf.function(words, autograph=False).get_concrete_function(tf.TensorSpec([None], tf.string))
    with ThreadPoolExecutor() as pool:
        split = {name: _split(texts, function, pool) for name, texts in columns.items()}
    encoded = pa.concat_arrays([flat for flat, _ in split.values()]).dictionary_encode()
    names = [each.decode() for each in encoded.dictionary.to_pylist()]
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    vocabulary, places = _number(names, np.bincount(codes, minlength=len(names)), config)
    stems = np.where(places >= 0, vocabulary.stems[places] if vocabulary.size else STOP_WORD, STOP_WORD)[codes]
    found, start = {}, 0
    for name, (flat, ends) in split.items():
        lines = np.split(stems[start : start + len(flat)], ends)
        found[name] = [line[line >= 0] for line in lines]
        start += len(flat)
    return vocabulary, found


class WordTable(tf.Module):
    """Finds stems in the graph.

    Args:
      vocabulary: what is known.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__(name="word_table")
        known = dict.fromkeys(vocabulary.stop_words, STOP_WORD)
        known |= vocabulary.inflections
        known |= dict(zip(vocabulary.words, vocabulary.stems.tolist(), strict=True))
        keys, values = tf.constant(list(known) or [""]), tf.constant(list(known.values()) or [UNKNOWN], tf.int64)
        self._table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), UNKNOWN)

    def stems(self, found: tf.Tensor) -> tf.Tensor:
        """Looks words [n] up: int64 [n], the stem, `UNKNOWN` or `STOP_WORD`."""
        return self._table.lookup(found)


def _split(texts: npt.NDArray[np.object_], split: _Split, pool: ThreadPoolExecutor) -> tuple[pa.Array, Rows]:
    """Answers all words one after the other, and where each but the first text starts."""

    def split_batch(start: int) -> tuple[pa.Array, Rows]:
        found = split(tf.constant(texts[start : start + _BATCH].tolist()))
        return pa.array(found.values.numpy(), pa.binary()), found.lengths().numpy()

    flat, lengths = zip(*pool.map(split_batch, range(0, len(texts), _BATCH)), strict=True)
    return pa.concat_arrays(flat), np.cumsum(np.concatenate(lengths))[:-1]


def _number(names: Sequence[str], counts: Rows, config: SearchConfig) -> tuple[Vocabulary, Rows]:
    """Makes the vocabulary; answers also the place of each name in it, -1 for a stop word."""
    stop_words = frozenset(STOPWORDS_EN) if config.stop_words else frozenset()
    kept = [place for place, name in enumerate(names) if name not in stop_words]
    found = [names[place] for place in kept]
    stemmed = found if config.stemmer is None else Stemmer.Stemmer(config.stemmer).stemWords(found)
    numbers = {stem: number for number, stem in enumerate(dict.fromkeys(stemmed))}
    stems = np.array([numbers[stem] for stem in stemmed], np.int64)
    further = {} if config.stemmer is None else _inflections(found, stemmed, numbers, config.stemmer)
    places = np.full(len(names), -1, np.int64)
    places[kept] = np.arange(len(kept))
    return Vocabulary(found, counts[kept], stems, len(numbers), further, stop_words), places


def _inflections(names: Sequence[str], stemmed: Sequence[str], numbers: dict[str, int], stemmer: str) -> dict[str, int]:
    """Writes each stem with the endings that are common here, and keeps what the stemmer leads back to it.

    So a query finds "slipper" though the items only say "slippers", without a stemmer in the graph.
    """
    starts = [_shared(name, stem) for name, stem in zip(names, stemmed, strict=True)]
    common = Counter(name[len(start) :] for name, start in zip(names, starts, strict=True))
    endings = [ending for ending, _ in common.most_common(_ENDINGS)]
    known, found = set(names), {}
    for start, stem in dict.fromkeys(zip(starts, stemmed, strict=True)):
        if len(start) > 2 and start.isalpha():
            found.update({start + ending: stem for ending in endings if start + ending not in known})
    candidates = list(found)
    again = Stemmer.Stemmer(stemmer).stemWords(candidates)
    return {name: numbers[stem] for name, stem in zip(candidates, again, strict=True) if stem == found[name]}


def _shared(name: str, stem: str) -> str:
    """Answers with what both begin."""
    if name.startswith(stem):
        return stem
    return name[: next(place for place, pair in enumerate(zip(name, stem + " ", strict=False)) if pair[0] != pair[1])]
