"""Clients of REST that are slow, idle or gone: they cost a connection, never an answer to others."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from tensorflow_serving.apis import prediction_service_pb2_grpc
from tiny_models import request

from serving import http_protocol
from serving.grpc_transport import GrpcTransport
from serving.model_store import ModelStore
from serving.options import ServerOptions
from serving.server import Server

PREDICT = "/v1/models/half_plus_two:predict"
HEAD = f"POST {PREDICT} HTTP/1.1\r\nhost: x\r\n"
TIMEOUT_S = 10


@pytest.fixture
def server(half_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(http_protocol, "HEAD_TIMEOUT_S", 0.3)
    options = ServerOptions(rest_timeout_s=0.5)
    with Server([ModelStore("half_plus_two", half_path)], options=options) as opened:
        yield opened


def connect(server: Server) -> socket.socket:
    assert server.rest_port is not None
    return socket.create_connection(("127.0.0.1", server.rest_port), timeout=TIMEOUT_S)


@pytest.mark.parametrize("sent", ["", "POST /v1/mod", HEAD], ids=["nothing", "half a line", "half a head"])
def test_a_head_that_does_not_come_closes_the_connection(server: Server, sent: str) -> None:
    with connect(server) as connection:
        connection.sendall(sent.encode())
        assert connection.recv(1000) == b""


def test_drops_of_a_head_do_not_hold_a_connection(server: Server) -> None:
    def drip(connection: socket.socket) -> None:
        for _ in range(100):
            connection.sendall(b"x")
            time.sleep(0.02)

    with connect(server) as connection, pytest.raises(OSError, match=r"Broken pipe|reset by peer"):
        drip(connection)


def test_a_body_that_does_not_come_is_answered(server: Server) -> None:
    with connect(server) as connection:
        connection.sendall(f"{HEAD}content-length: 100\r\n\r\n{{".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 504")


def test_a_connection_serves_request_after_request(server: Server) -> None:
    with httpx.Client(base_url=f"http://{server.rest_address}", timeout=TIMEOUT_S) as http:
        for _ in range(3):
            assert http.post(PREDICT, json={"instances": [1.0]}).json() == {"predictions": [2.5]}
            time.sleep(0.35)


def test_a_call_without_end_does_not_keep_the_server_from_its_end(half_path: Path) -> None:
    server = Server([ModelStore("half_plus_two", half_path)])
    server.start()
    made = request("half_plus_two", "loop", rounds=np.array([10**9]))
    with grpc.insecure_channel(server.grpc_address) as channel:
        future = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict.future(made)
        end = time.monotonic() + TIMEOUT_S
        while server.calls_under_way < 1:
            assert time.monotonic() < end
            time.sleep(0.001)
        started_s = time.monotonic()
        server.stop(grace_s=0.2)
        assert time.monotonic() - started_s < TIMEOUT_S / 2
        assert future.code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)


def test_calls_under_way_end_when_the_server_does(half_path: Path) -> None:
    server = Server([ModelStore("half_plus_two", half_path)])
    server.start()
    transport = GrpcTransport(server.grpc_address)
    made = request("half_plus_two", "loop", rounds=np.array([3000]))
    ended: list[Any] = []

    def ask_grpc() -> None:
        ended.append(transport.call("Predict", made.SerializeToString(), TIMEOUT_S))

    def ask_rest() -> None:
        body = {"signature_name": "loop", "inputs": [3000]}
        ended.append(httpx.post(f"http://{server.rest_address}{PREDICT}", json=body, timeout=TIMEOUT_S).json())

    threads = [threading.Thread(target=ask) for ask in (ask_grpc, ask_rest)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + TIMEOUT_S
    while server.calls_under_way < 2:
        assert time.monotonic() < end
        time.sleep(0.001)
    server.stop()
    for thread in threads:
        thread.join()
    assert len(ended) == 2
    assert any("outputs" in answer for answer in ended if isinstance(answer, dict))
    transport.close()
