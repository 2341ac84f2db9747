"""Searches made of the items' own texts, as nobody has to judge them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trainer.lexical.texts import ItemTexts

Rows = npt.NDArray[np.int64]
Strings = npt.NDArray[np.object_]

FEWEST_WORDS, MOST_WORDS = 2, 5  # as customers type


def made_searches(texts: ItemTexts, anchor: str, count: int, seed: int) -> tuple[list[str], Rows]:
    """Draws words of titles that stand next to each other (Lee et al., Latent retrieval, 2019, the inverse cloze task).

    Args:
      texts: of the items; those that have nothing but the anchor make no search.
      anchor: the column that is drawn from.
      count: how many at most, each of another item.
      seed: of the draw.

    Returns:
      The searches, and the items that they are of, int64.
    """
    generator = np.random.default_rng(seed)
    others = without(texts, anchor).columns.values()
    there = np.array([bool("".join(parts).strip()) for parts in zip(*others, strict=True)], bool)
    rows = [row for row in generator.permutation(len(texts.ids)) if there[row] and texts.column(anchor)[row].strip()]
    queries = []
    for row in rows[:count]:
        words = str(texts.column(anchor)[row]).split()
        size = min(len(words), int(generator.integers(FEWEST_WORDS, MOST_WORDS + 1)))
        start = int(generator.integers(len(words) - size + 1))
        queries.append(" ".join(words[start : start + size]))
    return queries, np.array(rows[:count], np.int64)


def without(texts: ItemTexts, column: str) -> ItemTexts:
    """Empties a column; what is searched keeps its number of texts."""
    empty = np.full(len(texts.ids), "", object)
    return ItemTexts(texts.ids, {**texts.columns, column: empty}, texts.documents)


def taken(texts: ItemTexts, rows: Rows) -> ItemTexts:
    """Keeps the items in `rows`, in that order."""
    return ItemTexts(texts.ids[rows], {name: each[rows] for name, each in texts.columns.items()}, texts.documents)
