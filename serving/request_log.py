"""A sample of requests with their answers, as TFRecord files of PredictionLog, which warm-up files are, too."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from numpy.typing import NDArray
from tensorflow_serving.apis import prediction_log_pb2

from serving.tensors import encode

LOG = logging.getLogger("aisle.serving")
ENDING = ".tfrecord"
MAX_WAITING = 1_000
FILE_S = 3600.0
_FOREIGN = re.compile(r"[^A-Za-z0-9.]+")
_Entry = tuple[int, str, int, str, Mapping[str, NDArray[Any]], Mapping[str, NDArray[Any]]]


class RequestLog:
    """Writes each call with a certain probability, in a thread of its own. A full disk costs records, never an answer.

    Each process begins a file an hour, TIME-HOST-PROCESS.tfrecord; files older than `keep_s` are removed then.

    Args:
      folder: where the files go; made, for its owner alone, if it is not there.
      rate: the share of calls that is written, 0 to 1.
      keep_s: how long a file is kept after its last record.
      on_loss: called for each record that could not be written.

    Raises:
      OSError: if the folder cannot be made.
    """

    def __init__(self, folder: Path, rate: float, keep_s: float, on_loss: Callable[[], None]) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._rate = rate
        self._keep_s = keep_s
        self._on_loss = on_loss
        self._waiting: queue.Queue[_Entry | None] = queue.Queue(MAX_WAITING)
        self._writer: Any = None
        self._began_s = 0.0
        self._broken = False
        self._random = random.Random()
        self._thread = threading.Thread(target=self._run, name="request log", daemon=True)
        self._thread.start()

    def offer(
        self,
        model: str,
        version: int,
        signature: str,
        inputs: Mapping[str, NDArray[Any]],
        outputs: Mapping[str, NDArray[Any]],
    ) -> None:
        """Takes a call into the sample, or not; returns at once. The arrays must not change afterwards."""
        if self._random.random() >= self._rate:
            return
        try:
            self._waiting.put_nowait((int(time.time()), model, version, signature, inputs, outputs))
        except queue.Full:
            self._on_loss()

    def close(self) -> None:
        """Writes what waits and closes the file."""
        self._waiting.put(None)
        self._thread.join()
        self._shut()

    def _run(self) -> None:
        while (entry := self._waiting.get()) is not None:
            try:
                self._begin_file()
                self._writer.write(self._record(entry))
                if self._waiting.empty():
                    self._writer.flush()
                self._broken = False
            except (OSError, tf.errors.OpError) as error:
                self._lose(error)

    def _record(self, entry: _Entry) -> bytes:
        seconds, model, version, signature, inputs, outputs = entry
        log = prediction_log_pb2.PredictionLog()
        log.log_metadata.timestamp_secs = seconds
        log.log_metadata.sampling_config.sampling_rate = self._rate
        spec = log.predict_log.request.model_spec
        spec.name, spec.signature_name, spec.version.value = model, signature, version
        log.log_metadata.model_spec.CopyFrom(spec)
        for alias, value in inputs.items():
            encode(value, log.predict_log.request.inputs[alias])
        for alias, value in outputs.items():
            encode(value, log.predict_log.response.outputs[alias])
        record: bytes = log.SerializeToString()
        return record

    def _begin_file(self) -> None:
        now_s = time.time()
        if self._writer is not None and now_s - self._began_s < FILE_S:
            return
        self._shut()
        self._remove_old(now_s)
        moment = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now_s))
        host = _FOREIGN.sub("-", socket.gethostname())
        self._writer = tf.io.TFRecordWriter(str(self._folder / f"{moment}-{host}-{os.getpid()}{ENDING}"))
        self._began_s = now_s

    def _remove_old(self, now_s: float) -> None:
        """Removes old files of every process: pods come and go, and the last of them tidies up."""
        for file in self._folder.glob(f"*{ENDING}"):
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                if now_s - file.stat().st_mtime > self._keep_s:
                    file.unlink()

    def _lose(self, error: Exception) -> None:
        self._on_loss()
        if not self._broken:
            LOG.warning("%s: the request log cannot be written (%s); answers go on", self._folder, error)
        self._broken = True
        self._shut()

    def _shut(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            # What a disk says at closing has been said at writing.
            with contextlib.suppress(OSError, tf.errors.OpError):
                writer.close()
