"""The account of a run: `run.json`, the reports beside it, and the summary that people read."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from pipeline.components import evaluator, pusher, tuner
from pipeline.config import Config
from pipeline.local_runner import Run
from pipeline.run_folder import RunFolder, write_json

# report: (step, output, file)
_REPORTS = {
    "tables.json": ("TableGen", "tables", "report.json"),
    "examples.json": ("EventExampleGen", "cases", "report.json"),
    "tuning.json": ("Tuner", "tuner_results", tuner.REPORT),
    "evaluation.json": ("Evaluator", "evaluation", "evaluation.json"),
    "evaluation.html": ("Evaluator", "evaluation", "evaluation.html"),
}


def write(config: Config, folder: RunFolder, run: Run) -> dict[str, Any]:
    """Writes `run.json` and copies the steps' reports to where people find them.

    Args:
      config: the shop's configuration.
      folder: the run folder.
      run: a run that came to its end.

    Returns:
      What `run.json` holds.
    """
    for name, (step, output, file) in _REPORTS.items():
        report = folder.reports / name
        if step in run.outputs:
            _copy(run.uri(step, output) / file, report)
        else:
            report.unlink(missing_ok=True)  # of an earlier run that tuned
    blessed, failures = evaluator.read_blessing(run.uri("Evaluator", "blessing"))
    push = run.outputs["Pusher"]["pushed_model"]
    version = push.get_string_custom_property(pusher.VERSION_PROPERTY)
    account = {
        "config": config.model_dump(mode="json"),
        "tables": str(run.uri("TableGen", "tables")),
        "cases": str(run.uri("EventExampleGen", "cases")),
        "event_transform": str(run.uri("EventTransform", "transform_graph")),
        "item_transform": str(run.uri("ItemTransform", "transform_graph")),
        "model": str(run.uri("Trainer", "model")),
        "model_run": str(run.uri("Trainer", "model_run")),
        "blessed": blessed,
        "failures": failures,
        "version": int(version) if version else None,
        "pushed": push.get_string_custom_property(pusher.DESTINATION_PROPERTY) or None,
        "seconds": round(run.seconds, 1),
        "peak_mib": max(step.peak_mib for step in run.steps),
    }
    write_json(folder.run_file, account)
    return account


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    incoming = target.with_name(f".{target.name}.incoming")
    shutil.copyfile(source, incoming)
    incoming.replace(target)
