"""The served graph: raw strings and numbers in, items out.

`ServedModel` holds all that an answer needs; `build_signatures` is the one place where signatures are made.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_text  # noqa: F401  # registers the tokenisers' ops, without which a transform graph does not load
import tensorflow_transform as tft

from pipeline import schema
from pipeline.config import Config
from trainer import contract
from trainer.catalogue import Catalogue
from trainer.contract import Port, SignatureContract
from trainer.index import ExactIndex
from trainer.request_shapes import fit_batch, fit_history, fit_lists

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


class ServedModel(tf.Module):
    """Everything that an answer needs: transform graphs, catalogue, towers, index.

    Args:
      config: the shop.
      model: the trained towers.
      catalogue: the items.
      item_vectors: [items, dim] float32, what `model.item_vectors` gives for the catalogue.
      event_transform_graph: folder of the Transform step's output for events.
      item_transform_graph: the same for items.
    """

    def __init__(
        self,
        config: Config,
        *,
        model: Towers,
        catalogue: Catalogue,
        item_vectors: npt.NDArray[np.float32],
        event_transform_graph: str,
        item_transform_graph: str,
    ) -> None:
        super().__init__(name="aisle")
        if len(catalogue.ids) != len(item_vectors):
            raise ValueError(f"expected one vector for each of {len(catalogue.ids)} items, got {len(item_vectors)}")
        self._config = config
        self._transform_events: Transform = tft.TFTransformOutput(event_transform_graph).transform_features_layer()
        self._transform_items: Transform = tft.TFTransformOutput(item_transform_graph).transform_features_layer()
        self.index = ExactIndex(item_vectors)
        # A pad before the first item, so that row -1 reads as "".
        self._ids = tf.Variable(["", *catalogue.ids], trainable=False, name="item_ids")
        self._titles = tf.Variable(["", *catalogue.titles], trainable=False, name="titles")
        # No signature answers these two; the evaluation compares the items of a list by them.
        self.item_ids, self.item_vectors = self._ids, self.index.vectors
        rows = tf.range(len(catalogue.ids), dtype=tf.int64)
        table = tf.lookup.KeyValueTensorInitializer(tf.constant(list(catalogue.ids)), rows)
        self._rows = tf.lookup.StaticHashTable(table, default_value=-1)
        # The Keras model stays out of the saved object, as only what the signatures call is served: its weights
        # are named here, and what its methods need beyond them (a module from TensorFlow Hub).
        self._weights = [variable.value for variable in model.variables]
        self._text_module = getattr(model.encoder, "module", None)
        self._text_width = 0 if model.encoder is None else int(model.encoder.width)
        self._encode_text, self._query_vectors, self._item_vectors = (
            model.encode_text,
            model.query_vectors,
            model.item_vectors,
        )

    def recommend(self, inputs: Tensors) -> Tensors:
        """Answers `recommend` and `search`."""
        return self._answer(self._queries(inputs), inputs, self._excluded(inputs))

    def similar_items(self, inputs: Tensors) -> Tensors:
        """Answers `similar_items`: nothing for an unknown item, and never the item itself."""
        rows = self._rows.lookup(inputs[schema.RAW_ITEM_ID])
        queries = tf.gather(self.index.vectors, tf.maximum(rows, 0))
        excluded = tf.concat([self._excluded(inputs), rows[:, tf.newaxis]], axis=1)
        return self._answer(queries, inputs, excluded, known=rows >= 0)

    def embed_items(self, inputs: Tensors) -> Tensors:
        """Answers `embed_items`."""
        raw = {name: inputs[name][:, tf.newaxis] for name in (schema.RAW_ITEM_ID, *schema.RAW_ITEM_TEXTS)}
        price = inputs[schema.RAW_PRICE][:, tf.newaxis]
        raw[schema.RAW_PRICE] = tf.where(tf.math.is_finite(price), price, 0.0)
        features = self._transform_items(raw)
        text = None
        if self._config.features.item.text:
            text = self._text_vectors(self._texts(features, schema.FEATURE_TEXT_TOKENS, schema.FEATURE_TEXT))
        rows = self._rows.lookup(inputs[schema.RAW_ITEM_ID])
        return {"embedding": self._item_vectors(_numbers(features), rows, text)}

    def rank(self, inputs: Tensors) -> Tensors:
        """Answers `rank`."""
        rows = self._rows.lookup(inputs[contract.CANDIDATES])
        return {"scores": self.index.scores_of(self._queries(inputs), rows)}

    def transform_request(self, inputs: Tensors) -> Tensors:
        """Computes the transformed features of requests, by the transform graph of the training events."""
        raw = {name: inputs[name][:, tf.newaxis] for name in (schema.RAW_USER_ID, *self._config.features.context)}
        moment = inputs[schema.RAW_TIMESTAMP]
        now = tf.cast(tf.timestamp(), tf.int64)
        raw[schema.RAW_TIMESTAMP] = tf.where(tf.equal(moment, 0), now, moment)[:, tf.newaxis]
        query = inputs.get(schema.RAW_QUERY)
        raw[schema.RAW_QUERY] = tf.zeros_like(raw[schema.RAW_USER_ID]) if query is None else query[:, tf.newaxis]
        return self._transform_events(raw | self._history(inputs))

    def _history(self, inputs: Tensors) -> dict[str, tf.Tensor]:
        batch = tf.shape(inputs[schema.RAW_USER_ID])[0]
        given = tf.shape(inputs[schema.RAW_HISTORY_ITEM_IDS])[1]
        pads: dict[str, str | float] = {
            schema.RAW_HISTORY_ITEM_IDS: "",
            schema.RAW_HISTORY_EVENT_TYPES: "",
            schema.RAW_HISTORY_AGES_DAYS: 0.0,
        }
        length = self._config.features.history.length
        fitted = {
            name: fit_history(inputs[name], batch, given=given, length=length, pad=pad) for name, pad in pads.items()
        }
        ids, types = fitted[schema.RAW_HISTORY_ITEM_IDS], fitted[schema.RAW_HISTORY_EVENT_TYPES]
        untold = tf.equal(types, "") & tf.not_equal(ids, "")
        fitted[schema.RAW_HISTORY_EVENT_TYPES] = tf.where(untold, self._config.split.truth_events[0], types)
        return fitted

    def _queries(self, inputs: Tensors) -> tf.Tensor:
        features = self.transform_request(inputs)
        rows = self._rows.lookup(features[schema.RAW_HISTORY_ITEM_IDS]) + 1
        text = None
        if self._config.features.query:
            texts = self._texts(features, schema.FEATURE_QUERY_TOKENS, schema.RAW_QUERY)
            typed = tf.not_equal(tf.strings.strip(inputs[schema.RAW_QUERY]), "")
            text = self._text_vectors_where(typed, texts)
        return self._query_vectors(_numbers(features), rows, text, self.index.vectors)

    def _texts(self, features: Tensors, tokens: str, strings: str) -> tf.Tensor:
        """Picks what the encoder reads: token ids [batch, tokens] or strings [batch]."""
        if self._config.encoder.kind == "keras_nlp":
            return features[tokens]
        return tf.reshape(features[strings], [-1])

    def _text_vectors(self, texts: tf.Tensor) -> tf.Tensor:
        if self._config.encoder.kind == "keras_nlp":
            # Requests are short: the columns that are padding in every row would only cost time.
            used = tf.reduce_max(tf.reduce_sum(tf.cast(tf.not_equal(texts, 0), tf.int32), axis=1))
            texts = texts[:, : tf.maximum(used, 1)]
        return self._encode_text(texts)

    def _text_vectors_where(self, typed: tf.Tensor, texts: tf.Tensor) -> tf.Tensor:
        """Encodes the rows where somebody typed, [batch, width]; the others are zeros and cost nothing."""
        places = tf.where(typed)
        batch, width = tf.shape(typed, tf.int64)[0], self._text_width

        def encode() -> tf.Tensor:
            vectors = self._text_vectors(tf.gather(texts, places[:, 0]))
            return tf.scatter_nd(places, tf.ensure_shape(vectors, [None, width]), tf.stack([batch, width]))

        return tf.cond(tf.reduce_any(typed), encode, lambda: tf.zeros(tf.stack([batch, width])))

    def _excluded(self, inputs: Tensors) -> tf.Tensor:
        return self._rows.lookup(inputs[contract.EXCLUDE])

    def _answer(
        self, queries: tf.Tensor, inputs: Tensors, excluded: tf.Tensor, known: tf.Tensor | None = None
    ) -> Tensors:
        rows, scores = self.index.top(queries, inputs[contract.K], excluded)
        if known is not None:
            rows = tf.where(known[:, tf.newaxis], rows, -1)
            scores = tf.where(known[:, tf.newaxis], scores, -np.inf)
        return {
            "item_ids": tf.gather(self._ids, rows + 1),
            "scores": scores,
            "titles": tf.gather(self._titles, rows + 1),
        }


def build_signatures(served: ServedModel, config: Config) -> dict[str, Any]:
    """Makes the function of every signature, with input names, types and defaults as the contract says.

    Args:
      served: the served graph.
      config: the shop.

    Returns:
      Graph functions by signature name, for `tf.saved_model.save`.
    """
    answers: dict[str, Callable[[Tensors], Tensors]] = {
        contract.RECOMMEND: served.recommend,
        contract.SEARCH: served.recommend,
        contract.SIMILAR_ITEMS: served.similar_items,
        contract.EMBED_ITEMS: served.embed_items,
        contract.RANK: served.rank,
    }
    contracts = contract.signature_contracts(config)
    functions = {
        name: _signature(each, answers[name]) for name, each in contracts.items() if name != contract.SERVING_DEFAULT
    }
    return {**functions, contract.SERVING_DEFAULT: functions[contract.RECOMMEND]}


def _signature(described: SignatureContract, answer: Callable[[Tensors], Tensors]) -> Any:
    """Makes one signature's graph function; TensorFlow writes the arguments' defaults to `SignatureDef.defaults`."""
    parameters = [
        inspect.Parameter(port.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=_default(port))
        for port in described.inputs
    ]
    signature = inspect.Signature(parameters)
    names = {port.name: port for port in described.inputs}
    first = described.inputs[0].name

    def serve(*arguments: tf.Tensor, **named: tf.Tensor) -> dict[str, tf.Tensor]:
        bound = signature.bind(*arguments, **named)
        bound.apply_defaults()
        batch = tf.shape(bound.arguments[first])[0]
        fitted = {name: _fit(names[name], values, batch) for name, values in bound.arguments.items()}
        return dict(answer(fitted))

    serve.__name__ = described.name
    serve.__dict__["__signature__"] = signature  # where `inspect`, and so TensorFlow, looks first
    specs = [tf.TensorSpec([None] * port.rank, port.dtype, name=port.name) for port in described.inputs]
    return tf.function(serve, input_signature=specs, autograph=False)


def _default(port: Port) -> Any:
    if port.default is None:
        return inspect.Parameter.empty
    return tf.fill([1] * port.rank, tf.constant(port.default, port.dtype))


def _fit(port: Port, values: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
    if port.name in (schema.RAW_HISTORY_ITEM_IDS, schema.RAW_HISTORY_EVENT_TYPES, schema.RAW_HISTORY_AGES_DAYS):
        return values  # fitted together: a single type or age counts for every item
    return fit_batch(values, batch) if port.rank == 1 else fit_lists(values, batch)


def _numbers(features: Tensors) -> dict[str, tf.Tensor]:
    return {name: values for name, values in features.items() if values.dtype != tf.string}
