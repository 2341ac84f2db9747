"""Judges an exported model: over the whole catalogue, through its own signatures, beside simple rivals."""

from __future__ import annotations

import datetime
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from pipeline.config import Config, parse_config
from trainer import metrics
from trainer.baselines import QUICK, RANKERS, Ranker, create_rankers
from trainer.cases import RECOMMEND, SEARCH, Cases, read_cases
from trainer.event_log import SECONDS_A_DAY, EventLog
from trainer.exported_model import ExportedModel
from trainer.gate import COLD, MODEL, NEW, SEARCHES, WARM, find_failures, gate_table

_LOG = logging.getLogger(__name__)
REPORT_FILE = "evaluation.json"
DEPTHS = (10, 20, 100)

Rows = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Question:
    """Cases that make one table, and the rows that their answers must leave out."""

    cases: Cases
    excluded: Sequence[Rows]


def evaluate(
    model_dir: str,
    tables_dir: str,
    cases_dir: str,
    config_json: str,
    report_dir: str,
    *,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Measures a model and decides whether it may be pushed.

    Args:
      model_dir: the SavedModel.
      tables_dir: the tables: items, and events for the rivals.
      cases_dir: the cases of the windows; the test window is judged if it has any, else the validation window.
      config_json: the configuration.
      report_dir: evaluation.json is written there.
      on_progress: called with the cases that the model has answered so far, and how many there are.

    Returns:
      What evaluation.json holds: `blessed`, `failures` in plain words, and the results by table and ranker.

    Raises:
      ValueError: if gate.rivals names a ranker that does not exist.
    """
    config = parse_config(json.loads(config_json))
    rankers = create_rankers((*QUICK, *config.gate.rivals))
    item_ids = pq.read_table(Path(tables_dir, "items.parquet"), columns=["item_id"])["item_id"].to_pylist()
    window, cases = read_cases(cases_dir, item_ids)
    log = EventLog(tables_dir, item_ids, end=_window(config, window)[0], event_types=config.split.truth_events)
    for ranker in rankers:
        ranker.fit(log)
    model = ExportedModel(model_dir)
    asked = _questions(cases, searches=model.searches)
    tables = _measure_all(asked, model=model, rankers=rankers, item_ids=item_ids, config=config, advanced=on_progress)
    report = {**_verdict(config, tables, window), "items": len(item_ids), "seed": config.seed, "tables": tables}
    _write(Path(report_dir, REPORT_FILE), report)
    return report


def _verdict(config: Config, tables: dict[str, Any], window: str) -> dict[str, Any]:
    failures = find_failures(config.gate, tables, window)
    start, days = _window(config, window)
    return {
        "blessed": not failures,
        "failures": failures,
        "window": {"name": window, "start": _day(start), "days": days},
        "gate": {**config.gate.model_dump(mode="json"), "table": gate_table(config.gate, tables)},
        "rankers": {
            MODEL: "the exported model",
            **{name: RANKERS[name].meaning for name in (*QUICK, *config.gate.rivals)},
        },
    }


def _questions(cases: Cases, *, searches: bool) -> dict[str, _Question]:
    """Splits the cases into the tables of the report; those without cases are left out."""
    users = cases.of_task(RECOMMEND)
    warm, cold = users.select(users.warm()), users.select(~users.warm())
    unseen = warm.unseen()
    found = {
        WARM: _Question(warm, _nothing(warm)),
        COLD: _Question(cold, _nothing(cold)),
        NEW: _Question(unseen, unseen.seen),
    }
    if searches:
        asked = cases.of_task(SEARCH)
        found[SEARCHES] = _Question(asked, _nothing(asked))
    return {name: question for name, question in found.items() if len(question.cases)}


def _nothing(cases: Cases) -> list[Rows]:
    return [np.zeros(0, np.int64)] * len(cases)


def _measure_all(
    questions: dict[str, _Question],
    *,
    model: ExportedModel,
    rankers: Sequence[Ranker],
    item_ids: Sequence[str],
    config: Config,
    advanced: Progress | None,
) -> dict[str, Any]:
    total = sum(len(question.cases) for question in questions.values())
    depth, names = _metrics(config)
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if advanced is not None:
            advanced(done, total)

    tables = {}
    for name, question in questions.items():
        _LOG.info("table %s: %d cases", name, len(question.cases))
        ranked = {MODEL: model.rank(question.cases, depth, question.excluded, item_ids, advance)}
        for ranker in rankers:
            ranked[ranker.name] = ranker.rank(question.cases, depth, question.excluded)
        values = {who: metrics.measure(rows, question.cases.truth, names) for who, rows in ranked.items()}
        tables[name] = {
            "cases": len(question.cases),
            "broken": _broken(ranked[MODEL], question.excluded),
            "results": {who: _summary(each, config.seed) for who, each in values.items()},
        }
    return tables


def _metrics(config: Config) -> tuple[int, list[str]]:
    """Lists the metrics of the report, and how deep rankings must be for them."""
    depths = sorted({*DEPTHS, metrics.parse_metric(config.gate.metric)[1]})
    return depths[-1], [f"{name}@{depth}" for name in metrics.METRICS for depth in depths]


def _summary(values: dict[str, metrics.Values], seed: int) -> dict[str, dict[str, float]]:
    lows, highs = metrics.bootstrap_interval(np.stack(list(values.values()), axis=1), seed)
    return {
        name: {"value": float(each.mean()), "low": float(low), "high": float(high)}
        for (name, each), low, high in zip(values.items(), lows, highs, strict=True)
    }


def _broken(ranked: Rows, excluded: Sequence[Rows]) -> int:
    """Counts answers that break the model's promise: excluded items, and items answered twice."""
    count = 0
    for row, gone in zip(ranked, excluded, strict=True):
        answered = row[row >= 0]
        count += int(np.isin(answered, gone).sum()) + len(answered) - len(np.unique(answered))
    return count


def _window(config: Config, name: str) -> tuple[int, int]:
    """Finds where the judged window starts, seconds since 1970 UTC, and its length in days."""
    split = config.split
    test = int(datetime.datetime.combine(split.test_start, datetime.time(), datetime.UTC).timestamp())
    if name == "test":
        return test, split.test_days
    return test - split.validation_days * SECONDS_A_DAY, split.validation_days


def _day(timestamp: int) -> str:
    return datetime.datetime.fromtimestamp(timestamp, datetime.UTC).date().isoformat()


def _write(path: Path, report: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)
