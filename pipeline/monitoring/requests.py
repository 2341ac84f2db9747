"""The request log of a server: TFRecord files of PredictionLog."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from tensorflow_serving.apis import prediction_log_pb2

ENDING = ".tfrecord"


@dataclass(frozen=True)
class Asked:
    """One call with its answer.

    Args:
      signature: what was asked.
      inputs: input alias: value, rows first; one row holds for all where others have more.
      outputs: output alias: value, rows first.
    """

    signature: str
    inputs: Mapping[str, NDArray[Any]]
    outputs: Mapping[str, NDArray[Any]]

    @property
    def rows(self) -> int:
        """How many questions the call asked."""
        return max((len(value) for value in self.inputs.values() if value.ndim), default=1)

    def input(self, alias: str, empty: str | float) -> NDArray[Any]:
        """Returns an input as [rows, values]; `empty` where the call did not bring it. Texts are str."""
        value = self.inputs.get(alias)
        if value is None:
            value = np.asarray([empty])
        if value.dtype.kind in "OS":
            value = np.char.decode(value.astype(bytes), "utf-8", "replace")
        value = value.reshape(len(value) if value.ndim else 1, -1)
        return np.broadcast_to(value, (self.rows, value.shape[1])) if len(value) == 1 else value


@dataclass
class Sample:
    """What was read.

    Args:
      asked: the calls, newest files first.
      broken_files: how many files could not be read to their end: one being written may end in half a record.
    """

    asked: list[Asked]
    broken_files: int = 0


def read_sample(folder: Path, model: str, since_s: float, most: int) -> Sample:
    """Reads the newest calls of a model from its request log.

    Args:
      folder: holds the files.
      model: the model's name on the server.
      since_s: calls before this moment are left out, seconds since 1970 UTC.
      most: how many calls to keep; bounds memory and time.

    Raises:
      FileNotFoundError: if there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: there is no such folder; start the server with --request-log {folder}")
    sample = Sample([])
    dated = sorted(((file.stat().st_mtime, file) for file in folder.glob(f"*{ENDING}")), reverse=True)
    for changed_s, file in dated:
        if changed_s < since_s or len(sample.asked) >= most:
            break
        try:
            for asked in _read(file, model, since_s):
                sample.asked.append(asked)
                if len(sample.asked) >= most:
                    break
        except (tf.errors.OpError, DecodeError):
            sample.broken_files += 1
    return sample


def _read(file: Path, model: str, since_s: float) -> Iterator[Asked]:
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        request = log.predict_log.request
        if request.model_spec.name == model and log.log_metadata.timestamp_secs >= since_s:
            yield Asked(
                # The server's default signature is recommend under another name.
                request.model_spec.signature_name.replace("serving_default", "recommend"),
                {alias: tf.make_ndarray(proto) for alias, proto in request.inputs.items()},
                {alias: tf.make_ndarray(proto) for alias, proto in log.predict_log.response.outputs.items()},
            )
