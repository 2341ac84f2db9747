"""Pairs of texts that belong together: two texts of one item, or a search and what was chosen."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import bm25s
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.config import Config
from trainer.adaptation.negatives import alike_items
from trainer.catalogue import Catalogue
from trainer.contract import learned_until
from trainer.lexical.texts import ItemTexts

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Strings = npt.NDArray[np.object_]

_FARTHEST = 10.0  # a click counts at most so many times as much as one at the top


@dataclass(frozen=True)
class TextPairs:
    """Pairs by the numbers of their texts.

    Args:
      texts: str [m], distinct.
      anchors: int64 [n], places in `texts`.
      positives: int64 [n], what belongs to them.
      negatives: int64 [n, pool], texts of items that are alike by their words; -1 pads.
      items: int64 [n], rows of the catalogue.
      negative_items: int64 [n, pool], rows of the negatives' items; -1 pads.
      weights: [n], how much each counts.
    """

    texts: Strings
    anchors: Rows
    positives: Rows
    negatives: Rows
    items: Rows
    negative_items: Rows
    weights: Floats

    def __len__(self) -> int:
        return len(self.anchors)

    def take(self, places: Rows) -> TextPairs:
        """Keeps the pairs at `places`, in that order."""
        names = ("anchors", "positives", "negatives", "items", "negative_items", "weights")
        return replace(self, **{name: getattr(self, name)[places] for name in names})

    def digest(self) -> str:
        """Says what the pairs are, in hexadecimal digits."""
        digest = hashlib.sha256("\0".join(self.texts).encode())
        for values in (self.anchors, self.positives, self.negatives, self.items, self.weights):
            digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class PairTexts:
    """Pairs of one kind, as texts.

    Args:
      anchors: n texts.
      rows: int64 [n], the items that they belong to.
      texts: str [items], what belongs to an anchor is that of its item.
      weights: [n], how much each counts.
    """

    anchors: list[str]
    rows: Rows
    texts: Strings
    weights: Floats


def read_pairs(texts: ItemTexts, catalogue: Catalogue, tables_dir: str, config: Config, *, pool: int) -> TextPairs:
    """Makes the pairs of a shop.

    Args:
      texts: of the catalogue's items.
      catalogue: the items.
      tables_dir: the tables, for what was typed and chosen before the validation window.
      config: of the shop.
      pool: texts alike beside each pair, at most.

    Returns:
      The pairs, at most `adaptation.max_pairs`, drawn by the seed.
    """
    adaptation = config.adaptation
    kinds = [_of_column(texts, name, adaptation.anchor) for name in adaptation.texts]
    if adaptation.clicks:
        kinds.append(read_clicks(texts, catalogue, tables_dir, config))
    total = sum(len(kind.anchors) for kind in kinds)
    kept = np.random.default_rng(config.seed).permutation(total)[: adaptation.max_pairs]
    ends = np.cumsum([0, *(len(kind.anchors) for kind in kinds)])
    index = _index(texts)
    parts, numbers = [], dict[str, int]()
    for kind, start, end in zip(kinds, ends[:-1], ends[1:], strict=True):
        places = np.sort(kept[(kept >= start) & (kept < end)] - start)
        if len(places):
            parts.append(_numbered(kind, places, index, numbers, pool))
    if not parts:
        nothing, none = np.zeros(0, np.int64), np.zeros((0, 0), np.int64)
        return TextPairs(np.zeros(0, object), nothing, nothing, none, nothing, none, np.zeros(0, np.float32))
    anchors, positives, negatives, items, negative_items, weights = zip(*parts, strict=True)
    return TextPairs(
        texts=np.array(list(numbers), object),
        anchors=np.concatenate(anchors),
        positives=np.concatenate(positives),
        negatives=np.concatenate(negatives),
        items=np.concatenate(items),
        negative_items=np.concatenate(negative_items),
        weights=np.concatenate(weights),
    )


def held_out(pairs: TextPairs, share: float, seed: int) -> tuple[TextPairs, TextPairs]:
    """Splits pairs by their item: those to learn from, and those of a share of the items."""
    items = np.unique(pairs.items)
    count = max(1, round(share * len(items)))
    measured = np.isin(pairs.items, np.random.default_rng(seed).permutation(items)[:count])
    return pairs.take(np.flatnonzero(~measured)), pairs.take(np.flatnonzero(measured))


def read_clicks(texts: ItemTexts, catalogue: Catalogue, tables_dir: str, config: Config) -> PairTexts:
    """Pairs searches with the titles of what was chosen; the lower it stood, the more a choice says.

    Args:
      texts: of the catalogue's items.
      catalogue: the items.
      tables_dir: the tables; what comes before the validation window counts.
      config: of the shop.
    """
    end, titles = learned_until(config, 0)["stopped_before"], plain(texts.column("title"))
    queries, rows, places = [], [], []
    for table in _choices(tables_dir, config.split.truth_events, end):
        found = catalogue.rows(np.array(table["item_id"].to_pylist(), object))
        known = (found >= 0) & (titles[found] != "")
        queries += [query for query, there in zip(table["query"].to_pylist(), known, strict=True) if there]
        rows.append(found[known])
        places.append(table["position"].to_numpy()[known])
    seen = (1.0 + np.nan_to_num(np.concatenate([*places, np.zeros(0)]), nan=0.0)) ** config.adaptation.position_power
    weights = np.clip(seen, 1.0, _FARTHEST).astype(np.float32)
    return PairTexts(queries, np.concatenate([*rows, np.zeros(0, np.int64)]), titles, weights)


def plain(texts: Strings) -> Strings:
    """Writes texts [n] with single spaces, category paths without their separators."""
    return np.array([" ".join(text.replace(" > ", " ").split()) for text in texts], object)


def _of_column(texts: ItemTexts, name: str, anchor: str) -> PairTexts:
    anchors, others = texts.column(anchor), plain(texts.column(name))
    rows = np.array([row for row, text in enumerate(anchors) if text.strip() and others[row]], np.int64)
    return PairTexts([str(anchors[row]) for row in rows], rows, others, np.ones(len(rows), np.float32))


def _choices(tables_dir: str, types: tuple[str, ...], end: int) -> Iterator[pa.Table]:
    for file in sorted(Path(tables_dir, "events").glob("bucket-*.parquet")):
        there = set(pq.read_schema(file).names)
        wanted = ("item_id", "query", "timestamp", "event_type", "position")
        table = pq.read_table(file, columns=[name for name in wanted if name in there])
        if "position" not in there:
            table = table.append_column("position", pa.nulls(len(table), pa.float64()))
        keep = pc.and_(pc.less(table["timestamp"], end), pc.is_in(table["event_type"], value_set=pa.array(types)))
        typed = pc.not_equal(pc.utf8_trim_whitespace(pc.fill_null(table["query"], "")), "")
        yield table.filter(pc.and_(keep, typed))


def _index(texts: ItemTexts) -> bm25s.BM25:
    whole = [" ".join(parts) for parts in zip(*texts.columns.values(), strict=True)]
    index = bm25s.BM25(method="lucene")
    index.index(bm25s.tokenize(whole, return_ids=False, stopwords="en", show_progress=False), show_progress=False)
    return index


def _numbered(
    kind: PairTexts, places: Rows, index: bm25s.BM25, numbers: dict[str, int], pool: int
) -> tuple[Rows, Rows, Rows, Rows, Rows, Floats]:
    """Gives the texts of pairs their numbers, new ones the next, and finds their negatives."""
    anchors = [kind.anchors[place] for place in places]
    rows = kind.rows[places]
    has_text = np.array([bool(text) for text in kind.texts])
    alike = alike_items(index, anchors, rows, has_text, pool)

    def number(text: str) -> int:
        return numbers.setdefault(text, len(numbers))

    first = np.array([number(text) for text in anchors], np.int64)
    second = np.array([number(kind.texts[row]) for row in rows], np.int64)
    flat = [number(kind.texts[row]) if row >= 0 else -1 for row in alike.ravel()]
    return first, second, np.array(flat, np.int64).reshape(alike.shape), rows, alike, kind.weights[places]
