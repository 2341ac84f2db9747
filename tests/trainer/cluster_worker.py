"""A worker of the planted shop's training, as a process of its own: what the tests of several workers start."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from planted import planted_config, planted_phase, planted_shop, without_draws

from pipeline.config import Config
from trainer.batches import BatchPlan
from trainer.cluster import ClusterError, join

EVENTS = 1024


def shared_config(folder: Path) -> Config:
    """Two epochs of four steps, without dropout."""
    training = {"epochs": 2, "batch_size": 256}
    return planted_config(str(folder / "encoder"), model={"dropout": 0.0, "hidden": [8]}, training=training)


def train(folder: Path, own: Path, dies_at: int | None, timeout_s: float) -> None:
    """Trains as `TF_CONFIG` says; the chief leaves its curves in the file `logs.json` of its own folder.

    Args:
      folder: with the encoder, the checkpoints and the cache that all workers share.
      own: folder of this worker.
      dies_at: the process is killed when it is asked for so many batches.
      timeout_s: how long workers wait for each other.
    """
    if dies_at is not None:
        _die_at(dies_at)
    with without_draws(), join(timeout_s) as cluster:
        changes: dict[str, Any] = {"checkpoints": folder / "checkpoints", "cache": folder / "cache", "cluster": cluster}
        phase = planted_phase(planted_shop(EVENTS), shared_config(folder), own, **changes)
        if cluster.chief:
            trained = phase.run()
            (own / "logs.json").write_text(json.dumps(trained.progress.logs), encoding="utf-8")
        else:
            phase.follow()


def main(folder: Path, own: Path, dies_at: int | None, timeout_s: float, variables: dict[str, str]) -> None:
    """What a started process does; status 3 says that another worker is gone."""
    os.environ |= variables
    status = 0
    with (own / "output.txt").open("w", encoding="utf-8") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    try:
        train(folder, own, dies_at, timeout_s)
    except ClusterError as error:
        print(error, flush=True)  # noqa: T201
        status = 3
    sys.stderr.flush()
    os._exit(status)


def _die_at(batches: int) -> None:
    make, made = BatchPlan._batch, [0]

    def count(plan: BatchPlan, columns: Any) -> Any:
        made[0] += 1
        if made[0] == batches:
            os.kill(os.getpid(), signal.SIGKILL)
        return make(plan, columns)

    BatchPlan._batch = count  # type: ignore[method-assign]
