"""The cases of the judged window, asked of models and rivals alike, over the whole catalogue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from benchmarks.runs import Trained

if TYPE_CHECKING:
    from trainer.evaluation.questions import Question

K = 20
TABLES = {"all": "warm", "new": "new", "cold": "cold"}  # what they are called in evaluation.json
METRICS = (f"recall@{K}", f"ndcg@{K}")

Rank = Callable[..., npt.NDArray[np.int64]]
Ranked = dict[str, npt.NDArray[np.int64]]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class JudgedWindow:
    """The window that `aisle evaluate` judges by: the test window if any event lies in it, else the validation window.

    Args:
      name: `test` or `validation`.
      item_ids: the catalogue.
      questions: the cases by table.
    """

    name: str
    item_ids: list[str]
    questions: Mapping[str, Question]

    @classmethod
    def of(cls, trained: Trained) -> JudgedWindow:
        """Reads the window of a run."""
        from trainer.cases import read_cases
        from trainer.evaluation.questions import make_questions

        item_ids = pq.read_table(Path(trained.tables, "items.parquet"), columns=["item_id"])["item_id"].to_pylist()
        name, cases = read_cases(trained.cases, item_ids)
        found = make_questions(cases, searches=False)
        return cls(name, item_ids, {table: found[key] for table, key in TABLES.items() if key in found})

    @property
    def start(self) -> int:
        """First second of the window, since 1970 UTC: whoever is asked about, is asked about then."""
        return int(next(iter(self.questions.values())).cases.table["timestamp"][0].as_py())

    def rank(self, rank: Rank) -> Ranked:
        """Asks a ranker, `rank(cases, k, excluded)`; returns rows [cases, k] by table."""
        return {table: rank(asked.cases, K, asked.excluded) for table, asked in self.questions.items()}

    def rank_model(self, trained: Trained) -> Ranked:
        """Asks an exported model through its signatures; returns rows [cases, k] by table."""
        from trainer.exported_model import ExportedModel

        model = ExportedModel(trained.model)

        def rank(cases: Any, k: int, excluded: Any) -> npt.NDArray[np.int64]:
            return model.rank(cases, k, excluded, self.item_ids)

        return self.rank(rank)

    def measure(self, ranked: Ranked) -> dict[tuple[str, str], Values]:
        """Measures rankings by table and metric, a value for each case."""
        from trainer import metrics

        return {
            (table, metric): values
            for table, asked in self.questions.items()
            for metric, values in metrics.measure(ranked[table], asked.cases.truth, METRICS).items()
        }
