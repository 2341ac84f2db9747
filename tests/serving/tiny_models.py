"""Models that are saved in a moment and have the signatures of real ones."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

ITEMS = ("apple", "bread", "cheese", "dates", "eggs", "figs")
TITLES = tuple(f"Fine {item}" for item in ITEMS)
COUNTRIES = ("FR", "DE", "FR", "DE", "FR", "DE")
DEFAULT_K = 4


class HalfPlus(tf.Module):
    """y = x / 2 + constant, as TensorFlow Serving's own test model; and a loop that lasts."""

    def __init__(self, constant: float) -> None:
        self.constant = tf.Variable(constant)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def half_plus(self, x: Any) -> Any:
        return {"y": 0.5 * x + self.constant}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32), tf.TensorSpec([None], tf.float32)])
    def two_outputs(self, x: Any, z: Any) -> Any:
        return {"y": 0.5 * x + self.constant, "z": z, "sum": tf.reduce_sum(x)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64)])
    def loop(self, rounds: Any) -> Any:
        total, step = tf.constant(0.0), tf.constant(0, tf.int64)
        while step < rounds[0]:
            total += tf.reduce_sum(tf.random.normal([50, 50]))
            step += 1
        return {"total": total[None]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def echo(self, text: Any) -> Any:
        return {"text": text, "raw_bytes": text}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def number(self, text: Any) -> Any:
        return {"y": tf.strings.to_number(text)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def refuse(self, x: Any) -> Any:
        with tf.control_dependencies([tf.debugging.assert_less(x, 0.0, message="m" * 2000)]):
            return {"y": tf.identity(x)}


def save_half_plus(folder: Path, constant: float = 2.0) -> None:
    """Saves a HalfPlus as one version."""
    module = HalfPlus(constant)
    signatures = {"serving_default": module.half_plus}
    for name in ("two_outputs", "loop", "echo", "number", "refuse"):
        signatures[name] = getattr(module, name)
    tf.saved_model.save(module, str(folder), signatures=signatures)


# name: (shape, dtype, default); None means that a request must bring it.
USER_ID = {"user_id": ((None,), tf.string, None)}
QUERY = {"query": ((None,), tf.string, None)}
REQUEST: dict[str, tuple[Any, Any, Any]] = {
    "timestamp": ((None,), tf.int64, [0]),
    "history_item_ids": ((None, None), tf.string, [[""]]),
    "history_event_types": ((None, None), tf.string, [[""]]),
    "history_ages_days": ((None, None), tf.float32, [[0.0]]),
    "history_quantities": ((None, None), tf.float32, [[0.0]]),
    "query": ((None,), tf.string, [""]),
    "country": ((None,), tf.string, [""]),
    "holiday": ((None,), tf.string, [""]),
    "exclude_item_ids": ((None, None), tf.string, [[""]]),
    "k": ((None,), tf.int32, [DEFAULT_K]),
}
RULES: dict[str, tuple[Any, Any, Any]] = {
    "include_item_ids": ((None, None), tf.string, [[""]]),
    "max_price": ((None,), tf.float32, [0.0]),
    "boost_item_ids": ((None, None), tf.string, [[""]]),
    "boosts": ((None, None), tf.float32, [[0.0]]),
}
ONLY_K = {name: REQUEST[name] for name in ("exclude_item_ids", "k")} | RULES
INPUTS: dict[str, dict[str, tuple[Any, Any, Any]]] = {
    "recommend": USER_ID | REQUEST | RULES,
    "search": {"user_id": ((None,), tf.string, [""])} | REQUEST | RULES | QUERY,
    "facets": {"facet_size": ((None,), tf.int32, [9])}
    | {name: REQUEST[name] for name in ("exclude_item_ids",)}
    | {name: RULES[name] for name in ("include_item_ids", "max_price")}
    | QUERY,
    "similar_items": {"item_id": ((None,), tf.string, None)} | ONLY_K,
    "rank": USER_ID | {"candidate_item_ids": ((None, None), tf.string, None)} | REQUEST | RULES,
    "embed_items": {"title": ((None,), tf.string, None), "price": ((None,), tf.float32, [0.0])},
}
for _name in ("exclude_item_ids", "k", "boost_item_ids", "boosts"):
    del INPUTS["rank"][_name]


class Shop(tf.Module):
    """Scores six items by plain rules, through aisle's signatures.

    An item scores its place from the end / 10, +1 for each event of the history with it (half of that if older
    than a week), +5 if its country is the request's, +20 if its title is the query, and figs +50 on a holiday.
    """

    def __init__(self) -> None:
        self.items = tf.constant(ITEMS)
        self.titles = tf.constant(TITLES)

    def recommend(self, **inputs: Any) -> dict[str, Any]:
        return self._best(self._scores(inputs, tf.shape(inputs["user_id"])[0]), inputs)

    def search(self, **inputs: Any) -> dict[str, Any]:
        found = self._best(self._scores(inputs, tf.shape(inputs["query"])[0]), inputs)
        quoted = (found["titles"] == inputs["query"][:, None]) & (found["titles"] != "")
        return found | {
            "prices": tf.where(found["item_ids"] == "figs", 0.0, 2.5),
            "similarities": found["scores"] / 100,
            "matched_words": tf.where(quoted, inputs["query"][:, None], ""),
            "named": tf.cast(quoted, tf.int32),
        }

    def facets(self, **inputs: Any) -> dict[str, Any]:
        """Counts all that is allowed: whatever was typed, all of it is relevant. Odd items are of one brand."""
        out = tf.reduce_any(inputs["exclude_item_ids"][:, :, None] == self.items, axis=1)
        kept = tf.cast(_allowed(inputs) & ~out, tf.int32) + tf.zeros([tf.shape(inputs["query"])[0], 1], tf.int32)
        odd, size = tf.constant([place % 2 for place in range(len(ITEMS))]), inputs["facet_size"][:, None]
        brands = tf.stack([tf.reduce_sum(kept * (1 - odd), axis=1), tf.reduce_sum(kept * odd, axis=1)], axis=1)
        cheap = tf.reduce_sum(kept[:, :4], axis=1)
        return {
            "total": tf.reduce_sum(kept, axis=1),
            "brand_values": tf.where(size > tf.constant([[0, 1]]), tf.constant([["Even", "Odd"]]), ""),
            "brand_counts": brands,
            "price_from": tf.zeros_like(kept[:, :2], tf.float32) + tf.constant([[0.0, 5.0]]),
            "price_counts": tf.stack([cheap, tf.reduce_sum(kept[:, 4:], axis=1)], axis=1),
        }

    def similar_items(self, **inputs: Any) -> dict[str, Any]:
        own = inputs["item_id"][:, None] == self.items
        known = tf.reduce_any(own, axis=1, keepdims=True)
        scores = tf.where(known & ~own, tf.range(len(ITEMS), 0, -1, dtype=tf.float32), -np.inf)
        return self._best(scores, inputs)

    def rank(self, **inputs: Any) -> dict[str, Any]:
        scores = self._scores(inputs, tf.shape(inputs["user_id"])[0])
        same = inputs["candidate_item_ids"][:, :, None] == self.items
        return {"scores": tf.reduce_max(tf.where(same & _allowed(inputs)[:, None, :], scores[:, None, :], -np.inf), 2)}

    def embed_items(self, **inputs: Any) -> dict[str, Any]:
        length = tf.cast(tf.strings.length(inputs["title"]), tf.float32)
        return {"embedding": tf.stack([length, inputs["price"] + tf.zeros_like(length)], axis=1)}

    def _scores(self, inputs: dict[str, Any], rows: Any) -> Any:
        base = tf.range(len(ITEMS), 0, -1, dtype=tf.float32) / 10
        weight = tf.where(inputs["history_ages_days"] > 7, 0.5, 1.0)[:, :, None]
        events = tf.cast(inputs["history_item_ids"][:, :, None] == self.items, tf.float32)
        times = tf.reduce_sum(events * weight, axis=1)
        here = tf.cast(inputs["country"][:, None] == tf.constant([COUNTRIES]), tf.float32)
        asked = tf.cast(inputs["query"][:, None] == self.titles, tf.float32)
        feast = tf.cast((inputs["holiday"][:, None] != "") & (self.items == "figs"), tf.float32)
        return base + times + 5 * here + 20 * asked + 50 * feast + tf.zeros([rows, 1])

    def _best(self, scores: Any, inputs: dict[str, Any]) -> dict[str, Any]:
        k = inputs["k"]
        with tf.control_dependencies([tf.debugging.assert_positive(k, "k must be at least 1")]):
            out = tf.reduce_any(inputs["exclude_item_ids"][:, :, None] == self.items, axis=1)
            scores = tf.where(out | ~_allowed(inputs), -np.inf, scores)
        lifted = tf.cast(inputs["boost_item_ids"][:, :, None] == ITEMS, tf.float32) * inputs["boosts"][:, :, None]
        scores += tf.reduce_sum(lifted, axis=1)
        best = tf.math.top_k(scores, tf.minimum(tf.reduce_max(k), len(ITEMS)))
        kept = (tf.range(tf.shape(best.values)[1])[None] < k[:, None]) & (best.values > -np.inf)
        return {
            "item_ids": tf.where(kept, tf.gather(self.items, best.indices), ""),
            "titles": tf.where(kept, tf.gather(self.titles, best.indices), ""),
            "scores": tf.where(kept, best.values, -np.inf),
        }


def _allowed(inputs: dict[str, Any]) -> Any:
    """What the filters leave; an item costs its place."""
    named = inputs["include_item_ids"]
    kept = tf.reduce_any(named[:, :, None] == ITEMS, axis=1) | ~tf.reduce_any(named != "", axis=1, keepdims=True)
    most = inputs["max_price"][:, None]
    return kept & ((most == 0) | (tf.range(1, len(ITEMS) + 1, dtype=tf.float32) <= most))


def save_shop(folder: Path, contract: bool = True) -> None:
    """Saves a Shop as one version, with defaults, warm-up requests and, if wanted, a contract."""
    module = Shop()
    functions = {}
    for name, inputs in INPUTS.items():
        specs = {alias: tf.TensorSpec(shape, dtype, alias) for alias, (shape, dtype, _) in inputs.items()}
        functions[name] = tf.function(getattr(module, name)).get_concrete_function(**specs)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": functions["recommend"], **functions})
    add_defaults(folder, {"serving_default": INPUTS["recommend"], **INPUTS})
    write_warmup(folder, [request("shop", "recommend", user_id=np.array([b"somebody"], object))])
    if contract:
        (folder / "assets.extra/contract.json").write_text(
            json.dumps({"format": 1, "name": "shop", "context": ["country", "holiday"], "holiday_country": "FR"})
        )


def add_defaults(folder: Path, inputs: dict[str, dict[str, tuple[Any, Any, Any]]]) -> None:
    """Writes SignatureDef.defaults, which `tf.saved_model.save` cannot."""
    file = folder / "saved_model.pb"
    saved_model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for name, aliases in inputs.items():
        for alias, (_, dtype, default) in aliases.items():
            if default is not None:
                proto = tf.make_tensor_proto(default, dtype)
                saved_model.meta_graphs[0].signature_def[name].defaults[alias].CopyFrom(proto)
    file.write_bytes(saved_model.SerializeToString())


def request(model: str, signature: str, **inputs: Any) -> Any:
    """Makes a PredictRequest with TensorFlow Serving's own stubs."""
    made = predict_pb2.PredictRequest()
    made.model_spec.name, made.model_spec.signature_name = model, signature
    for alias, value in inputs.items():
        made.inputs[alias].CopyFrom(tf.make_tensor_proto(value))
    return made


def write_warmup(folder: Path, requests: list[Any]) -> None:
    """Writes warm-up requests beside a model."""
    (folder / "assets.extra").mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(folder / "assets.extra/tf_serving_warmup_requests")) as writer:
        for made in requests:
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=made))
            writer.write(log.SerializeToString())
