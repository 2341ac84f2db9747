"""What is known of the model that servers see: how old it is, and how the last evaluation judged."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.pushed_models import newest_version
from pipeline.run_folder import RunFolder, read_json

CONTRACT_FILE = "assets.extra/contract.json"


@dataclass(frozen=True)
class ModelFacts:
    """The newest version of a model.

    Args:
      name: the model's name on the server.
      version: its number.
      created_s: when it was exported, seconds since 1970 UTC.
      learned_before_s: the moment up to which it has learned from events.
      items: how many items it knows.
    """

    name: str
    version: int
    created_s: float
    learned_before_s: float
    items: int


@dataclass(frozen=True)
class Verdict:
    """The last evaluation.

    Args:
      blessed: whether the gate let the model pass.
      metrics: (metric, group of cases): the model's value.
    """

    blessed: bool
    metrics: dict[tuple[str, str], float]


def read_model(base: Path) -> ModelFacts:
    """Reads the contract of the newest version.

    Args:
      base: the folder that holds a folder for each version.

    Raises:
      FileNotFoundError: if there is no version, or it has no contract.
    """
    version = newest_version(base)
    if version is None:
        raise FileNotFoundError(f"{base}: holds no version; expected DIR/serving/NAME, where a run has pushed a model")
    contract: dict[str, Any] | None = read_json(base / str(version) / CONTRACT_FILE)
    if contract is None:
        raise FileNotFoundError(
            f"{base / str(version)}: has no {CONTRACT_FILE}; only models that aisle made can be watched"
        )
    return ModelFacts(
        name=contract["name"],
        version=version,
        created_s=datetime.datetime.fromisoformat(contract["created"]).timestamp(),
        learned_before_s=float(contract["data"]["learned_before"]),
        items=int(contract["items"]),
    )


def read_verdict(folder: RunFolder) -> Verdict | None:
    """Reads the evaluation of the last complete run; None before the first."""
    report: dict[str, Any] | None = read_json(folder.reports / "evaluation.json")
    if report is None:
        return None
    return Verdict(
        report["blessed"],
        {
            (metric, group): float(found["value"])
            for group, table in report["tables"].items()
            for metric, found in table["results"].get("model", {}).items()
        },
    )
