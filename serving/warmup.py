"""Warm-up: the requests that lie beside a model are run before it takes over, so that no client waits for that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from serving.errors import Code, ServingError
from serving.examples import INPUTS, serialised
from serving.predictor import Predictor
from serving.tensors import TensorError, decode

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
MAX_REQUESTS = 1000


def read_requests(folder: Path) -> list[Any]:
    """Reads the Predict requests among a model's warm-up requests.

    Args:
      folder: the SavedModel's folder.

    Returns:
      PredictRequests; none if the model brings no such file.

    Raises:
      ServingError: if the file cannot be read or holds more than 1,000 requests.
    """
    return [log.predict_log.request for log in _read_logs(folder) if log.HasField("predict_log")]


def warm_up(predictor: Predictor, folder: Path) -> int:
    """Runs a model's warm-up requests, of every method that a client can call.

    Args:
      predictor: the loaded model.
      folder: the folder that it was loaded from.

    Returns:
      How many requests were run.

    Raises:
      ServingError: the first error that a request was answered with.
    """
    logs = _read_logs(folder)
    for log in logs:
        kind = log.WhichOneof("log_type")
        if kind == "predict_log":
            _predict(predictor, log.predict_log.request)
        elif kind == "multi_inference_log":
            request = log.multi_inference_log.request
            for task in request.tasks:
                _examine(predictor, task.model_spec.signature_name, request.input)
        elif kind in ("classify_log", "regress_log"):
            request = getattr(log, kind).request
            _examine(predictor, request.model_spec.signature_name, request.input)
        else:
            raise ServingError(Code.UNIMPLEMENTED, f"Unsupported log_type for warmup: {kind}")
    return len(logs)


def _read_logs(folder: Path) -> list[Any]:
    file = folder / WARMUP_FILE
    if not file.is_file():
        return []
    logs = []
    try:
        for count, record in enumerate(tf.data.TFRecordDataset(str(file)).as_numpy_iterator()):
            if count >= MAX_REQUESTS:
                raise ServingError(
                    Code.INVALID_ARGUMENT, f"Number of warmup records exceeds the maximum ({MAX_REQUESTS}): {file}"
                )
            logs.append(prediction_log_pb2.PredictionLog.FromString(record))
    except (tf.errors.OpError, DecodeError) as error:
        raise ServingError(Code.DATA_LOSS, f"{file}: is no TFRecord file of PredictionLogs: {error}") from error
    return logs


def _predict(predictor: Predictor, request: Any) -> None:
    signature = predictor.signature(request.model_spec.signature_name)
    try:
        inputs = {alias: decode(proto) for alias, proto in request.inputs.items()}
    except TensorError as error:
        raise ServingError(Code.INVALID_ARGUMENT, f"tensor parsing error: {error}") from error
    predictor.predict(signature, inputs, request.output_filter)


def _examine(predictor: Predictor, signature_name: str, sent: Any) -> None:
    predictor.predict(predictor.signature(signature_name), {INPUTS: serialised(sent)})
