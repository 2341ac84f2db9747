"""What the quality benchmark prints: Markdown tables of metrics, margins over the rivals, lists and seeds."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from trainer.metrics.bootstrap import percentile_interval, resampled_means
from trainer.metrics.lists import ItemTraits, Lists, Past, coverage, personalisation

Values = npt.NDArray[np.float64]
OURS = "aisle"
NOT_CLASSIC = "trees"  # the rival of two stages; the others are classic models
BASE = "recent_popular"  # whose coverage is the unit
AIMS = {"all": 1.03, "new": 1.05, "cold": 1.0}  # times the best rival
BOOTSTRAP_SEED = 0


@dataclass
class Judged:
    """What was measured.

    Args:
      start: first second of the judged weeks, since 1970 UTC.
      items: size of the catalogue.
      counts: int64 [items], events before the weeks.
      values: by table and metric, then by ranker or seed, the value of each case, [cases].
      lists: by ranker or seed the answers for known users, [cases, k].
      minutes: by ranker or seed how long the fitting took.
      seeds: our models, by seed.
    """

    start: int
    items: int
    counts: npt.NDArray[np.int64]
    values: dict[tuple[str, str], dict[str, Values]] = field(default_factory=dict)
    lists: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    minutes: dict[str, float] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=list)

    def add_seed(self, seed: int) -> str:
        """Notes a model of ours and returns the name it goes by."""
        if seed not in self.seeds:
            self.seeds.append(seed)
        return f"{OURS}, seed {seed}"

    @property
    def ours(self) -> list[str]:
        """The names of our models."""
        return [f"{OURS}, seed {seed}" for seed in self.seeds]

    @property
    def rivals(self) -> list[str]:
        """The names of the rivals."""
        return [name for name in self.lists if name not in self.ours]


@dataclass(frozen=True)
class _Measured:
    """One metric of one table: means over cases with intervals, ours as the mean over the seeds.

    Args:
      names: rivals, then ours.
      means: [names].
      samples: the same means resampled, [samples, names].
    """

    names: list[str]
    means: Values
    samples: Values

    @classmethod
    def of(cls, judged: Judged, key: tuple[str, str]) -> _Measured:
        values = judged.values[key]
        ours = np.mean([values[name] for name in judged.ours], axis=0)
        columns = np.stack([*(values[name] for name in judged.rivals), ours], axis=1)
        return cls([*judged.rivals, OURS], columns.mean(axis=0), resampled_means(columns, BOOTSTRAP_SEED))

    def cell(self, name: str) -> str:
        """Returns a mean with its interval."""
        place = self.names.index(name)
        low, high = percentile_interval(self.samples[:, [place]])
        return f"{short(self.means[place])} ({short(low[0])} to {short(high[0])})"

    def margin(self, rivals: Sequence[str]) -> list[str]:
        """Compares ours with the best of some rivals: who that is, the ratio, the paired difference."""
        best = max(rivals, key=lambda name: self.means[self.names.index(name)])
        place = self.names.index(best)
        low, high = percentile_interval(self.samples[:, [-1]] - self.samples[:, [place]])
        ratio, difference = self.means[-1] / self.means[place], self.means[-1] - self.means[place]
        interval = f"{difference:+.4f} ({low[0]:+.4f} to {high[0]:+.4f})"
        return [f"{best} {short(self.means[place])}", f"{ratio:.3f}", interval]


def markdown(judged: Judged) -> str:
    """Writes all tables.

    Args:
      judged: what was measured, with at least one seed.

    Returns:
      Markdown.
    """
    day = datetime.datetime.fromtimestamp(judged.start, datetime.UTC).date().isoformat()
    cases = ", ".join(
        f"{len(next(iter(values.values()))):,} in {table}"
        for (table, metric), values in judged.values.items()
        if metric.startswith("recall")
    )
    head = (
        f"Four weeks from {day}, all {judged.items:,} items ranked; users: {cases}. {OURS}: mean over the seeds "
        f"{', '.join(map(str, judged.seeds))}; 95% bootstrap intervals over users, differences paired; "
        f"{os.cpu_count()} processors."
    )
    measured = {key: _Measured.of(judged, key) for key in judged.values}
    parts = [head, _metrics(judged, measured), _margins(judged, measured), _lists(judged), _seeds(judged)]
    return "\n\n".join(parts)


def _metrics(judged: Judged, measured: dict[tuple[str, str], _Measured]) -> str:
    rows = [[name, *(each.cell(name) for each in measured.values())] for name in [*judged.rivals, OURS]]
    return markdown_table(["ranker", *(f"{table}: {metric}" for table, metric in measured)], rows)


def _margins(judged: Judged, measured: dict[tuple[str, str], _Measured]) -> str:
    classic = [name for name in judged.rivals if name != NOT_CLASSIC]
    rows = [
        [f"{table}: {metric}", f"{AIMS[table]:.2f}", *each.margin(judged.rivals), *each.margin(classic)]
        for (table, metric), each in measured.items()
    ]
    columns = ["best rival", "ratio", "difference", "best classic rival", "ratio", "difference"]
    return markdown_table([f"{OURS} against", "ratio aimed at", *columns], rows)


def _lists(judged: Judged) -> str:
    items = ItemTraits(judged.counts, np.zeros(judged.items, np.int64))
    found = {name: Lists(ranked, items, Past((), (), ())) for name, ranked in judged.lists.items()}
    unit = coverage(found[BASE])
    rows = [
        [
            name,
            short(personalisation(lists)),
            short(coverage(lists)),
            f"{coverage(lists) / unit:.1f}",
            f"{judged.minutes[name]:.1f}",
        ]
        for name, lists in found.items()
    ]
    return markdown_table(
        ["known users' lists", "personalisation", "coverage", f"coverage by {BASE}", "fitted in, min"], rows
    )


def _seeds(judged: Judged) -> str:
    rows = [[name, *(short(values[name].mean()) for values in judged.values.values())] for name in judged.ours]
    return markdown_table(["seed by seed", *(f"{table}: {metric}" for table, metric in judged.values)], rows)


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Writes a table whose first column is text and whose others are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def short(value: float) -> str:
    """Writes .3418 for 0.3418."""
    return f"{value:.4f}".removeprefix("0")
