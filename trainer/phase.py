"""One training from scratch: model, tables and optimizer are made, then fitted."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline.config import Config
from trainer.batches import BatchPlan
from trainer.board import Board
from trainer.catalogue import Catalogue
from trainer.checkpoints import Checkpoint, Progress
from trainer.cluster import Workers
from trainer.device import deterministic_ops, precision, precision_policy
from trainer.encoders.text import TextEncoder, load_encoder
from trainer.fitting import Fit
from trainer.inputs import EventExamples, query_feature_names
from trainer.models.tables import TrainingTables
from trainer.models.two_tower import TwoTower
from trainer.optimizer import make_optimizer
from trainer.texts import TextVectors, Vectors
from trainer.towers.projection import principal_projection
from trainer.validation import CatalogueVectors, Validation
from trainer.validation_cases import ValidationCases

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Phase:
    """A training and all that it depends on.

    Args:
      name: for logs, curves and the checkpoint.
      config: of the shop.
      catalogue: the items.
      examples: what to learn from.
      sizes: number of values of each feature that is an index.
      cases: requests to stop early by; None where `epochs` says when to stop.
      epochs: at most.
      cache: folder of text vectors.
      checkpoints: folder of this and only this training's inputs.
      board: folder of curves.
      encoder_weights: file of an adapted encoder's; None takes those that the configuration names.
      cluster: the workers that train together.
    """

    name: str
    config: Config
    catalogue: Catalogue
    examples: EventExamples
    sizes: Mapping[str, int]
    cases: ValidationCases | None
    epochs: int
    cache: Path
    checkpoints: Path
    board: Path
    encoder_weights: Path | None = None
    cluster: Workers = field(default_factory=Workers)

    def run(self) -> TrainedModel:
        """Trains, from where the checkpoint stands.

        Raises:
          ValueError: if there is nothing to learn from.
        """
        if not len(self.examples):
            raise ValueError(
                "there is no training example before the window: check training.event_weights and split.test_start "
                "against the event types and dates in the events table"
            )
        with self._made() as (fit, item_texts):
            fit.board.write_config(self.config)
            progress, item_vectors = fit.run()
        fit.board.write_items(item_vectors, self.catalogue, self._counts())
        fit.board.close()
        return TrainedModel(fit.model, item_vectors, item_texts, progress)

    def follow(self) -> None:
        """Takes part in a training that the chief of several workers runs."""
        with self._made() as (fit, _):
            fit.follow()

    @contextlib.contextmanager
    def _made(self) -> Iterator[tuple[Fit, Vectors | None]]:
        """Makes what is fitted, and the items' text vectors from before; ops inside are as deterministic as asked."""
        training = self.config.training
        if training.xla and training.deterministic:
            _LOG.warning("training.xla: compiled steps use fast ops; on a GPU the same seed may give another model")
        # Keras compiles no step while ops have to be deterministic.
        with deterministic_ops(training.deterministic and not training.xla):
            keras.utils.set_random_seed(self.config.seed)
            strategy = self.cluster.strategy
            texts = self._texts(strategy)
            vectors = _EncodedTexts(None, None) if texts is None else self._encode(texts)
            # Again: whether texts were in the cache must make no difference to how the towers start.
            keras.utils.set_random_seed(self.config.seed)
            with strategy.scope(), precision(self._policy):
                fit = self._prepare(texts, vectors)
            yield fit, vectors.items

    def _texts(self, strategy: tf.distribute.Strategy) -> TextVectors | None:
        if not self.config.features.query and not self.config.features.item.text:
            return None
        if not self._encodes:
            # It takes no part in the steps, so the devices need no copies of it.
            return self._text_vectors("float32")
        with strategy.scope():
            return self._text_vectors(self._policy)

    def _text_vectors(self, dtype: str) -> TextVectors:
        encoder, seed = self.config.encoder, self.config.seed
        loaded = load_encoder(encoder, dtype, seed=seed, weights=self.encoder_weights)
        return TextVectors(encoder, loaded, self.cache, seed=seed)

    def _encode(self, texts: TextVectors) -> _EncodedTexts:
        items, queries = self.catalogue.texts, self.examples.query_texts
        # What a frozen encoder has computed the others find in the cache.
        with contextlib.nullcontext() if self._encodes else self.cluster.chief_first():
            return _EncodedTexts(
                items=None if items is None else texts.encode(items),
                queries=texts.encode(queries) if self.config.features.query else None,
            )

    def _prepare(self, texts: TextVectors | None, vectors: _EncodedTexts) -> Fit:
        training = self.config.training
        encoder = None if texts is None else texts.encoder
        tables = TrainingTables(
            self.catalogue,
            self._counts(),
            item_text=vectors.items,
            query_text=vectors.queries,
            encodes=self._encodes,
            query_tokens=self.examples.query_texts if self.config.features.query else None,
        )
        matrix = vectors.projection(self.config.model.dimension)
        model = TwoTower(self.config, self._counts(), sizes=self.sizes, encoder=encoder, text_matrix=matrix)
        model.use_tables(tables)
        plan = self._plan(encoder)
        model({name: tf.constant(values) for name, values in next(plan.numpy_batches(0)).items()})
        encoder_variables = [] if encoder is None else encoder.trainable_variables
        steps = plan.steps * training.epochs
        # XLA compiles no exchange between replicas.
        xla = training.xla and plan.replicas == 1
        model.compile(optimizer=make_optimizer(training, steps, encoder_variables), jit_compile=xla)
        model.optimizer.build(model.trainable_variables)
        cases, metric = self.cases, self.config.gate.metric
        return Fit(
            model=model,
            plan=plan,
            tables=tables,
            vectors=CatalogueVectors(model, tables),
            catalogue=self.catalogue,
            texts=texts,
            epochs=self.epochs,
            patience=training.early_stopping_patience,
            validation=None if cases is None else Validation(model, cases, metric, texts),
            checkpoint=Checkpoint(self.checkpoints / self.name),
            board=Board(self.board / self.name),
            name=self.name,
            cluster=self.cluster,
        )

    def _plan(self, encoder: TextEncoder | None) -> BatchPlan:
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        return BatchPlan(
            examples=self.examples,
            batch_size=max(1, self.config.training.batch_size // replicas),
            items=len(self.catalogue),
            seed=self.config.seed,
            features=query_feature_names(self.config),
            encodes=encoder is not None and self._encodes,
            replicas=replicas,
        )

    @property
    def _policy(self) -> str:
        return precision_policy(self.config.training.mixed_precision)

    @property
    def _encodes(self) -> bool:
        return self.config.encoder.mode != "frozen"

    def _counts(self) -> npt.NDArray[np.int64]:
        return self.examples.item_counts(len(self.catalogue))


@dataclass(frozen=True)
class _EncodedTexts:
    """Text vectors [n, width] before the training; None where the towers read no such text."""

    items: Vectors | None
    queries: Vectors | None

    def projection(self, dimension: int) -> Vectors | None:
        """Answers where the text projection starts: it keeps what tells the items apart, or else the queries."""
        ground = self.queries if self.items is None else self.items
        return None if ground is None else principal_projection(ground, dimension)


@dataclass(frozen=True)
class TrainedModel:
    """What a phase ends with.

    Args:
      model: with the weights of its best epoch.
      item_vectors: [items, dim] of the whole catalogue.
      item_texts: [items, width] text vectors from before the training; None where the towers read no item text.
      progress: what was measured on the way.
    """

    model: TwoTower
    item_vectors: npt.NDArray[np.float32]
    item_texts: Vectors | None
    progress: Progress
