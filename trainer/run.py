"""The entry point that TFX's Trainer calls."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import tensorflow as tf

from pipeline.config import Config, parse_config
from trainer.catalogue import Catalogue, read_catalogue
from trainer.export import export_model
from trainer.inputs import EventExamples, read_examples
from trainer.phase import Phase, TrainedModel
from trainer.transform import EventTransform, feature_sizes
from trainer.validation_cases import ValidationCases, read_validation_cases

_LOG = logging.getLogger(__name__)
JUDGED, FINAL = "judged", "final"
_SCRATCH = "columns-"


def run_fn(fn_args: Any) -> None:
    """Trains and exports the shop's model.

    First a model learns from everything before the validation window and stops by that window. With
    `training.refit` a second one then learns from the validation window too, for as many epochs.

    Args:
      fn_args: TFX's arguments. `custom_config` holds `config` (JSON), `item_examples`, `item_transform_graph`,
        `tables`, `cases`, `checkpoints` and `cache` (folders). The final model goes to `serving_model_dir`; the one
        that has not seen the window by which models are judged to `eval_model_dir`.
    """
    custom = fn_args.custom_config
    config = parse_config(json.loads(custom["config"]))
    cache = Path(custom["cache"])
    cache.mkdir(parents=True, exist_ok=True)
    for left_over in cache.glob(f"{_SCRATCH}*"):
        # Of a training that was killed; only one run at a time works in a run folder.
        shutil.rmtree(left_over, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=_SCRATCH) as scratch:
        job = _read_job(fn_args, config, Path(scratch))
        first = job.train(JUDGED)
        final = job.train(FINAL, epochs=first.progress.best_epoch) if config.training.refit else first
        job.export(final, Path(fn_args.serving_model_dir))
        if job.has_test_window or final is first:
            shutil.copytree(fn_args.serving_model_dir, fn_args.eval_model_dir, dirs_exist_ok=True)
        else:
            job.export(first, Path(fn_args.eval_model_dir))
    shutil.rmtree(job.checkpoints, ignore_errors=True)


@dataclass(frozen=True)
class TrainingJob:
    """What both trainings share.

    Args:
      config: of the shop.
      catalogue: the items.
      examples: all of them.
      cases: of the validation window, None if it has none.
      has_test_window: whether models are judged by a later window than that.
      sizes: number of values of each feature that is an index.
      checkpoints: folder of these very inputs.
      fn_args: TFX's arguments.
    """

    config: Config
    catalogue: Catalogue
    examples: EventExamples
    cases: ValidationCases | None
    has_test_window: bool
    sizes: dict[str, int]
    checkpoints: Path
    fn_args: Any

    def train(self, name: str, epochs: int | None = None) -> TrainedModel:
        """Trains before the validation window and stops by it, or, with `epochs`, on everything for so long."""
        training = self.config.training
        examples = self.examples.training_split() if epochs is None else self.examples
        return Phase(
            name=name,
            config=self.config,
            catalogue=self.catalogue,
            examples=examples.newest(training.max_examples),
            sizes=self.sizes,
            cases=self.cases if epochs is None else None,
            epochs=training.epochs if epochs is None else epochs,
            cache=Path(self.fn_args.custom_config["cache"]),
            checkpoints=self.checkpoints,
            board=Path(self.fn_args.model_run_dir),
        ).run()

    def export(self, trained: TrainedModel, folder: Path) -> None:
        """Writes the SavedModel."""
        export_model(
            folder,
            model=trained.model,
            catalogue=self.catalogue,
            item_vectors=trained.item_vectors,
            event_transform_graph=self.fn_args.transform_output,
            item_transform_graph=self.fn_args.custom_config["item_transform_graph"],
            tables_dir=self.fn_args.custom_config["tables"],
            config=self.config,
        )


def _read_job(fn_args: Any, config: Config, scratch: Path) -> TrainingJob:
    custom = fn_args.custom_config
    catalogue = read_catalogue(_files([f"{custom['item_examples']}/Split-train/*"]), config)
    examples = read_examples(_files(fn_args.train_files), _files(fn_args.eval_files), catalogue, config, scratch)
    _LOG.info("read %d examples and %d items", len(examples), len(catalogue))
    folder = Path(custom["cases"])
    validation, test = folder / "validation.parquet", folder / "test.parquet"
    content = hashlib.sha256(config.model_dump_json().encode() + catalogue.digest() + str(examples.digest).encode())
    content.update(validation.read_bytes())
    return TrainingJob(
        config=config,
        catalogue=catalogue,
        examples=examples,
        cases=read_validation_cases(validation, catalogue, config, EventTransform(fn_args.transform_output)),
        has_test_window=pq.read_metadata(test).num_rows > 0,
        sizes=feature_sizes(fn_args.transform_output, custom["item_transform_graph"], config),
        checkpoints=Path(custom["checkpoints"]) / content.hexdigest()[:32],
        fn_args=fn_args,
    )


def _files(patterns: Sequence[str]) -> list[str]:
    return sorted(file for pattern in patterns for file in tf.io.gfile.glob(pattern))
