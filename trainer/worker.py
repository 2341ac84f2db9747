"""A worker that trains along with the chief that `TF_CONFIG` names."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from types import SimpleNamespace

from pipeline.config import parse_config
from trainer.cluster import ClusterError, join
from trainer.job import read_job

_LOG = logging.getLogger(__name__)


def work(timeout_s: float) -> int:
    """Trains what the chief says, until it has no more; what this leaves on the disk goes with it.

    Args:
      timeout_s: how long workers wait for each other.

    Returns:
      How many trainings it took part in.

    Raises:
      ClusterError: if `TF_CONFIG` names no other workers or makes this one the chief, or if another is gone.
    """
    trainings = 0
    with join(timeout_s) as cluster, tempfile.TemporaryDirectory(prefix="aisle-worker-") as scratch:
        if cluster.chief:
            raise ClusterError("TF_CONFIG: expected several workers of which this is not the first, the chief")
        told = cluster.hear()
        config = parse_config(told.pop("config"))
        job = read_job(SimpleNamespace(model_run_dir=f"{scratch}/board", **told), config, Path(scratch), cluster)
        while order := cluster.hear():
            _LOG.info("%s: with the chief", order["name"])
            job.follow(**order)
            trainings += 1
    return trainings
