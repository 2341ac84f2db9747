"""Who gets in, and what a client is told who does not: asked of running servers, over both APIs."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from tensorflow_serving.apis import prediction_service_pb2_grpc
from tiny_models import request
from waiting import eventually

from serving.access_log import AccessLog
from serving.admission import MAX_CLIENTS, Admission
from serving.errors import Code, ServingError
from serving.model_store import ModelStore
from serving.options import Limits, ServerOptions
from serving.server import Server

PREDICT = "/v1/models/half_plus_two:predict"
ONE = {"instances": [1.0]}
TIMEOUT_S = 20


@contextmanager
def serving(half_path: Path, **options: Any) -> Iterator[tuple[Server, Any, httpx.Client]]:
    store = ModelStore("half_plus_two", half_path)
    with (
        Server([store], options=ServerOptions(**options)) as server,
        grpc.insecure_channel(server.grpc_address) as channel,
        httpx.Client(base_url=f"http://{server.rest_address}", timeout=TIMEOUT_S) as http,
    ):
        yield server, prediction_service_pb2_grpc.PredictionServiceStub(channel), http


def half(signature: str = "", **inputs: Any) -> Any:
    return request("half_plus_two", signature, **(inputs or {"x": np.ones(1, np.float32)}))


def refused(call: Callable[[], Any]) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


def test_tokens_open_both_apis_but_never_close_the_probes(half_path: Path) -> None:
    with serving(half_path, tokens={"shop": "s3cret", "other": "t0ken"}) as (server, stub, http):
        assert http.post(PREDICT, json=ONE, headers={"authorization": "Bearer s3cret"}).status_code == 200
        metadata = (("authorization", "bearer t0ken"),)
        assert stub.Predict(half(), timeout=TIMEOUT_S, metadata=metadata).model_spec.version.value == 1
        for sent in ("", "Bearer no", "Basic s3cret", "Bearer", "Bearer s3cre", "Bearer \u00e9"):
            headers = {"authorization": sent.encode()} if sent else {}
            response = http.post(PREDICT, json=ONE, headers=headers)
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == "Bearer"
            assert "expected a known token" in response.json()["error"]
        error = refused(lambda: stub.Predict(half(), timeout=TIMEOUT_S, metadata=(("authorization", "Bearer no"),)))
        assert (error.code(), "s3cret" in error.details()) == (grpc.StatusCode.UNAUTHENTICATED, False)
        assert refused(lambda: stub.Predict(half(), timeout=TIMEOUT_S)).code() == grpc.StatusCode.UNAUTHENTICATED
        assert http.get("/monitoring/prometheus/metrics").status_code == 401
        assert http.get("/v1/models/half_plus_two").status_code == 401
        assert http.get("/livez").status_code == 200
        assert http.get("/readyz").json() == {"ready": True}
        page = server.monitor.page()
        assert b'request_count{model_name="half_plus_two",status="UNAUTHENTICATED"}' not in page  # a stranger's word


def test_a_client_beyond_its_rate_is_told_when_to_come_back(half_path: Path) -> None:
    with serving(half_path, limits=Limits(calls_per_s=0.1, burst=2)) as (_server, stub, http):
        assert [http.post(PREDICT, json=ONE).status_code for _ in range(3)] == [200, 200, 429]
        response = http.post(PREDICT, json=ONE)
        assert 1 <= int(response.headers["retry-after"]) <= 12
        assert "more than 0.1 calls a second from '127.0.0.1'" in response.json()["error"]
        error = refused(lambda: stub.Predict(half(), timeout=TIMEOUT_S))
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        pause = {key: value for key, value in error.trailing_metadata() if "retry" in key}
        assert float(pause["retry-after"]) == pytest.approx(int(pause["grpc-retry-pushback-ms"]) / 1000, abs=0.01)


def test_allowances_grow_with_time_and_are_one_a_client() -> None:
    now = [100.0]
    admission = Admission(Limits(calls_per_s=2, burst=3), {}, clock=lambda: now[0])
    for _ in range(3):
        admission.check_rate("a")
    with pytest.raises(ServingError) as caught:
        admission.check_rate("a")
    assert (caught.value.code, caught.value.retry_after_s) == (Code.RESOURCE_EXHAUSTED, 0.5)
    admission.check_rate("b")
    now[0] += 0.5
    admission.check_rate("a")
    now[0] += 1000
    for _ in range(3):
        admission.check_rate("a")
    with pytest.raises(ServingError):
        admission.check_rate("a")
    for number in range(MAX_CLIENTS + 5):
        admission.check_rate(str(number))
    assert len(admission._allowances) == MAX_CLIENTS


def test_calls_beyond_the_limit_are_shed_at_once(half_path: Path) -> None:
    limits = Limits(concurrent_calls=2)
    with serving(half_path, limits=limits, grpc_threads=1) as (server, stub, http):
        slow = half("loop", rounds=np.array([10**9]))
        futures = [stub.Predict.future(slow, timeout=3) for _ in range(2)]
        eventually(lambda: server.calls_under_way == 2)
        started = time.monotonic()
        error = refused(lambda: stub.Predict(half(), timeout=TIMEOUT_S))
        response = http.post(PREDICT, json=ONE)
        assert time.monotonic() - started < 2  # not behind the slow ones, which have one thread between them
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "the server has 2 calls under way, its limit" in error.details()
        assert dict(error.trailing_metadata())["retry-after"] == "1.000"
        assert (response.status_code, response.headers["retry-after"]) == (429, "2")
        assert http.get("/readyz").status_code == 200
        assert "aisle_calls_under_way 2.0" in http.get("/monitoring/prometheus/metrics").text
        for future in futures:
            future.cancel()
        del futures


@pytest.mark.parametrize(
    ("limits", "inputs", "message"),
    [
        (Limits(rows=2), {"x": np.ones(3, np.float32)}, "input 'x' has 3 rows; this server takes at most 2 a call"),
        (Limits(k=5), {"k": np.array([3, 6])}, "input 'k' asks for 6 answers; this server gives at most 5"),
    ],
)
def test_rows_and_answers_have_limits(limits: Limits, inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(ServingError, match=message) as caught:
        limits.check_inputs(inputs)
    assert caught.value.code == Code.INVALID_ARGUMENT
    Limits().check_inputs(inputs)
    limits.check_inputs({"x": np.float32(1), "k": np.array([], np.int32)})


def test_large_and_deep_requests_are_refused(half_path: Path) -> None:
    import gzip

    with serving(half_path, limits=Limits(request_bytes=10_000, rows=1000, json_depth=5)) as (_server, stub, http):
        assert http.post(PREDICT, content=json.dumps({"instances": [1.0] * 9000})).status_code == 429
        bomb = gzip.compress(b"[" + b" " * 10_000_000, 9)
        response = http.post(PREDICT, content=bomb, headers={"content-encoding": "gzip"})
        assert (response.status_code, "larger than max" in response.json()["error"]) == (429, True)
        error = refused(lambda: stub.Predict(half(x=np.ones(9000, np.float32)), timeout=TIMEOUT_S))
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        deep = http.post(PREDICT, content=b'{"inputs": ' + b"[" * 6 + b'"]"' + b"]" * 6 + b"}")
        assert deep.json() == {"error": "JSON Parse error: nested too deeply; this server reads 5 levels"}
        assert http.post(PREDICT, content=b'{"inputs": [' + b'"[[[[[[",' * 9 + b"1]}").status_code == 400
        assert http.post(PREDICT, json=ONE).status_code == 200


def test_every_call_has_a_line_and_an_id(half_path: Path, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    with serving(half_path, access_log=log, tokens={"shop": "t"}) as (_server, stub, http):
        headers = {"authorization": "Bearer t", "x-request-id": "mine-1"}
        assert http.post(PREDICT, json=ONE, headers=headers).headers["x-request-id"] == "mine-1"
        log.rename(tmp_path / "access.log.1")  # as log rotation does
        bad = http.post(PREDICT, json=ONE, headers=headers | {"x-request-id": "two words"})
        assert len(bad.headers["x-request-id"]) == 16
        made = half("nothing")
        metadata = (("authorization", "Bearer t"), ("x-request-id", "mine-3"))
        error = refused(lambda: stub.Predict(made, timeout=TIMEOUT_S, metadata=metadata))
        assert dict(error.initial_metadata())["x-request-id"] == "mine-3"
    first, *others = [
        json.loads(line) for file in (tmp_path / "access.log.1", log) for line in file.read_text().splitlines()
    ]
    assert first.pop("time") == pytest.approx(time.time(), abs=60)
    assert 0 < first.pop("milliseconds") < 60_000
    assert first == {
        "request_id": "mine-1",
        "api": "REST",
        "method": "predict",
        "client": "shop",
        "model": "half_plus_two",
        "version": 1,
        "signature": "serving_default",
        "status": "OK",
        "message": "",
    }
    assert [line["status"] for line in others] == ["OK", "FAILED_PRECONDITION"]
    assert others[1]["message"] == 'Serving signature key "nothing" not found.'


def test_a_full_disk_costs_lines_and_no_answers(half_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serving(half_path, access_log=Path("/dev/full")) as (server, _stub, http):
        assert [http.post(PREDICT, json=ONE).status_code for _ in range(5)] == [200] * 5
        eventually(lambda: b"aisle_access_log_lost_lines_total 5.0" in server.monitor.page())
    assert caplog.text.count("/dev/full: the access log cannot be written") == 1


def test_a_log_whose_folder_comes_back_goes_on(tmp_path: Path) -> None:
    folder, lost = tmp_path / "logs", []
    folder.mkdir()
    log = AccessLog(folder / "a.log", lambda: lost.append(1))
    folder.rename(tmp_path / "gone")
    log.write(number=1)
    eventually(lambda: len(lost) == 1)
    folder.mkdir()
    log.write(number=2)
    log.close()
    assert (folder / "a.log").read_text() == '{"number": 2}\n'


def test_a_server_is_ready_after_warm_up_and_until_it_ends(half_path: Path) -> None:
    loading, go_on = threading.Event(), threading.Event()

    class SlowStore(ModelStore):
        def poll(self) -> None:
            loading.set()
            go_on.wait(TIMEOUT_S)
            super().poll()

    server = Server([SlowStore("half_plus_two", half_path)], options=ServerOptions(drain_s=0.5))
    starting = threading.Thread(target=server.start)
    starting.start()
    loading.wait(TIMEOUT_S)
    ready = f"http://{server.rest_address}/readyz"
    assert httpx.get(ready).status_code == 503
    assert httpx.get(ready).json() == {"ready": False, "models": {"half_plus_two": []}}
    assert httpx.get(f"http://{server.rest_address}/livez").status_code == 200
    early = httpx.post(f"http://{server.rest_address}{PREDICT}", json=ONE)
    assert (early.status_code, early.json()) == (503, {"error": "the server loads its models; try again"})
    go_on.set()
    starting.join()
    assert httpx.get(ready).json() == {"ready": True, "models": {"half_plus_two": [1]}}
    ending = threading.Thread(target=server.stop)
    ending.start()
    eventually(lambda: httpx.get(ready).status_code == 503)
    # A balancer that has not seen it yet still sends calls, and they are answered.
    assert httpx.post(f"http://{server.rest_address}{PREDICT}", json=ONE).status_code == 200
    ending.join()


def test_a_fault_of_our_own_is_told_in_the_log_only(
    half_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_version: int | None) -> None:
        raise ZeroDivisionError("/some/path")

    with serving(half_path) as (server, stub, http):
        monkeypatch.setattr(server.stores[0], "use", fail)
        response = http.post(PREDICT, json=ONE)
        told = "the server met a fault of its own; its log tells which"
        assert (response.status_code, response.json()) == (500, {"error": told})
        error = refused(lambda: stub.Predict(half(), timeout=TIMEOUT_S))
        assert (error.code(), error.details()) == (grpc.StatusCode.INTERNAL, told)
        assert caplog.text.count("ZeroDivisionError: /some/path") == 2
        assert b'request_count{model_name="half_plus_two",status="INTERNAL"} 2.0' in server.monitor.page()
