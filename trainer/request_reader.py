"""From the raw inputs of a request to what the towers and the ranking stage read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import tensorflow as tf

from pipeline import schema
from pipeline.config import Config
from trainer.encoders.text import fast_encoder
from trainer.ranking_stage import Request
from trainer.request_shapes import newest, spread_history

Tensors = Mapping[str, tf.Tensor]
Transform = Callable[[dict[str, tf.Tensor]], Tensors]


class Towers(Protocol):
    """What the served graph needs of a model; `trainer.models.two_tower.TwoTower` has it."""

    encoder: Any
    variables: list[Any]

    def encode_text(self, texts: tf.Tensor) -> tf.Tensor:
        """Encodes token ids [batch, tokens] or strings [batch] to [batch, width]."""

    def query_vectors(
        self, features: Tensors, history_rows: tf.Tensor, query_text_vectors: tf.Tensor | None, item_table: tf.Tensor
    ) -> tf.Tensor:
        """Computes the vectors of requests, [batch, dim]."""

    def item_vectors(self, features: Tensors, rows: tf.Tensor, text_vectors: tf.Tensor | None) -> tf.Tensor:
        """Computes the vectors of items, [batch, dim]."""


class TextReader(tf.Module):
    """Encodes the texts of requests and items.

    Args:
      config: the shop.
      model: the trained towers.
    """

    def __init__(self, config: Config, model: Towers) -> None:
        super().__init__(name="texts")
        self._tokenised = config.encoder.kind == "keras_nlp"
        self._fast: Any = None
        self._encode: Any = None
        self._width = 0
        if model.encoder is not None:
            self._fast = fast_encoder(model.encoder)
            encode = model.encode_text if self._fast is None else self._fast.__call__
            # One function, which all signatures call: to trace and load hundreds of ops for each takes seconds.
            read = tf.TensorSpec([None, None], tf.int64) if self._tokenised else tf.TensorSpec([None], tf.string)
            self._encode = tf.function(encode, input_signature=[read], autograph=False)
            self._width = int(model.encoder.width)

    def vectors(self, features: Tensors, *, tokens: str, strings: str, wanted: tf.Tensor | None = None) -> tf.Tensor:
        """Encodes what the transformed features hold.

        Args:
          features: transformed features.
          tokens: the feature that holds token ids [batch, tokens], where the encoder reads such.
          strings: the feature that holds strings [batch, 1], where it reads those.
          wanted: bool [batch], which rows have a text; the others are zeros and cost nothing. None means all.

        Returns:
          [batch, width] float32.
        """
        texts = features[tokens] if self._tokenised else tf.reshape(features[strings], [-1])
        return self._vectors(texts) if wanted is None else self._vectors_where(wanted, texts)

    def _vectors(self, texts: tf.Tensor) -> tf.Tensor:
        if self._tokenised:
            # Requests are short: the columns that are padding in every row would only cost time.
            used = tf.reduce_max(tf.reduce_sum(tf.cast(tf.not_equal(texts, 0), tf.int32), axis=1))
            texts = texts[:, : tf.maximum(used, 1)]
        return self._encode(texts)

    def _vectors_where(self, wanted: tf.Tensor, texts: tf.Tensor) -> tf.Tensor:
        places = tf.where(wanted)
        batch, width = tf.shape(wanted, tf.int64)[0], self._width

        def encode() -> tf.Tensor:
            vectors = self._vectors(tf.gather(texts, places[:, 0]))
            return tf.scatter_nd(places, tf.ensure_shape(vectors, [None, width]), tf.stack([batch, width]))

        return tf.cond(tf.reduce_any(wanted), encode, lambda: tf.zeros(tf.stack([batch, width])))


class RequestReader(tf.Module):
    """Reads requests: transform graph, history, query text, query tower.

    Args:
      config: the shop.
      model: the trained towers.
      texts: encodes what visitors typed.
      transform: the Transform step's graph for events.
      rows: finds catalogue rows by item id, -1 for an unknown one.
      item_vectors: [items, dim], the index's.
    """

    def __init__(
        self,
        config: Config,
        *,
        model: Towers,
        texts: TextReader,
        transform: Transform,
        rows: tf.lookup.StaticHashTable,
        item_vectors: tf.Variable,
    ) -> None:
        super().__init__(name="requests")
        self._features, self._usual_event = config.features, config.split.truth_events[0]
        self._transform = transform
        self._query_vectors = model.query_vectors
        self._texts = texts
        self._rows = rows
        self._item_vectors = item_vectors

    def read(self, inputs: Tensors) -> Request:
        """Computes what is known of requests from the inputs of a signature, [batch] or [batch, n] each."""
        return self._read(inputs)[0]

    def read_search(self, inputs: Tensors) -> tuple[Request, tf.Tensor]:
        """Computes what is known of searches, and the vectors [batch, dim] of their queries alone, whoever asks."""
        request, text = self._read(inputs)
        features = numbers(request.features)
        who = {name: each for name, each in features.items() if _tells_who(name)}

        def alone() -> tf.Tensor:
            nobody = features | {name: tf.zeros_like(each) for name, each in who.items()}
            nothing = tf.zeros(tf.stack([tf.shape(request.queries)[0], self._features.history.length]), tf.int64)
            return self._query_vectors(nobody, nothing, text, self._item_vectors)

        says = [tf.reduce_any(tf.not_equal(each, 0)) for each in who.values()]
        says.append(tf.reduce_any(request.history_rows >= 0))
        # Where nobody is known there is nothing to leave out.
        return request, tf.cond(tf.reduce_any(tf.stack(says)), alone, lambda: request.queries)

    def nobody(self, inputs: Tensors) -> Tensors:
        """Completes the inputs of requests [batch] that say nothing but what was typed."""
        query = inputs[schema.RAW_QUERY]
        unknown = tf.fill(tf.shape(query), "")
        missing = dict.fromkeys((schema.RAW_USER_ID, *self._features.context), unknown)
        missing[schema.RAW_TIMESTAMP] = tf.zeros_like(query, tf.int64)
        missing |= {name: tf.fill([tf.shape(query)[0], 1], pad) for name, pad in schema.HISTORY_PADS.items()}
        return {**missing, **inputs}

    def _read(self, inputs: Tensors) -> tuple[Request, tf.Tensor | None]:
        history = self._history(inputs)
        timestamps = _moments(inputs)
        features = self._transform(self._raw(inputs, history, timestamps))
        rows = self._rows.lookup(history[schema.RAW_HISTORY_ITEM_IDS])
        read = newest(rows, length=self._features.history.length, pad=-1)
        ages, quantities = history[schema.RAW_HISTORY_AGES_DAYS], history[schema.RAW_HISTORY_QUANTITIES]
        text = None
        if self._features.query:
            typed = tf.not_equal(tf.strings.strip(inputs[schema.RAW_QUERY]), "")
            names = {"tokens": schema.FEATURE_QUERY_TOKENS, "strings": schema.RAW_QUERY}
            text = self._texts.vectors(features, **names, wanted=typed)
        request = Request(
            queries=self._query_vectors(numbers(features), read + 1, text, self._item_vectors),
            features=features,
            inputs=inputs,
            timestamps=timestamps,
            history_rows=rows,
            history_types=history[schema.RAW_HISTORY_EVENT_TYPES],
            history_ages_days=ages if self._features.history.times else tf.zeros_like(ages),
            history_quantities=tf.where(quantities > 0, quantities, 1.0),
        )
        return request, text

    def silent(self, request: Request) -> tf.Tensor:
        """Tells which requests say nothing: no known item, context or query, and nobody whom the towers tell apart.

        Returns:
          bool [batch].
        """
        says = tf.reduce_any(request.history_rows >= 0, axis=1)
        known = [schema.FEATURE_CONTEXT_PREFIX + name for name in self._features.context]
        known += [schema.FEATURE_USER_BUCKET] if self._features.user_buckets else []
        for name in known:
            says |= tf.reshape(request.features[name], [-1]) > 0
        query = request.inputs.get(schema.RAW_QUERY)
        return ~says if query is None else ~says & tf.equal(tf.strings.strip(query), "")

    def transform(self, inputs: Tensors) -> Tensors:
        """Computes the transformed features of requests, by the transform graph of the training events."""
        return self._transform(self._raw(inputs, self._history(inputs), _moments(inputs)))

    def _raw(self, inputs: Tensors, history: Tensors, timestamps: tf.Tensor) -> dict[str, tf.Tensor]:
        raw = {name: inputs[name][:, tf.newaxis] for name in (schema.RAW_USER_ID, *self._features.context)}
        raw[schema.RAW_TIMESTAMP] = timestamps[:, tf.newaxis]
        query = inputs.get(schema.RAW_QUERY)
        raw[schema.RAW_QUERY] = tf.zeros_like(raw[schema.RAW_USER_ID]) if query is None else query[:, tf.newaxis]
        length = self._features.history.length
        read = [name for name in history if name != schema.RAW_HISTORY_QUANTITIES]
        return raw | {name: newest(history[name], length=length, pad=schema.HISTORY_PADS[name]) for name in read}

    def _history(self, inputs: Tensors) -> dict[str, tf.Tensor]:
        """Makes the parts of the histories equally long, [batch, given]."""
        batch = tf.shape(inputs[schema.RAW_USER_ID])[0]
        given = tf.shape(inputs[schema.RAW_HISTORY_ITEM_IDS])[1]
        parts = {
            name: spread_history(inputs[name], batch, given=given, pad=pad) for name, pad in schema.HISTORY_PADS.items()
        }
        ids, types = parts[schema.RAW_HISTORY_ITEM_IDS], parts[schema.RAW_HISTORY_EVENT_TYPES]
        untold = tf.equal(types, "") & tf.not_equal(ids, "")
        parts[schema.RAW_HISTORY_EVENT_TYPES] = tf.where(untold, self._usual_event, types)
        return parts


def _moments(inputs: Tensors) -> tf.Tensor:
    moment = inputs[schema.RAW_TIMESTAMP]
    return tf.where(tf.equal(moment, 0), tf.cast(tf.timestamp(), tf.int64), moment)


def _tells_who(name: str) -> bool:
    """Says whether a transformed feature tells who asks; 0 is what a missing one comes to."""
    known = (schema.FEATURE_USER_BUCKET, schema.FEATURE_HISTORY_TYPES, schema.FEATURE_HISTORY_AGES)
    return name in known or name.startswith(schema.FEATURE_CONTEXT_PREFIX)


def numbers(features: Tensors) -> dict[str, tf.Tensor]:
    """Leaves out the transformed features that are strings: the towers read none."""
    return {name: values for name, values in features.items() if values.dtype != tf.string}
