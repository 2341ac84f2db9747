"""The training loop: epochs, validation, early stopping, checkpoints."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.batches import BatchPlan
from trainer.board import Board
from trainer.catalogue import Catalogue
from trainer.checkpoints import Checkpoint, Progress, assign_variables, read_variables
from trainer.cluster import ClusterError, Workers
from trainer.models.tables import TrainingTables
from trainer.models.two_tower import TwoTower
from trainer.texts import TextVectors
from trainer.validation import CatalogueVectors, Validation

_LOG = logging.getLogger(__name__)


@dataclass
class Fit:
    """One training of one compiled model.

    Args:
      model: compiled, with its tables.
      plan: the batches.
      tables: the model's tables; text vectors of an encoder that learns are renewed after each epoch.
      vectors: computes those of the catalogue.
      catalogue: the items.
      texts: encodes item texts; None where there is no encoder.
      epochs: at most.
      patience: epochs without a better validation metric before the training stops.
      validation: None where the number of epochs is given.
      checkpoint: where the state is kept between epochs.
      board: where curves are written.
      name: of the training, for the log.
      cluster: the workers that train together.
    """

    model: TwoTower
    plan: BatchPlan
    tables: TrainingTables
    vectors: CatalogueVectors
    catalogue: Catalogue
    texts: TextVectors | None
    epochs: int
    patience: int
    validation: Validation | None
    checkpoint: Checkpoint
    board: Board
    name: str
    cluster: Workers

    def run(self) -> tuple[Progress, npt.NDArray[np.float32]]:
        """Trains until the end, from where the checkpoint stands.

        Returns:
          The progress, and the vectors of the catalogue [items, dim] of the best epoch, whose weights the model has:
          the last epoch where nothing is validated.
        """
        progress, best = self._resume()
        while not progress.finished:
            if progress.epoch < self.epochs:
                self.cluster.say(epoch=progress.epoch)
                log = self._train_epoch(progress.epoch)
                progress.epoch += 1
                best = self._judge(progress, log, best)
            progress.finished = progress.epoch >= self.epochs or self._out_of_patience(progress)
            self.checkpoint.save(progress, read_variables(self._state()), best)
        self.cluster.say(epoch=None)
        assign_variables(self.model.trainable_variables, best)
        return progress, self._renew_vectors()

    def follow(self) -> None:
        """Trains the epochs that the chief of several workers says, from where its checkpoint stands.

        Raises:
          ClusterError: if the chief's checkpoint is not to be seen from here.
        """
        stored = self.checkpoint.load()
        done = 0 if stored is None else stored[0].epoch
        if stored is not None:
            assign_variables(self._state(), stored[1])
            self._renew_texts()
        while (epoch := self.cluster.hear()["epoch"]) is not None:
            if epoch != done:
                raise ClusterError(
                    f"{self.name}: the chief is at epoch {epoch}, this worker's checkpoint at {done}: workers must "
                    "see the same run folder"
                )
            self._train_epoch(epoch)
            self._renew_texts()
            done += 1

    def _resume(self) -> tuple[Progress, list[npt.NDArray[Any]]]:
        stored = self.checkpoint.load()
        if stored is None:
            progress = Progress()
            return progress, self._judge(progress, {}, [])
        progress, state, best = stored
        assign_variables(self._state(), state)
        self._renew_vectors()
        for epoch, log in enumerate(progress.logs):
            self.board.write_epoch(epoch, log)
        _LOG.info("%s: goes on after epoch %d", self.name, progress.epoch)
        return progress, best

    def _state(self) -> list[Any]:
        """All that a training changes: what learns, the states of random generators, the optimizer's memory."""
        seeds = [variable for variable in self.model.non_trainable_variables if "seed_generator" in variable.path]
        return [*self.model.trainable_variables, *seeds, *self.model.optimizer.variables]

    def _train_epoch(self, epoch: int) -> dict[str, float]:
        started = time.monotonic()
        self.model.fit(
            self._distributed(epoch),
            initial_epoch=epoch,
            epochs=epoch + 1,
            steps_per_epoch=self.plan.steps,
            verbose=0,
            shuffle=False,
        )
        elapsed_s = time.monotonic() - started
        rate = float(self.model.optimizer.learning_rate.numpy())
        return {
            "train/loss": float(self.model.get_metrics_result()["loss"]),
            "train/learning_rate": rate,
            "train/encoder_learning_rate": rate * self.model.optimizer.slow_share,
            "train/examples_per_second": self.plan.steps * self.plan.batch_size * self.plan.replicas / elapsed_s,
        }

    def _distributed(self, epoch: int) -> Any:
        strategy = self.model.distribute_strategy
        if strategy.num_replicas_in_sync == 1:
            return self.plan.dataset(epoch)
        return strategy.distribute_datasets_from_function(
            lambda worker: self.plan.dataset(epoch, worker.input_pipeline_id, worker.num_input_pipelines)
        )

    def _judge(self, progress: Progress, log: dict[str, float], best: list[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Measures the model as it is and remembers it if it is the best so far."""
        vectors = self._renew_vectors()
        better = True
        if self.validation is not None:
            measured = self.validation.measure(vectors)
            log |= {f"validation/{name}": value for name, value in measured.items()}
            metric = measured[self.validation.metric]
            better = progress.best_metric is None or metric > progress.best_metric
            progress.best_metric = metric if better else progress.best_metric
        if better:
            progress.best_epoch = progress.epoch
            best = read_variables(self.model.trainable_variables)
        progress.logs.append(log)
        self.board.write_epoch(progress.epoch, log)
        self.board.write_weights(progress.epoch, self.model.trainable_variables)
        shown = " ".join(f"{name.partition('/')[2]}={value:.6g}" for name, value in log.items())
        _LOG.info("%s: epoch %d of %d: %s", self.name, progress.epoch, self.epochs, shown)
        return best

    def _renew_vectors(self) -> npt.NDArray[np.float32]:
        """Encodes the catalogue again if the encoder learns, then computes the vectors of all items."""
        self._renew_texts()
        return self.vectors.compute()

    def _renew_texts(self) -> None:
        if self.plan.encodes and self.tables.item_text is not None:
            assert self.texts is not None
            assert self.catalogue.texts is not None
            fresh = self.texts.encode(self.catalogue.texts)
            self.tables.item_text.assign(np.concatenate([np.zeros_like(fresh[:1]), fresh]))

    def _out_of_patience(self, progress: Progress) -> bool:
        return self.validation is not None and progress.epoch - progress.best_epoch >= self.patience
