"""Where a call over gRPC is answered: in the event loop if that takes a moment, else in a thread."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis import prediction_service_pb2_grpc
from tiny_models import request
from waiting import eventually

from serving.call import Call
from serving.model_store import ModelStore
from serving.options import Limits, ServerOptions
from serving.server import Server

TIMEOUT_S = 20
LOOP = "grpc"  # the loop's thread; those of the pool are called grpc_0, grpc_1, ...


@contextmanager
def serving(half_path: Path, **options: Any) -> Iterator[tuple[Server, Any]]:
    store = ModelStore("half_plus_two", half_path)
    with (
        Server([store], rest_port=None, options=ServerOptions(**options)) as server,
        grpc.insecure_channel(server.grpc_address) as channel,
    ):
        yield server, prediction_service_pb2_grpc.PredictionServiceStub(channel)


def half(signature: str = "", **inputs: Any) -> Any:
    return request("half_plus_two", signature, **(inputs or {"x": np.ones(1, np.float32)}))


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the threads that calls of `predict` ended in, in order; those given up at once not among them."""
    from serving.reception import Reception

    found: list[str] = []
    note = Reception.note

    def noted(self: Reception, call: Call, *words: Any) -> None:
        found.append(threading.current_thread().name)
        note(self, call, *words)

    monkeypatch.setattr(Reception, "note", noted)
    return found


def test_short_runs_stay_in_the_loop_once_they_are_known(run_path: Path, threads: list[str]) -> None:
    def ask(items: int) -> Any:
        asked = request("shop", "similar_items", item_id=np.array([b"a"] * items, object), k=np.array([1], np.int32))
        return stub.Predict(asked, timeout=TIMEOUT_S).outputs["item_ids"].tensor_shape.dim[0].size

    store = ModelStore("shop", run_path / "serving/shop")
    with Server([store], rest_port=None) as server, grpc.insecure_channel(server.grpc_address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        for _ in range(30):
            ask(1)
        assert threads[0].startswith("grpc_")
        with store.use(3) as (_version, predictor):
            times = predictor._times["similar_items"]
            times._usual_s, times._largest_short = 1e-5, 2  # as on a machine that nothing else holds up
        assert ask(1) == 1
        assert threads[-1] == LOOP
        assert ask(10_000) == 10_000, "a large request"
        assert threads[-1].startswith("grpc_")
        few_bytes = request("shop", "similar_items", item_id=np.array([b"a"], object), k=np.array([1], np.int32))
        few_bytes.inputs["item_id"].tensor_shape.dim[0].size = 20_000  # the last value again and again
        assert stub.Predict(few_bytes, timeout=TIMEOUT_S).outputs["item_ids"].tensor_shape.dim[0].size == 20_000
        assert threads[-1].startswith("grpc_")
        assert server.calls_under_way == 0


def test_a_graph_that_may_take_any_time_never_holds_the_loop(half_path: Path, threads: list[str]) -> None:
    with serving(half_path) as (_server, stub):
        for _ in range(30):
            stub.Predict(half("loop", rounds=np.array([1])), timeout=TIMEOUT_S)
        slow = stub.Predict.future(half("loop", rounds=np.array([10**9])), timeout=2)
        time.sleep(0.1)
        began_s = time.monotonic()
        stub.Predict(half(), timeout=TIMEOUT_S)
        assert time.monotonic() - began_s < 1
        assert not slow.done()
        assert all(name.startswith("grpc_") for name in threads)


def test_a_call_that_is_tried_twice_counts_once(half_path: Path) -> None:
    with serving(half_path, limits=Limits(calls_per_s=0.01, burst=3)) as (_server, stub):
        for _ in range(3):  # each is first tried in the loop, where its signature is not known to be quick
            stub.Predict(half(), timeout=TIMEOUT_S)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Predict(half(), timeout=TIMEOUT_S)
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("size", [100, 20_000])
def test_what_is_no_message_is_refused_and_counted(half_path: Path, threads: list[str], size: int) -> None:
    with Server([ModelStore("half_plus_two", half_path)], rest_port=None) as server:
        with grpc.insecure_channel(server.grpc_address) as channel, pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/tensorflow.serving.PredictionService/Predict")(b"\xff" * size, timeout=TIMEOUT_S)
        assert caught.value.details() == "Exception deserializing request!"
        assert len(threads) == 1
        assert server.calls_under_way == 0


def test_a_server_may_be_stopped_twice(half_path: Path) -> None:
    with serving(half_path) as (server, stub):
        stub.Predict(half(), timeout=TIMEOUT_S)
        server._grpc.stop(0)


def test_a_call_whose_client_goes_before_its_turn_is_not_run(half_path: Path, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    with serving(half_path, grpc_threads=1, access_log=log) as (server, stub):
        slow = stub.Predict.future(half("loop", rounds=np.array([10**9])), timeout=2)
        eventually(lambda: server.calls_under_way == 1)
        waiting = stub.Predict.future(half(), timeout=TIMEOUT_S)
        eventually(lambda: server.calls_under_way == 2)
        waiting.cancel()
        eventually(lambda: server.calls_under_way == 1)
        assert not slow.done()
        eventually(lambda: server.calls_under_way == 0)
    lines = log.read_text().splitlines()
    assert ["CANCELLED" in line for line in lines] == [True, False], lines
