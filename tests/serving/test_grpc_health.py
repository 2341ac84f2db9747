"""gRPC's health protocol of the embedded server: asked once, and watched."""

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from serving.model_store import ModelStore
from serving.server import Server

TIMEOUT_S = 20
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


@contextmanager
def running(half_path: Path) -> Iterator[tuple[Server, Any]]:
    server = Server([ModelStore("half_plus_two", half_path)], rest_port=None)
    server.start()
    with grpc.insecure_channel(server.grpc_address) as channel:
        yield server, health_pb2_grpc.HealthStub(channel)


class Watcher:
    """Hears of one name's status."""

    def __init__(self, stub: Any, name: str) -> None:
        self.stream = stub.Watch(health_pb2.HealthCheckRequest(service=name), timeout=TIMEOUT_S)
        self.heard: queue.Queue[int] = queue.Queue()
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self) -> None:
        try:
            for answer in self.stream:
                self.heard.put(answer.status)
        except grpc.RpcError:
            return


def test_each_watcher_hears_of_changes_whoever_else_has_gone(half_path: Path) -> None:
    with running(half_path) as (server, stub):
        first, second, unknown = (Watcher(stub, name) for name in ("", "", "other"))
        assert [each.heard.get(timeout=TIMEOUT_S) for each in (first, second)] == [SERVING, SERVING]
        assert unknown.heard.get(timeout=TIMEOUT_S) == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        first.stream.cancel()
        first.thread.join(TIMEOUT_S)
        server._grpc.set_healthy(healthy=False)
        assert second.heard.get(timeout=TIMEOUT_S) == NOT_SERVING
        server._grpc.set_healthy(healthy=True)
        assert second.heard.get(timeout=TIMEOUT_S) == SERVING
        assert unknown.heard.empty()
        server.stop(0)


def test_a_server_that_stops_says_so_and_waits_for_no_watcher(half_path: Path) -> None:
    with running(half_path) as (server, stub):
        watcher = Watcher(stub, "PredictionService")
        assert watcher.heard.get(timeout=TIMEOUT_S) == SERVING
        began_s = time.monotonic()
        server.stop(TIMEOUT_S)
        assert time.monotonic() - began_s < TIMEOUT_S / 2
        assert watcher.heard.get(timeout=TIMEOUT_S) == NOT_SERVING
        watcher.thread.join(TIMEOUT_S)
        assert not watcher.thread.is_alive()
        server._grpc.set_healthy(healthy=True)  # comes too late, and hangs nobody


def test_an_unknown_name_is_not_found(half_path: Path) -> None:
    with running(half_path) as (server, stub):
        with pytest.raises(grpc.RpcError) as caught:
            stub.Check(health_pb2.HealthCheckRequest(service="other"), timeout=TIMEOUT_S)
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND
        server.stop(0)
