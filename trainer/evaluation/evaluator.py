"""The evaluation: asks the model and its rivals, measures their answers, judges the model, writes the reports."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any

from pipeline.config import Config, parse_config
from trainer.baselines import QUICK, RANKERS, Ranker, create_rankers
from trainer.cases import read_cases
from trainer.days import DAY, day_of, midnight
from trainer.evaluation.contest import Contest, Progress, Shop
from trainer.evaluation.heads import HeadJudge
from trainer.evaluation.items import Items, read_items
from trainer.evaluation.predecessor import open_predecessor
from trainer.evaluation.report import write_reports
from trainer.event_log import EventLog
from trainer.exported_model import ExportedModel
from trainer.gate import meaning

_LOG = logging.getLogger(__name__)
ALL = "all"


def evaluate(
    model_dir: str,
    tables_dir: str,
    cases_dir: str,
    config_json: str,
    report_dir: str,
    *,
    last_blessed_dirs: Sequence[str] = (),
    rivals: Sequence[str] = (),
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Measures a model and decides whether it may be pushed.

    Args:
      model_dir: the SavedModel.
      tables_dir: the tables: items, and events for the rivals.
      cases_dir: the cases of the windows; the test window is judged if it has any, else the validation window.
      config_json: the configuration.
      report_dir: evaluation.json, evaluation.html and TensorBoard's folder `evaluation` are written there.
      last_blessed_dirs: what is served now, then its twin that the validation window stopped.
      rivals: rankers to measure beside those that the gate names and the quick ones; `all` for all there are.
      on_progress: called with the cases that models have answered so far, and how many there are.

    Returns:
      What evaluation.json holds: `blessed`, `failures` in plain words, and the results by table and ranker.

    Raises:
      ValueError: if a rival does not exist, or cannot learn from this shop.
    """
    config = parse_config(json.loads(config_json))
    rankers, items = _rivals(config, rivals), read_items(tables_dir)
    window, cases = read_cases(cases_dir, items.ids)
    log = _fit(rankers, tables_dir, items, config, window)
    before = open_predecessor(last_blessed_dirs if config.gate.last_blessed else (), log.end)
    contest = Contest(config, items, rankers, ExportedModel(model_dir), before)
    tables = contest.run(cases, Shop(tables_dir, log.end, log.item_counts()), on_progress)
    judge = HeadJudge(contest.model, items.ids, tables_dir, config, _ends(config, window), contest.level)
    report = contest.verdict(tables, window) | _frame(config, window, items) | _findings(tables, judge.judge(cases))
    write_reports(report, report_dir)
    return report


def _ends(config: Config, window: str) -> tuple[int, int]:
    start, days = find_window(config, window)
    return start, start + days * DAY


def _fit(rankers: Sequence[Ranker], tables_dir: str, items: Items, config: Config, window: str) -> EventLog:
    """Lets the rivals learn from what lies before the judged window."""
    log = EventLog(tables_dir, items.ids, end=find_window(config, window)[0], event_types=config.split.truth_events)
    for ranker in rankers:
        _LOG.info("fitting the rival %s", ranker.name)
        ranker.fit(log)
    return log


def _findings(tables: dict[str, Any], heads: Any) -> dict[str, Any]:
    rankers = {name: meaning(name) for table in tables.values() for name in table["results"]}
    return {"rankers": rankers, "tables": tables, "heads": heads}


def _frame(config: Config, window: str, items: Items) -> dict[str, Any]:
    """Says what was judged on."""
    start, days = find_window(config, window)
    named = {"name": window, "start": day_of(start), "days": days}
    return {"window": named, "items": len(items.ids), "grouped_by": items.grouped_by, "seed": config.seed}


def _rivals(config: Config, more: Sequence[str]) -> list[Ranker]:
    named = RANKERS if ALL in more else more
    return create_rankers((*QUICK, *config.gate.all_rivals(), *named))


def find_window(config: Config, name: str) -> tuple[int, int]:
    """Finds where a window starts, seconds since 1970 UTC, and its length in days.

    Args:
      config: of the shop.
      name: test or validation.
    """
    split = config.split
    test = midnight(split.test_start)
    if name == "test":
        return test, split.test_days
    return test - split.validation_days * DAY, split.validation_days
