"""The entry point that TFX's Trainer calls."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

from pipeline.config import Config, parse_config
from trainer.cluster import ClusterError, Workers, join
from trainer.heads.windows import HeadTrainer
from trainer.job import read_job, scratch_columns
from trainer.ranking.windows import StageTrainer
from trainer.search_training import learn_search
from trainer.tuning import settings

_LOG = logging.getLogger(__name__)
JUDGED, FINAL = "judged", "final"
# What of TFX's arguments other workers need; the folders must be the same for all of them.
SHARED_ARGUMENTS = ("train_files", "eval_files", "transform_output", "custom_config")


def run_fn(fn_args: Any) -> None:
    """Trains and exports the shop's model.

    First a model learns from everything before the validation window and stops by that window. With
    `training.refit` a second one then learns from the validation window too, for as many epochs. With
    `ranking.enabled` each gets a ranking stage and heads, which learn from windows that are over.

    Where `TF_CONFIG` names several workers this one is their chief: all of them train the towers, the rest happens here
    while they wait (`trainer.worker.work`).

    Args:
      fn_args: TFX's arguments. `custom_config` holds `config` (JSON), `item_examples`, `item_transform_graph`,
        `tables`, `cases`, `checkpoints` and `cache` (folders). The final model goes to `serving_model_dir`; the one
        that has not seen the window by which models are judged to `eval_model_dir`. `hyperparameters`, where there
        are any, are the best that the tuner has found; they take the place of the configuration's.

    Raises:
      ClusterError: if another worker is gone, or this one is not the chief.
    """
    custom = fn_args.custom_config
    config = parse_config(json.loads(custom["config"]))
    if fn_args.hyperparameters:
        chosen = fn_args.hyperparameters["values"]
        _LOG.info("with the tuner's values: %s", settings.in_words(chosen))
        config = settings.with_values(config, chosen)
    with join() as cluster:
        if not cluster.chief:
            raise ClusterError("TF_CONFIG: this worker is not the chief; start it by `aisle worker`")
        cluster.say(
            config=config.model_dump(mode="json"), **{name: getattr(fn_args, name) for name in SHARED_ARGUMENTS}
        )
        _train(fn_args, config, cluster)


def _train(fn_args: Any, config: Config, cluster: Workers) -> None:
    custom = fn_args.custom_config
    with scratch_columns(Path(custom["cache"])) as scratch:
        job = read_job(fn_args, config, scratch, cluster)
        first = job.train(JUDGED)
        final = job.train(FINAL, epochs=first.progress.best_epoch) if config.training.refit else first
        stages = StageTrainer(job, first)
        refitted = final is not first
        stage = stages.final() if refitted else stages.judged()
        heads = HeadTrainer(config, job.catalogue, custom["tables"], first.item_texts)
        found = heads.final() if refitted else heads.judged()
        search = learn_search(job, first)
        serving = Path(fn_args.serving_model_dir)
        job.export(final, serving, stage, found, search=search, refitted=refitted)
        if job.has_test_window or not refitted:
            shutil.copytree(serving, fn_args.eval_model_dir, dirs_exist_ok=True)
        else:
            judged = Path(fn_args.eval_model_dir)
            job.export(first, judged, stages.judged(), heads.judged(), search=search, refitted=False)
    shutil.rmtree(job.checkpoints, ignore_errors=True)
