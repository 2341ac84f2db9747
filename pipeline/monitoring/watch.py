"""One look at a model: what it was asked, what it answered, how old and how good it is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.monitoring.model_facts import ModelFacts, Verdict, read_model, read_verdict
from pipeline.run_folder import RunFolder

if TYPE_CHECKING:
    from pipeline.monitoring.drift import Drift
    from pipeline.monitoring.quality import Quality
    from pipeline.monitoring.requests import Sample

_STATISTICS = "EventStatisticsGen/statistics/*/Split-train/FeatureStats.pb"
_SCHEMA = "EventSchemaGen/schema/*/schema.pbtxt"
_ITEMS = "TableGen/tables/*/items.parquet"


@dataclass(frozen=True)
class Watched:
    """Where to look.

    Args:
      run: the run folder; it may have been moved since the run.
      serving: the folder that holds a folder for each version.
      requests: the server's request log; None where it keeps none.
      window_s: how far back requests count.
      most: how many calls are read at most.
    """

    run: RunFolder
    serving: Path
    requests: Path | None
    window_s: float
    most: int


@dataclass(frozen=True)
class Look:
    """What was seen.

    Args:
      at_s: when, seconds since 1970 UTC.
      model: the model that servers see.
      verdict: of the last evaluation; None before the first.
      sample, quality, drift: of the requests; None where no requests are logged.
    """

    at_s: float
    model: ModelFacts
    verdict: Verdict | None
    sample: Sample | None = None
    quality: Quality | None = None
    drift: Drift | None = None


def look(watched: Watched) -> Look:
    """Looks once.

    Raises:
      FileNotFoundError: naming what is not there.
    """
    at_s = time.time()
    model, verdict = read_model(watched.serving), read_verdict(watched.run)
    if watched.requests is None:
        return Look(at_s, model, verdict)
    # These load TensorFlow, which takes seconds: where there is no model or no request yet, nobody waits for that.
    from pipeline.monitoring.drift import compare
    from pipeline.monitoring.quality import describe
    from pipeline.monitoring.requests import read_sample

    artifacts = watched.run.artifacts
    statistics, schema, items = (_newest(artifacts, pattern) for pattern in (_STATISTICS, _SCHEMA, _ITEMS))
    sample = read_sample(watched.requests, model.name, at_s - watched.window_s, watched.most)
    histories = watched.run.path / "histories.parquet"
    if not histories.is_file():
        raise FileNotFoundError(f"{histories}: is not there; a run that pushes a model writes it")
    quality = describe(sample.asked, _ids(histories, "user_id"), _ids(items, "item_id"))
    return Look(at_s, model, verdict, sample, quality, compare(sample.asked, statistics, schema))


def _newest(artifacts: Path, pattern: str) -> Path:
    """Finds a step's newest artifact: TFX names the folders STEP/OUTPUT/EXECUTION, and executions are counted."""
    depth = pattern.split("/").index("*")
    found = sorted(artifacts.glob(pattern), key=lambda path: int(path.relative_to(artifacts).parts[depth]))
    if not found:
        raise FileNotFoundError(f"{artifacts / pattern}: is not there; expected DIR, the folder of a complete run")
    return found[-1]


def _ids(table: Path, column: str) -> set[str]:
    import pyarrow.parquet as pq

    return set(pq.read_table(table, columns=[column])[column].to_pylist())
