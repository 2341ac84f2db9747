"""What a training needs: the items, the examples and the cases that the steps before have made."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import tensorflow as tf

from pipeline.config import Config
from trainer.catalogue import Catalogue, read_catalogue
from trainer.cluster import Workers
from trainer.export import Learned, export_model
from trainer.heads.head import LearnedHead
from trainer.inputs import EventExamples, read_examples
from trainer.phase import Phase, TrainedModel
from trainer.ranking_stage import RankingStage
from trainer.search import LearnedSearch
from trainer.transform import EventTransform, QueryTokens, feature_sizes
from trainer.validation_cases import ValidationCases, read_validation_cases

_LOG = logging.getLogger(__name__)
_SCRATCH = "columns-"


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
      cluster: the workers that train together.
      encoder_weights: file of the adapted encoder's; None without adaptation.
    """

    config: Config
    catalogue: Catalogue
    examples: EventExamples
    cases: ValidationCases | None
    has_test_window: bool
    sizes: dict[str, int]
    checkpoints: Path
    fn_args: Any
    cluster: Workers
    encoder_weights: Path | None = None

    def train(self, name: str, epochs: int | None = None, before: int | None = None) -> TrainedModel:
        """Trains towers, with all other workers if there are any.

        Args:
          name: of the training.
          epochs: how long; None trains on what is before the validation window and stops by that.
          before: with `epochs`, learn only from events before this moment, seconds since 1970 UTC.
        """
        self.cluster.say(name=name, epochs=epochs, before=before)
        return self._phase(name, epochs, before).run()

    def follow(self, name: str, epochs: int | None, before: int | None) -> None:
        """Takes part in what `train` does on the chief of several workers, and keeps nothing."""
        self._phase(name, epochs, before).follow()

    def _phase(self, name: str, epochs: int | None, before: int | None) -> Phase:
        training = self.config.training
        examples = self.examples.training_split() if epochs is None else self.examples
        examples = examples if before is None else examples.before(before)
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
            encoder_weights=self.encoder_weights,
            cluster=self.cluster,
        )

    def export(
        self,
        trained: TrainedModel,
        folder: Path,
        stage: RankingStage | None,
        heads: Mapping[str, LearnedHead],
        *,
        search: LearnedSearch,
        refitted: bool,
    ) -> None:
        """Writes the SavedModel of towers, which may know the validation window, and what was learned beside them."""
        export_model(
            folder,
            Learned(trained.model, self.catalogue, trained.item_vectors, stage, heads, search, refitted),
            event_transform_graph=self.fn_args.transform_output,
            item_transform_graph=self.fn_args.custom_config["item_transform_graph"],
            tables_dir=self.fn_args.custom_config["tables"],
            config=self.config,
        )


@contextlib.contextmanager
def scratch_columns(cache: Path) -> Iterator[Path]:
    """Makes a folder for columns that do not fit in memory, and removes it at the end.

    Args:
      cache: the folder that it is made in; what a killed training left there goes.

    Yields:
      The folder.
    """
    cache.mkdir(parents=True, exist_ok=True)
    for left_over in cache.glob(f"{_SCRATCH}*"):
        # Only one run at a time works in a run folder.
        shutil.rmtree(left_over, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=_SCRATCH) as scratch:
        yield Path(scratch)


def read_job(fn_args: Any, config: Config, scratch: Path, cluster: Workers) -> TrainingJob:
    """Reads what the steps before have made.

    Args:
      fn_args: TFX's arguments, as `trainer.run.run_fn` gets them.
      config: of the shop.
      scratch: folder for examples that do not fit in memory; it must outlive the job.
      cluster: the workers that train together.
    """
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
        cluster=cluster,
        encoder_weights=_adapted(config, catalogue, fn_args, cluster),
    )


def _adapted(config: Config, catalogue: Catalogue, fn_args: Any, cluster: Workers) -> Path | None:
    if config.adaptation.mode == "none":
        return None
    # It imports KerasNLP, which other shops need not wait for.
    from trainer.adaptation.stage import adapted_weights

    custom = fn_args.custom_config
    board = Path(fn_args.model_run_dir or custom["board"]) / "adaptation"
    tokenise = QueryTokens(fn_args.transform_output, config)
    with cluster.chief_first():
        return adapted_weights(
            config, catalogue, custom["tables"], tokenise=tokenise, cache=Path(custom["cache"]), board=board
        )


def _files(patterns: Sequence[str]) -> list[str]:
    return sorted(file for pattern in patterns for file in tf.io.gfile.glob(pattern))
