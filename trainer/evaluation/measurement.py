"""Numbers of one table or slice: means, intervals, paired differences, and what the lists are like."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer import metrics
from trainer.cases import Cases
from trainer.evaluation.slices import FEW, Slice
from trainer.gate import MODEL
from trainer.metrics import ItemTraits, Lists, Past, Values

Rows = npt.NDArray[np.int64]

DEPTHS = (5, 10, 20, 100)


@dataclass(frozen=True)
class Measurement:
    """How rankings are measured.

    Args:
      names: ranking metrics, as in `ndcg@20`.
      items: the catalogue, for the list metrics.
      seed: of the resampling.
      level: of the intervals.
    """

    names: Sequence[str]
    items: ItemTraits
    seed: int
    level: float

    def table(self, cases: Cases, ranked: Mapping[str, Rows], excluded: Sequence[Rows]) -> dict[str, Any]:
        """Measures all rankers over all cases of a table.

        Args:
          cases: at least one.
          ranked: for each ranker rows [cases, depth], the model's among them.
          excluded: for each case the rows that must not be answered.
        """
        past = Past(cases.seen, cases.seen_counts, cases.truth)
        lists = {who: metrics.measure_lists(Lists(rows, self.items, past), DEPTHS) for who, rows in ranked.items()}
        return {
            "cases": len(cases),
            "broken": _broken(ranked[MODEL], excluded),
            **self._compare(ranked, cases.truth),
            "lists": {who: _defined(values) for who, values in lists.items()},
        }

    def slice(self, part: Slice, ranked: Mapping[str, Rows]) -> dict[str, Any]:
        """Measures all rankers over one slice of a table, from the rankings of the table."""
        kept = {who: rows[part.keep] for who, rows in ranked.items()}
        entry = {"by": part.by, "name": part.name, "cases": len(part.truth), "few": len(part.truth) < FEW}
        return {**entry, **self._compare(kept, part.truth)}

    def _compare(self, ranked: Mapping[str, Rows], truth: Sequence[Rows]) -> dict[str, Any]:
        values = {who: metrics.measure(rows, truth, self.names) for who, rows in ranked.items()}
        columns = np.stack([each[name] for each in values.values() for name in self.names], axis=1)
        # The same resamples for all: differences are paired.
        shape = (-1, len(values), len(self.names))
        means = metrics.resampled_means(columns, self.seed).reshape(shape)
        exact = columns.mean(axis=0).reshape(shape)[0]
        results = {who: self._intervals(exact[place], means[:, place]) for place, who in enumerate(values)}
        ours = list(values).index(MODEL)
        differences = {
            who: self._intervals(exact[ours] - exact[place], means[:, ours] - means[:, place])
            for place, who in enumerate(values)
            if who != MODEL
        }
        return {"results": results, "differences": differences}

    def _intervals(self, exact: Values, means: Values) -> dict[str, dict[str, float]]:
        lows, highs = metrics.percentile_interval(means, self.level)
        return {
            name: {"value": float(value), "low": float(low), "high": float(high)}
            for name, value, low, high in zip(self.names, exact, lows, highs, strict=True)
        }


def metric_names(more: Sequence[str]) -> tuple[int, list[str]]:
    """Lists the ranking metrics of the report, and how deep rankings must be for them.

    Args:
      more: metrics whose depths are wanted beside the usual ones.
    """
    depths = sorted({*DEPTHS, *(metrics.parse_metric(name)[1] for name in more)})
    return depths[-1], [f"{name}@{depth}" for name in metrics.METRICS for depth in depths]


def _defined(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def _broken(ranked: Rows, excluded: Sequence[Rows]) -> int:
    """Counts answers that break the model's promise: excluded items, and items answered twice."""
    count = 0
    for row, gone in zip(ranked, excluded, strict=True):
        answered = row[row >= 0]
        count += int(np.isin(answered, gone).sum()) + len(answered) - len(np.unique(answered))
    return count
