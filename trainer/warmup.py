"""The requests that a server runs when it loads a model, before clients ask: they lie beside the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from pipeline import schema
from pipeline.config import Config
from trainer import contract
from trainer.catalogue import Catalogue
from trainer.contract import Port, SignatureContract

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
_SMALL_HISTORY = 3
_SMALL_BATCH = 8
_QUERY_WORDS = 3
# What makes the rules work, so that their part of the graph is warm too.
_FULL: dict[str, int | float] = {
    contract.MIN_PRICE: 0.01,
    contract.IN_STOCK: 1,
    contract.BOOSTS: 0.5,
    contract.DIVERSITY: 0.1,
    contract.MAX_PER_CATEGORY: 3,
}


def write_warmup(
    folder: Path, catalogue: Catalogue, contracts: Mapping[str, SignatureContract], config: Config
) -> None:
    """Writes the warm-up requests: a TFRecord of PredictionLogs, a few for each signature.

    Args:
      folder: of the SavedModel.
      catalogue: whose items are asked for.
      contracts: the model's signatures.
      config: the shop.
    """
    path = folder / WARMUP_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for request in warmup_requests(catalogue, contracts, config):
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString(deterministic=True))


def warmup_requests(catalogue: Catalogue, contracts: Mapping[str, SignatureContract], config: Config) -> Iterator[Any]:
    """Yields PredictRequests for every signature: bare, with a short history, and a batch with full histories."""
    samples = _Samples(catalogue)
    for name, described in contracts.items():
        ports = described.inputs
        yield _request(name, config, {port.name: samples.of(port, 1, 1) for port in ports if port.required})
        for batch, length in ((1, _SMALL_HISTORY), (_SMALL_BATCH, config.features.history.length)):
            yield _request(name, config, {port.name: samples.of(port, batch, length) for port in ports})


class _Samples:
    """Plausible values for any input."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._ids = [str(each) for each in catalogue.ids]
        self._titles = [str(each) for each in catalogue.titles]

    def of(self, port: Port, batch: int, length: int) -> tf.Tensor:
        """Returns values of the port's type, [batch] or [batch, length]."""
        count = batch if port.rank == 1 else batch * length
        values = [self._value(port, place) for place in range(count)]
        return tf.reshape(tf.constant(values, port.dtype), [batch] if port.rank == 1 else [batch, length])

    def _value(self, port: Port, place: int) -> str | int | float:
        items: Sequence[str] = self._titles if port.name == "title" else self._ids
        if port.name == schema.RAW_QUERY:
            return " ".join(self._titles[place % len(self._titles)].split()[:_QUERY_WORDS])
        if port.name in (schema.RAW_ITEM_ID, schema.RAW_HISTORY_ITEM_IDS, contract.CANDIDATES, "title"):
            return items[place % len(items)]
        if port.name in (contract.EXCLUDE, contract.BOOST_ITEMS):
            return self._ids[-1]
        if port.name in _FULL:
            return _FULL[port.name]
        return "" if port.default is None else port.default


def _request(signature: str, config: Config, values: dict[str, tf.Tensor]) -> Any:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = config.serving.name
    request.model_spec.signature_name = signature
    for name, tensor in values.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(tensor))
    return request
