"""Warm-up: the requests that lie beside a model are run before it takes over, so that no client waits for that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from serving.errors import Code, ServingError
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
    file = folder / WARMUP_FILE
    if not file.is_file():
        return []
    requests = []
    try:
        for count, record in enumerate(tf.data.TFRecordDataset(str(file)).as_numpy_iterator()):
            if count >= MAX_REQUESTS:
                raise ServingError(
                    Code.INVALID_ARGUMENT, f"Number of warmup records exceeds the maximum ({MAX_REQUESTS}): {file}"
                )
            log = prediction_log_pb2.PredictionLog.FromString(record)
            if log.HasField("predict_log"):
                requests.append(log.predict_log.request)
    except (tf.errors.OpError, DecodeError) as error:
        raise ServingError(Code.DATA_LOSS, f"{file}: is no TFRecord file of PredictionLogs: {error}") from error
    return requests


def warm_up(predictor: Predictor, folder: Path) -> int:
    """Runs a model's warm-up requests.

    Args:
      predictor: the loaded model.
      folder: the folder that it was loaded from.

    Returns:
      How many requests were run.

    Raises:
      ServingError: the first error that a request was answered with.
    """
    requests = read_requests(folder)
    for request in requests:
        signature = predictor.signature(request.model_spec.signature_name)
        try:
            inputs = {alias: decode(proto) for alias, proto in request.inputs.items()}
        except TensorError as error:
            raise ServingError(Code.INVALID_ARGUMENT, f"tensor parsing error: {error}") from error
        predictor.predict(signature, inputs, request.output_filter)
    return len(requests)
