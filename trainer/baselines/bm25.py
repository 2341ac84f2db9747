"""The rival that looks the words of a search up in the items' texts, by a library of its own."""

from __future__ import annotations

from typing import ClassVar

import bm25s
import numpy as np
import Stemmer

from pipeline.config import SearchConfig
from trainer.baselines.score_ranker import ScoreRanker, Scores
from trainer.cases import Cases
from trainer.event_log import EventLog
from trainer.interactions import Interactions
from trainer.lexical.texts import read_item_texts

COLUMNS = ("title", "brand", "category")
_STOP_WORDS = "en"


class Bm25(ScoreRanker):
    """BM25 of title, brand and category with the library's own words and the English stemmer; without words popularity.

    Robertson et al., Okapi at TREC-3, 1994, by the library `bm25s`.
    """

    name: ClassVar[str] = "bm25"
    meaning: ClassVar[str] = f"BM25 of {', '.join(COLUMNS)}: the words of the search; without any, recent popularity"

    def fit(self, log: EventLog) -> None:
        """Reads the items' texts."""
        super().fit(log)
        self._items = len(log.item_ids)
        self._stemmer = Stemmer.Stemmer("english")
        texts = read_item_texts(log.tables_dir, log.item_ids, SearchConfig(texts=(COLUMNS,)))
        columns = [] if texts is None else [texts.column(name) for name in COLUMNS]
        documents = [" ".join(parts) for parts in zip(*columns, strict=True)]
        self._index: bm25s.BM25 | None = None
        if documents:
            self._index = bm25s.BM25(method="lucene")
            self._index.index(self._words(documents), show_progress=False)

    def _learn(self, interactions: Interactions) -> None:
        """Learns nothing from what users did."""

    def _score(self, cases: Cases) -> Scores:
        scores = np.zeros((len(cases), self._items), np.float32)
        if self._index is not None and len(cases):
            for line, words in enumerate(self._words(cases.table["query"].to_pylist())):
                known = [word for word in words if word in self._index.vocab_dict]
                if known:
                    scores[line] = self._index.get_scores(known)
        return scores

    def _words(self, texts: list[str]) -> list[list[str]]:
        settings = {"stopwords": _STOP_WORDS, "stemmer": self._stemmer, "show_progress": False}
        return bm25s.tokenize([text or "" for text in texts], return_ids=False, **settings)
