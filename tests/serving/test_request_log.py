"""The sample of requests: what is in it, what it costs when it cannot be written, what is removed."""

import os
import stat
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2
from waiting import eventually

from serving.client import Client, GrpcTransport
from serving.model_store import ModelStore
from serving.options import ServerOptions
from serving.request_log import RequestLog
from serving.server import Server

WAIT_S = 20.0


def read(folder: Path) -> list[Any]:
    files = sorted(str(file) for file in folder.glob("*.tfrecord"))
    return [
        prediction_log_pb2.PredictionLog.FromString(one) for one in tf.data.TFRecordDataset(files).as_numpy_iterator()
    ]


def test_it_holds_requests_with_their_answers_over_both_apis(half_path: Path, run_path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "requests"
    options = ServerOptions(request_log=folder, request_log_rate=1.0)
    began = int(time.time())
    stores = [ModelStore("shop", run_path / "serving/shop"), ModelStore("half", half_path)]
    with Server(stores, options=options) as server:
        with Client(GrpcTransport(server.grpc_address), model_name="shop") as client:
            client.recommend(["a"], k=2)
        answer = httpx.post(f"http://{server.rest_address}/v1/models/half:predict", json={"instances": [3.0]})
        assert answer.status_code == 200, answer.text
        assert b'aisle_model_version{model_name="shop"} 3.0' in server.monitor.page()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700  # it holds what users did
    first, second = read(folder)
    for log, found in ((first, ("shop", 3, "recommend")), (second, ("half", 1, "serving_default"))):
        spec = log.predict_log.request.model_spec
        assert (spec.name, spec.version.value, spec.signature_name) == found
        assert log.log_metadata.model_spec == spec
        assert began <= log.log_metadata.timestamp_secs <= time.time()
    assert tf.make_ndarray(first.predict_log.request.inputs["user_id"]).tolist() == [b"a"]
    assert tf.make_ndarray(first.predict_log.response.outputs["item_ids"]).shape == (1, 2)
    assert tf.make_ndarray(second.predict_log.response.outputs["y"]).tolist() == [3.5]


def test_the_rate_is_that_of_the_sample(tmp_path: Path) -> None:
    log = RequestLog(tmp_path, 0.25, 3600.0, on_loss=lambda: None)
    for _ in range(600):
        log.offer("m", 1, "s", {"x": np.zeros(1)}, {})
        time.sleep(0)
    log.close()
    assert 90 <= len(read(tmp_path)) <= 210  # five standard deviations


def test_a_folder_that_is_gone_costs_records_and_is_told_once(tmp_path: Path) -> None:
    lost: list[int] = []
    folder = tmp_path / "requests"
    log = RequestLog(folder, 1.0, 3600.0, on_loss=lambda: lost.append(1))
    folder.rmdir()
    log.offer("m", 1, "s", {"x": np.zeros(1)}, {})
    eventually(lambda: len(lost) == 1, WAIT_S)
    folder.mkdir()
    log.offer("m", 2, "s", {"x": np.zeros(1)}, {})
    log.close()
    (record,) = read(folder)
    assert record.predict_log.request.model_spec.version.value == 2


def test_old_files_are_removed_when_a_new_one_begins(tmp_path: Path) -> None:
    old, young = tmp_path / "1-gone-1.tfrecord", tmp_path / "2-there-1.tfrecord"
    for file, age_s in ((old, 7200.0), (young, 60.0)):
        file.touch()
        os.utime(file, (time.time() - age_s, time.time() - age_s))
    log = RequestLog(tmp_path, 1.0, 3600.0, on_loss=lambda: None)
    log.offer("m", 1, "s", {"x": np.zeros(1)}, {})
    log.close()
    assert not old.exists()
    assert young.exists()


def test_versions_and_failed_loads_are_counted(half_path: Path, tmp_path: Path) -> None:
    (tmp_path / "4").mkdir()
    (tmp_path / "4/saved_model.pb").write_bytes(b"no model")
    (tmp_path / "1").symlink_to(half_path / "1")
    with Server([ModelStore("half", tmp_path)], rest_port=None) as server:
        page = server.monitor.page()
    assert b'aisle_model_version{model_name="half"} 1.0' in page
    assert b'aisle_failed_loads_total{model_name="half"} 1.0' in page
