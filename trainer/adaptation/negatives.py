"""Hard negatives: items that speak of the same words and are not the one meant."""

from __future__ import annotations

from collections.abc import Sequence

import bm25s
import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]


def alike_items(
    index: bm25s.BM25, anchors: Sequence[str], rows: Rows, usable: npt.NDArray[np.bool_], count: int
) -> Rows:
    """Finds the items whose texts have most of the words of each anchor, by BM25.

    Args:
      index: over one text for each item of the catalogue.
      anchors: n texts.
      rows: int64 [n], the item that each anchor is of; it is never found.
      usable: bool [items], which items may be found.
      count: how many at most.

    Returns:
      int64 [n, count], best first, -1 pads.
    """
    found = np.full((len(anchors), count), -1, np.int64)
    if not count:
        return found
    words = bm25s.tokenize(list(anchors), return_ids=False, stopwords="en", show_progress=False)
    for line, typed in enumerate(words):
        known = [word for word in typed if word in index.vocab_dict]
        if not known:
            continue
        scores = np.where(usable, index.get_scores(known), 0.0)
        scores[rows[line]] = 0.0
        most = min(count, len(scores))
        best = np.argpartition(-scores, most - 1)[:most]
        best = best[np.lexsort((best, -scores[best]))]
        best = best[scores[best] > 0]
        found[line, : len(best)] = best
    return found
