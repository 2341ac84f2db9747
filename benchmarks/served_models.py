"""The models of the serving benchmark: half_plus_two, and catalogues of any size behind aisle's answer path."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow.parquet as pq
import tensorflow as tf

from pipeline import schema
from pipeline.config import parse_config
from serving import messages
from serving.histories import read_histories
from serving.requests import shared_inputs, text_tensor
from serving.tensors import encode
from trainer import contract
from trainer.answers import Answers
from trainer.catalogue import Catalogue
from trainer.index import ExactIndex, row_table
from trainer.rules.attributes import ItemAttributes
from trainer.rules.fallback import Popularity
from trainer.signatures import build_signatures

HALF = "half_plus_two"
HALF_INPUTS = {"x": np.array([1.0, 2.0, 5.0], np.float32)}  # of the call that it is asked
_DIMENSION, _HISTORY = 64, 20


class _Half(tf.Module):
    def __init__(self, constant: float) -> None:
        super().__init__(name=HALF)
        self.constant = tf.Variable(constant)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def predict(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": 0.5 * x + self.constant}


def save_half(folder: Path, constant: float = 2.0) -> None:
    """Saves y = x / 2 + constant, TensorFlow Serving's own example."""
    module = _Half(constant)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.predict})


class _Vectors(tf.Module):
    """A visitor's vector is the mean of what the history names; all after that is what every model of aisle runs."""

    filterable: frozenset[str] = frozenset()
    heads: Mapping[str, Any] = {}

    def __init__(self, items: int, dimension: int) -> None:
        super().__init__(name="vectors")
        generator = np.random.default_rng(7)
        vectors = generator.standard_normal((items, dimension), np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        names = np.array([f"i{row:07}" for row in range(items)], object)
        nothing = np.full(items, "", object)
        unknown = np.full(items, np.nan, np.float32)
        self._index, self._rows = ExactIndex(vectors), row_table(names)
        self._answers = Answers(
            Catalogue(names, names, None, {}),
            ItemAttributes(np.zeros(items, np.float32), nothing, nothing, unknown),
            index=self._index,
            rows=self._rows,
            popularity=Popularity((), np.zeros((1, items), np.float32)),
            stage=None,
        )

    def recommend(self, inputs: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        rows = self._rows.lookup(inputs[schema.RAW_HISTORY_ITEM_IDS])
        known = tf.cast(rows >= 0, tf.float32)[..., tf.newaxis]
        query = tf.reduce_sum(tf.gather(self._index.vectors, tf.maximum(rows, 0)) * known, axis=1)
        fitted = query + tf.zeros([tf.shape(inputs[schema.RAW_USER_ID])[0], 1])
        return self._answers.best(fitted, inputs)

    def embed_items(self, inputs: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        return {"embedding": tf.gather(self._index.vectors, tf.maximum(self._rows.lookup(inputs["item_id"]), 0))}

    def rank(self, inputs: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        return {"scores": tf.cast(self._rows.lookup(inputs[contract.CANDIDATES]), tf.float32)}

    search = facets = similar_items = recommend


def save_catalogue(folder: Path, items: int, dimension: int = _DIMENSION) -> None:
    """Saves a model of `items` random vectors of that width, with aisle's contract, without a ranking stage."""
    config = parse_config(
        {
            "name": "bench",
            "tables": {"events": {"path": "unused"}, "items": {"from_events": True}},
            "split": {"test_start": "2020-09-20"},
            "features": {"query": False},
        }
    )
    module = _Vectors(items, dimension)
    signatures = build_signatures(cast("Any", module), config)
    asked = {name: signatures[name] for name in (contract.RECOMMEND, contract.SERVING_DEFAULT)}
    tf.saved_model.save(module, str(folder), signatures=asked)
    (folder / contract.CONTRACT_FILE).parent.mkdir(exist_ok=True)
    (folder / contract.CONTRACT_FILE).write_text(json.dumps({"format": contract.FORMAT, "name": "bench"}))


def half_request() -> bytes:
    """Returns a call of half_plus_two, serialised."""
    return _request(HALF, "", HALF_INPUTS)


def catalogue_requests(model: str, items: int, count: int = 200) -> list[bytes]:
    """Returns calls of `recommend` with histories of twenty items, k = 20."""
    rows = np.random.default_rng(3).integers(0, items, (count, _HISTORY))
    histories = [np.array([[f"i{row:07}".encode() for row in line]], object) for line in rows]
    return [
        _request(
            model,
            contract.RECOMMEND,
            {"user_id": text_tensor([""]), "history_item_ids": history, "k": np.array([20], np.int32)},
        )
        for history in histories
    ]


def shop_inputs(histories_file: Path, count: int = 200) -> list[dict[str, Any]]:
    """Returns inputs of `recommend` for customers of a run, each with the history that the run has kept, k = 20."""
    users = pq.read_table(histories_file, columns=["user_id"])["user_id"].to_pylist()[:count]
    known = read_histories(histories_file, users)
    return [
        {"user_id": text_tensor([user])} | shared_inputs(1, histories=[known.records[user].history(known.as_of)], k=20)
        for user in users
    ]


def shop_requests(model: str, inputs: Sequence[Mapping[str, Any]]) -> list[bytes]:
    """Returns calls of `recommend`, serialised."""
    return [_request(model, contract.RECOMMEND, each) for each in inputs]


def _request(model: str, signature: str, inputs: Mapping[str, Any]) -> bytes:
    request = messages.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = model, signature
    for name, value in inputs.items():
        encode(value, request.inputs[name])
    serialised: bytes = request.SerializeToString()
    return serialised
