"""The rivals of search: BM25 by its library, the text encoder as it comes, and fixed mixtures of both."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import bm25s
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import Stemmer
import tensorflow as tf

from pipeline.config import Config, parse_config
from pipeline.text import token_ids
from trainer.encoders.text import load_encoder
from trainer.texts import TextVectors

Scores = npt.NDArray[np.float32]
Vectors = npt.NDArray[np.float32]

SHORT, ALL = ("title", "brand", "category"), ("title", "brand", "category", "description")
_RANK_CONSTANT = 60  # of reciprocal-rank fusion, as its authors set it
_BATCH = 1_000


def read_texts(tables: str, columns: tuple[str, ...]) -> list[str]:
    """Joins columns of items.parquet, in its order."""
    table = pq.read_table(Path(tables, "items.parquet"), columns=list(columns))
    parts = [[value or "" for value in table[name].to_pylist()] for name in columns]
    return [" ".join(texts) for texts in zip(*parts, strict=True)]


def bm25(documents: list[str], queries: list[str]) -> Scores:
    """BM25 with the library's own words and the English stemmer, [queries, documents]."""
    settings = {"stopwords": "en", "stemmer": Stemmer.Stemmer("english"), "show_progress": False}
    index = bm25s.BM25(method="lucene")
    index.index(bm25s.tokenize(documents, return_ids=False, **settings), show_progress=False)
    scores = np.zeros((len(queries), len(documents)), np.float32)
    for line, words in enumerate(bm25s.tokenize(queries, return_ids=False, **settings)):
        known = [word for word in words if word in index.vocab_dict]
        if known:
            scores[line] = index.get_scores(known)
    return scores


class ZeroShot:
    """The pretrained encoder without any training, or with weights that were adapted before.

    Args:
      config: of the encoder.
      cache: folder of text vectors; a run's own holds those of its catalogue.
      weights: file of an adapted encoder's; None leaves it as it came.
    """

    def __init__(self, config: Config, cache: Path, weights: Path | None = None) -> None:
        self._config = config.encoder
        self._items = TextVectors(config.encoder, load_encoder(config.encoder, weights=weights), cache)
        plain = config.encoder.model_copy(update={"dtype": "float32"})
        self._queries = TextVectors(plain, self._items.encoder, cache)

    def items(self, texts: list[str]) -> Vectors:
        """Encodes items, [n, width], in the precision of the catalogue."""
        return self._items.encode(self.tokens([" ".join(text.replace(" > ", " ").split()) for text in texts]))

    def queries(self, texts: list[str]) -> Vectors:
        """Encodes queries, [n, width]."""
        return self._queries.encode(self.tokens(texts))

    def tokens(self, texts: Sequence[str]) -> npt.NDArray[np.int32]:
        """Tokenises texts to [n, tokens], 0 pads."""
        parts = [texts[start : start + _BATCH] for start in range(0, len(texts), _BATCH)]
        found = [token_ids(tf.constant([[text] for text in part]), self._config).numpy() for part in parts]
        return np.concatenate(found).astype(np.int32)


def of_best(scores: Scores) -> Scores:
    """Divides each line by its highest score; lines of zeros stay."""
    return scores / np.maximum(scores.max(axis=1, keepdims=True), 1e-9)


def reciprocal_ranks(*rankings: Scores) -> Scores:
    """Adds up 1 / (60 + rank) (Cormack et al., Reciprocal rank fusion, 2009)."""
    fused = np.zeros(rankings[0].shape, np.float32)
    for scores in rankings:
        ranks = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1)
        fused += (1.0 / (_RANK_CONSTANT + 1 + ranks)).astype(np.float32)
    return fused


def all_rivals(words: dict[str, Scores], meaning: Scores) -> dict[str, Scores]:
    """Lists the rivals by name.

    Args:
      words: BM25 scores of the short and of the whole texts, by `short` and `all`.
      meaning: the encoder's similarities.
    """
    found = {
        "BM25, title + brand + category": words["short"],
        "BM25, all text": words["all"],
        "MiniLM zero-shot, all text": meaning,
        "reciprocal ranks of MiniLM and BM25": reciprocal_ranks(meaning, words["short"]),
    }
    for name, scores in words.items():
        for share in (0.2, 0.3, 0.4):
            found[f"{1 - share:.1f} MiniLM + {share:.1f} BM25 {name}"] = (1 - share) * meaning + share * of_best(scores)
    return found


def read_config(run: Path) -> Config:
    """Reads the configuration of a run."""
    return parse_config(json.loads((run / "run.json").read_text(encoding="utf-8"))["config"])
