"""What TensorBoard shows of the trials: the HParams tab, and each trial's curves."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras_tuner
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams
from tensorboard.plugins.hparams import api_pb2, summary

from trainer.board import Board
from trainer.checkpoints import Progress


def best_tag(metric: str) -> str:
    """Names the curve that holds a trial's result, the metric of its best epoch."""
    return f"best/{metric}"


def write_space(folder: Path, space: keras_tuner.HyperParameters, metric: str) -> None:
    """Writes what is tuned and by which metric.

    Args:
      folder: of all trials.
      space: the hyperparameters.
      metric: as in `ndcg@20`.
    """
    named = [hparams.HParam(part.name, _domain(part)) for part in space.space]
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default(step=0):
        hparams.hparams_config(named, [hparams.Metric(best_tag(metric), display_name=metric)])
    writer.close()


def write_trial(folder: Path, name: str, values: Mapping[str, Any], metric: str, progress: Progress) -> None:
    """Writes the values of a trial, its curves and its result.

    Args:
      folder: of all trials.
      name: of this one.
      values: by dotted key.
      metric: as in `ndcg@20`.
      progress: what was measured.
    """
    shutil.rmtree(folder / name, ignore_errors=True)  # of a search that was killed just here
    board = Board(folder / name)
    for epoch, log in enumerate(progress.logs):
        board.write_epoch(epoch, log)
    assert progress.best_metric is not None
    board.write_epoch(progress.best_epoch, {best_tag(metric): progress.best_metric})
    board.close()
    # A file of its own: TensorBoard reads all of a folder as one run.
    writer = tf.summary.create_file_writer(str(folder / name), filename_suffix=".hparams")
    with writer.as_default(step=0):
        hparams.hparams(dict(values), trial_id=name)
        ended = summary.session_end_pb(api_pb2.STATUS_SUCCESS)
        tf.summary.experimental.write_raw_pb(ended.SerializeToString(), step=0)
    writer.close()


def _domain(part: Any) -> hparams.Discrete | hparams.RealInterval:
    if isinstance(part, keras_tuner.engine.hyperparameters.Choice):
        return hparams.Discrete(part.values)
    return hparams.RealInterval(part.min_value, part.max_value)
