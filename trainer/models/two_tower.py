"""The two-tower model: one vector for a request, one for an item, their product is the score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline import schema
from pipeline.config import Config
from trainer.batches import (
    DISTINCT_ROWS,
    FRESH_PLACES,
    FRESH_QUERIES,
    HISTORY_PLACES,
    ITEM_PLACES,
    QUERY_PLACES,
)
from trainer.catalogue import item_feature_names
from trainer.encoders.text import TextEncoder
from trainer.inputs import QUERY, WEIGHT, context_features, query_feature_names
from trainer.models.tables import TrainingTables
from trainer.tasks.retrieval import RetrievalTask
from trainer.towers.history import history_encoder
from trainer.towers.item import ItemTower
from trainer.towers.projection import TextProjection
from trainer.towers.query import QueryTower


class TwoTower(keras.Model):
    """A query tower and an item tower over one pretrained text encoder and one projection of its vectors.

    Args:
      config: features, model and seed.
      counts: [items] training examples of each item of the catalogue; those that have any get a vector of their id.
      sizes: number of values of each context and item feature that is an index.
      encoder: the pretrained text encoder, or None where no part reads text.
      text_matrix: [width, dim] where the text projection starts; None without an encoder.
    """

    train_function: Any

    def __init__(
        self,
        config: Config,
        counts: npt.NDArray[np.int64],
        *,
        sizes: Mapping[str, int],
        encoder: TextEncoder | None,
        text_matrix: npt.NDArray[np.float32] | None,
    ) -> None:
        super().__init__(name="two_tower")
        model, features = config.model, config.features
        shared: dict[str, Any] = {"hidden": model.hidden, "dropout": model.dropout, "l2": model.l2}
        self.encoder = encoder
        self.projection = None if text_matrix is None else TextProjection(text_matrix, l2=model.l2)
        self.item_feature_names = item_feature_names(config)
        self.query_feature_names = query_feature_names(config)
        self.history_used = features.history.used
        self.item_tower = ItemTower(
            model.dimension,
            id_counts=counts[counts > 0] if features.item.id else None,
            sizes={name: sizes[name] for name in self.item_feature_names if name != schema.FEATURE_PRICE},
            price=features.item.price,
            seed=config.seed + 1,
            **shared,
        )
        self.query_tower = QueryTower(
            model.dimension,
            history=history_encoder(
                features.history.encoder, model.dimension, l2=model.l2, times=features.history.times
            ),
            context={name: sizes[name] for name in context_features(config)},
            user_buckets=features.user_buckets,
            query=features.query,
            seed=config.seed + 2,
            **shared,
        )
        self.task = RetrievalTask(model.temperature, config.training.hard_negatives)
        self.logq = config.training.logq
        self.id_places = self._places_of_ids(counts)
        self._tables: TrainingTables | None = None

    def query_vectors(
        self,
        features: Mapping[str, tf.Tensor],
        history_rows: tf.Tensor,
        query_text_vectors: tf.Tensor | None,
        item_table: tf.Tensor,
    ) -> tf.Tensor:
        """Computes the vectors of requests.

        Args:
          features: transformed features, as Transform gives them.
          history_rows: [batch, H] integer, 1 + the row of each item, 0 pads and stands for unknown items.
          query_text_vectors: [batch, width] from `encode_text`, zeros where nobody typed; None if nobody ever does.
          item_table: [items, dim] the vectors of the catalogue, as `item_vectors` gives them.

        Returns:
          [batch, dim] float32 of length 1.
        """
        newest = history_rows[:, : self.history_used]
        entries = tf.gather(item_table, tf.maximum(newest - 1, 0))
        return self._query(features, entries, newest > 0, query_text_vectors, training=False)

    def item_vectors(
        self, features: Mapping[str, tf.Tensor], rows: tf.Tensor, text_vectors: tf.Tensor | None
    ) -> tf.Tensor:
        """Computes the vectors of items.

        Args:
          features: transformed features, as Transform gives them.
          rows: [batch] integer, rows of the catalogue, -1 for an item that is not in it.
          text_vectors: [batch, width] from `encode_text`; None where the towers read no item text.

        Returns:
          [batch, dim] float32 of length 1.
        """
        return self._items(features, rows + 1, text_vectors, training=False)

    def encode_text(self, texts: tf.Tensor) -> tf.Tensor:
        """Encodes token ids [batch, tokens], or strings [batch] for tensorflow_hub, to [batch, width] float32.

        Raises:
          ValueError: if the model reads no text.
        """
        if self.encoder is None:
            raise ValueError("this model has no text encoder: features.query is off and features.item.text is empty")
        return self.encoder(texts, training=False)

    def use_tables(self, tables: TrainingTables) -> None:
        """Says what training steps look up; needed before the first one."""
        self._tables = tables

    def call(self, inputs: Mapping[str, tf.Tensor], training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Computes the vectors of a training batch, as `BatchPlan` makes it: queries and their items, [batch, dim]."""
        tables = self._training_tables()
        rows = inputs[DISTINCT_ROWS]
        item_text = None if tables.item_text is None else tf.gather(tables.item_text, rows)
        query_text = None if tables.query_text is None else tf.gather(tables.query_text, inputs[QUERY])
        if FRESH_PLACES in inputs:
            item_text, query_text = self._fresh_texts(inputs, item_text, query_text, training)
        features = {name: tf.gather(tables.features[name], rows) for name in self.item_feature_names}
        items = self._items(features, rows, item_text, training)
        places = inputs[HISTORY_PLACES][:, : self.history_used]
        queries = self._query(inputs, tf.gather(items, places), places > 0, query_text, training)
        return queries, tf.gather(items, inputs[ITEM_PLACES])

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tf.Tensor:
        """Computes the retrieval loss of a batch plus the penalties on weights; replicas' parts add up to it."""
        del y, sample_weight, training
        queries, items = y_pred
        rows = tf.gather(x[DISTINCT_ROWS], x[ITEM_PLACES])
        probabilities = tf.gather(self._training_tables().probabilities, rows) if self.logq else None
        loss = self.task(
            queries,
            items,
            item_rows=rows,
            sampling_probabilities=probabilities,
            weights=x[WEIGHT],
        )
        penalties = tf.add_n([tf.cast(penalty, tf.float32) for penalty in self.losses]) if self.losses else 0.0
        return loss + penalties / tf.distribute.get_strategy().num_replicas_in_sync

    def make_train_function(self, force: bool = False) -> None:
        """Makes the step; that of Keras 3.15 averages a scalar along an axis between workers, and so fails."""
        if self.train_function is not None and not force:
            return
        step = tf.function(self.train_step, autograph=False, jit_compile=True) if self.jit_compile else self.train_step

        @tf.function(autograph=False, reduce_retracing=True)
        def train(batches: Any) -> dict[str, tf.Tensor]:
            self.distribute_strategy.run(step, args=(batches.get_next(),))
            return {}

        self.train_function = train

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Leaves out what Keras does before it fits: all is built, and its mean of workers' batches fails."""

    def _training_tables(self) -> TrainingTables:
        if self._tables is None:
            raise RuntimeError("call `use_tables` before training: the step looks up features and texts of items there")
        return self._tables

    def _fresh_texts(
        self, inputs: Mapping[str, tf.Tensor], item_text: tf.Tensor | None, query_text: tf.Tensor | None, training: bool
    ) -> tuple[tf.Tensor | None, tf.Tensor | None]:
        """Encodes the texts of the batch's labels and queries; items of histories keep their last vectors."""
        tables = self._training_tables()
        places = inputs[FRESH_PLACES]
        tokens = []
        if tables.item_tokens is not None:
            tokens.append(tf.gather(tables.item_tokens, tf.gather(inputs[DISTINCT_ROWS], places)))
        if tables.query_tokens is not None:
            tokens.append(tf.gather(tables.query_tokens, inputs[FRESH_QUERIES]))
        assert self.encoder is not None
        vectors = self.encoder(_trim(tf.concat(tokens, axis=0)), training=training)
        if item_text is not None:
            fresh = vectors[: tf.shape(places)[0]]
            item_text = tf.tensor_scatter_nd_update(item_text, places[:, tf.newaxis], fresh)
            vectors = vectors[tf.shape(places)[0] :]
        if query_text is not None:
            query_text = tf.gather(vectors, inputs[QUERY_PLACES])
        return item_text, query_text

    def _items(
        self, features: Mapping[str, tf.Tensor], lines: tf.Tensor, text: tf.Tensor | None, training: bool
    ) -> tf.Tensor:
        flat = {name: tf.reshape(features[name], [-1]) for name in self.item_feature_names}
        projected = None if text is None or self.projection is None else self.projection(text)
        return self.item_tower(flat, tf.gather(self.id_places, lines), projected, training=training)

    def _query(
        self,
        features: Mapping[str, tf.Tensor],
        entries: tf.Tensor,
        present: tf.Tensor,
        text: tf.Tensor | None,
        training: bool,
    ) -> tf.Tensor:
        wide = (schema.FEATURE_HISTORY_TYPES, schema.FEATURE_HISTORY_AGES)
        flat = {
            name: tf.cast(features[name][:, : self.history_used], tf.int32)
            if name in wide
            else tf.reshape(features[name], [-1])
            for name in self.query_feature_names
        }
        projected = None if text is None or self.projection is None else self.projection(text)
        return self.query_tower(flat, entries, present, projected, training=training)

    def _places_of_ids(self, counts: npt.NDArray[np.int64]) -> Any:
        """Numbers the items that have training examples from 1, after a line for padding; the others are 0.

        A weight, so that a saved model tells which items have a vector of their own.
        """
        numbers = np.concatenate([[0], np.where(counts > 0, np.cumsum(counts > 0), 0)])
        return self.add_weight(
            name="id_places",
            shape=numbers.shape,
            dtype="int32",
            initializer=lambda *_, **__: tf.constant(numbers, tf.int32),
            trainable=False,
        )


def _trim(tokens: tf.Tensor) -> tf.Tensor:
    """Cuts the columns in which every row is padding; one stays."""
    used = tf.reduce_max(tf.reduce_sum(tf.cast(tokens != 0, tf.int32), axis=1))
    return tokens[:, : tf.maximum(used, 1)]
