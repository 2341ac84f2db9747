"""Who is measured on what: the model, its rivals and the model before it, asked the same questions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.config import Config
from trainer.baselines import Ranker
from trainer.cases import Cases
from trainer.evaluation.items import Items
from trainer.evaluation.measurement import Measurement, metric_names
from trainer.evaluation.predecessor import UNUSABLE, Predecessor, unusable
from trainer.evaluation.questions import Question, make_questions
from trainer.evaluation.searches import search_slices, zero_result_rates
from trainer.evaluation.slices import make_slices
from trainer.exported_model import ExportedModel
from trainer.gate import LAST_BLESSED, MODEL, SEARCHES, WARM, gate_table, run_checks
from trainer.metrics import ItemTraits

_LOG = logging.getLogger(__name__)
_LEVEL = 0.95  # of the report's intervals where the gate compares plain means

Rows = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Shop:
    """The past of the shop.

    Args:
      tables_dir: the tables.
      start: of the judged window, seconds since 1970 UTC.
      counts: int64 [items], truth events before it.
    """

    tables_dir: str
    start: int
    counts: Rows


@dataclass
class Contest:
    """A model, its rivals, and the model before it.

    Args:
      config: of the shop.
      items: the catalogue.
      rankers: the rivals, fitted.
      model: the judged one.
      predecessor: the last blessed model; None where there is none or the gate does not ask for it.
    """

    config: Config
    items: Items
    rankers: Sequence[Ranker]
    model: ExportedModel
    predecessor: Predecessor | None
    _done: int = field(default=0, init=False)

    @property
    def level(self) -> float:
        """Of all intervals."""
        return self.config.gate.confidence or _LEVEL

    def run(self, cases: Cases, shop: Shop, advanced: Progress | None = None) -> dict[str, Any]:
        """Asks and measures.

        Args:
          cases: of the judged window.
          shop: what came before it.
          advanced: called with the cases that models have answered so far, and how many there are.

        Returns:
          The results by table.
        """
        questions = make_questions(cases, searches=self.model.searches)
        models = 1 + (self.predecessor is not None and self.predecessor.model is not None)
        total = models * sum(len(question.cases) for question in questions.values())

        def advance(count: int) -> None:
            self._done += count
            if advanced is not None:
                advanced(min(self._done, total), total)

        gate = self.config.gate
        depth, names = metric_names([gate.metric, *(check.metric for check in gate.checks)])
        traits = ItemTraits(shop.counts, self.items.groups, self.model.item_vectors(self.items.ids))
        measurement = Measurement(names, traits, self.config.seed, self.level)
        tables = {}
        for name, question in questions.items():
            _LOG.info("table %s: %d cases", name, len(question.cases))
            ranked = self._rank(name, question, depth, advance)
            tables[name] = measurement.table(question.cases, ranked, question.excluded)
            if name == WARM:
                parts = make_slices(question.cases, self.items, shop.tables_dir, shop.start)
                tables[name]["slices"] = [measurement.slice(part, ranked) for part in parts]
            if name == SEARCHES:
                parts = search_slices(question.cases)
                tables[name]["slices"] = [measurement.slice(part, ranked) for part in parts]
                tables[name]["zero_results"] = zero_result_rates(ranked)
        return tables

    def verdict(self, tables: dict[str, Any], window: str) -> dict[str, Any]:
        """Judges the model by what was measured."""
        gate = self.config.gate
        checks = run_checks(gate, tables, window)
        failures = [check["text"] for check in checks if not check["passed"]]
        compared = any(LAST_BLESSED in table["results"] for table in tables.values())
        before = self.predecessor
        return {
            "blessed": not failures,
            "failures": failures,
            "level": self.level,
            "gate": {
                **gate.model_dump(mode="json"),
                "table": gate_table(gate, tables),
                "results": checks,
                "predecessor": before and {"version": before.version, "compared": compared, "reason": before.reason},
            },
        }

    def _rank(self, table: str, question: Question, depth: int, advance: Callable[[int], None]) -> dict[str, Rows]:
        cases, excluded = question.cases, question.excluded
        ranked = {MODEL: self.model.rank(cases, depth, excluded, self.items.ids, advance)}
        before = self._rank_predecessor(table, question, depth, advance)
        if before is not None:
            ranked[LAST_BLESSED] = before
        return ranked | {ranker.name: ranker.rank(cases, depth, excluded) for ranker in self.rankers}

    def _rank_predecessor(
        self, table: str, question: Question, depth: int, advance: Callable[[int], None]
    ) -> Rows | None:
        """Asks the last blessed model; one that cannot be asked takes no further part."""
        before = self.predecessor
        if before is None or before.model is None:
            return None
        if table == SEARCHES and not before.model.searches:
            self.predecessor = replace(before, reason="it answers no searches")
            return None
        try:
            return before.model.rank(question.cases, depth, question.excluded, self.items.ids, advance, unknown=True)
        except UNUSABLE as error:
            self.predecessor = Predecessor(before.version, reason=unusable(error))
            _LOG.warning("the last blessed model %s takes no part: %s", before.version, self.predecessor.reason)
            return None
