"""The judged searches of the ESCI sample, and how rankings of its whole catalogue are measured by them."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parents[1]
GAINS = {"E": 1.0, "S": 0.1, "C": 0.01, "I": 0.0}  # exact, substitute, complement, irrelevant; unjudged 0
NDCG, RECALL = "nDCG@10", "recall@100 of E"
METRICS = (NDCG, RECALL)
_DEPTH, _DEEP = 10, 100

Values = npt.NDArray[np.float64]
Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Judgments:
    """What people said of queries and products.

    Args:
      queries: the judged ones.
      gains: [queries, items].
    """

    queries: list[str]
    gains: Values

    def measure(self, scores: Scores) -> dict[str, Values]:
        """Measures rankings by scores [queries, items]: each metric's value for every query.

        Equal scores keep the catalogue's order.
        """
        order = np.argsort(-scores, axis=1, kind="stable")[:, :_DEEP]
        gains = np.take_along_axis(self.gains, order, axis=1)
        exact = self.gains == GAINS["E"]
        discounts = 1.0 / np.log2(np.arange(2, _DEPTH + 2))
        ideal = -np.sort(-self.gains, axis=1)[:, :_DEPTH] @ discounts
        found = (gains == GAINS["E"]).sum(axis=1) / np.clip(exact.sum(axis=1), 1, _DEEP)
        return {NDCG: gains[:, :_DEPTH] @ discounts / ideal, RECALL: found}


def read_judgments(item_ids: list[str]) -> Judgments:
    """Reads the judgments.

    Args:
      item_ids: the catalogue.

    Raises:
      SystemExit: if the data are not there.
    """
    folder = Path(os.environ.get("AISLE_DATA", ROOT / ".." / "shared" / "data"), "esci")
    file = folder / "judgments.csv"
    if not file.is_file():
        raise SystemExit(f"{file} is not there: set AISLE_DATA to the folder that holds esci/judgments.csv")
    places = {item: place for place, item in enumerate(item_ids)}
    with file.open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["product_id"] in places]
    queries = list(dict.fromkeys(row["query"] for row in rows))
    lines_of = {query: line for line, query in enumerate(queries)}
    gains = np.zeros((len(queries), len(item_ids)))
    for row in rows:
        gains[lines_of[row["query"]], places[row["product_id"]]] = GAINS[row["label"]]
    return Judgments(queries, gains)


def misspelt(queries: list[str], seed: int) -> list[str]:
    """Puts one slip of the keyboard into a word of four letters or more of each query, where it has one.

    Args:
      queries: as they were meant.
      seed: of the slips.
    """
    generator = np.random.default_rng(seed)
    return [_misspelt(query, generator) for query in queries]


def _misspelt(query: str, generator: np.random.Generator) -> str:
    words = query.split()
    long = [place for place, word in enumerate(words) if len(word) >= 4 and word.isalpha()]
    if not long:
        return query
    place = int(generator.choice(long))
    word, letter = words[place], "abcdefghijklmnopqrstuvwxyz"[int(generator.integers(26))]
    at = int(generator.integers(1, len(word) - 1))
    slips = (
        word[:at] + word[at + 1 :],  # left out
        word[:at] + letter + word[at:],  # added
        word[:at] + letter + word[at + 1 :],  # exchanged
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],  # swapped
    )
    words[place] = slips[int(generator.integers(len(slips)))]
    return " ".join(words)
