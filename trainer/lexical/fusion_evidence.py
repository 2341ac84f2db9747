"""What words and meaning say of searches whose answer is known: what weights are learned from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.index import ExactIndex
from trainer.lexical.fusion import Fusion
from trainer.lexical.search import WordSearch

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

_BATCH = 64


@dataclass(frozen=True)
class Searches:
    """Searches with one right answer each.

    Args:
      queries: n texts.
      vectors: [n, dim], what the towers make of them.
      rows: int64 [n], the items that are right.
      weights: [n], how much each counts.
    """

    queries: list[str]
    vectors: Floats
    rows: Rows
    weights: Floats

    def __len__(self) -> int:
        return len(self.queries)


@dataclass(frozen=True)
class Evidence:
    """What each part says of every item.

    Args:
      words: [n, texts, items], 0 to 1.
      meaning: [n, items], products of queries and items.
      feedback: [n, items], products of the best items' mean and all items; zeros without feedback.
      overlaps: [n], products of queries and these means.
      squares: [n], the means' products with themselves.
      rows: int64 [n], the items that are right.
      weights: [n], how much each search counts.
    """

    words: Floats
    meaning: Floats
    feedback: Floats
    overlaps: Floats
    squares: Floats
    rows: Rows
    weights: Floats


def gather_evidence(searches: Searches, words: WordSearch, index: ExactIndex, fusion: Fusion) -> Evidence:
    """Asks each part.

    Args:
      searches: with vectors of length 1.
      words: looks words up.
      index: the items' vectors.
      fusion: says which items are the best, for feedback.
    """
    parts = []
    for start in range(0, len(searches), _BATCH):
        part = slice(start, start + _BATCH)
        typed, vectors = tf.constant(searches.queries[part]), tf.constant(searches.vectors[part])
        found = words.find(words.read(typed), typed)
        mean = fusion.feedback(found, vectors, index)
        overlaps, squares = tf.reduce_sum(vectors * mean, axis=1), tf.reduce_sum(mean * mean, axis=1)
        said = tf.stack(found.by_words, axis=1), index.scores(vectors), index.scores(mean), overlaps, squares
        parts.append([each.numpy() for each in said])
    found, meaning, feedback, overlaps, squares = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Evidence(found, meaning, feedback, overlaps, squares, searches.rows, searches.weights)
