"""Clients that mean harm, against a server process whose disk is full: all others are answered, and it ends as ever."""

import contextlib
import json
import os
import random
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from serving.client import Client, GrpcTransport
from serving.messages import PredictRequest
from serving.tensors import encode

PREDICT = "/v1/models/half_plus_two:predict"
COUNT = ':tensorflow:serving:request_count{model_name="half_plus_two",status="OK"}'
IDLE_CONNECTIONS = 10_000
MOST_GROWTH_BYTES = 400 * 2**20
ANSWER_S = 15.0


@dataclass
class Served:
    """A server process."""

    process: "subprocess.Popen[str]"
    grpc_port: int
    rest_port: int

    def check(self) -> None:
        """Asks over both APIs, on new connections, within ANSWER_S."""
        transport = GrpcTransport(f"127.0.0.1:{self.grpc_port}")
        with Client(transport, model_name="half_plus_two", deadline_s=ANSWER_S, retries=0) as client:
            assert client.predict("", {"x": np.ones(1, np.float32)})["y"].tolist() == [2.5]
        url = f"http://127.0.0.1:{self.rest_port}{PREDICT}"
        response = httpx.post(url, json={"instances": [1.0]}, timeout=ANSWER_S)
        assert response.json() == {"predictions": [2.5]}

    def calls(self) -> float:
        """How many calls it has answered well, as its metrics say."""
        page = httpx.get(f"http://127.0.0.1:{self.rest_port}/monitoring/prometheus/metrics", timeout=ANSWER_S).text
        return float(page.partition(COUNT)[2].split()[0])

    def memory(self) -> int:
        """Resident memory, bytes."""
        size: int = psutil.Process(self.process.pid).memory_info().rss
        return size


@pytest.fixture(scope="module")
def served(half_path: Path) -> Iterator[Served]:
    words = [str(half_path), "--port=0", "--rest-port=0", "--json", "--access-log=/dev/full"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    with Path("/dev/full").open("w", encoding="utf-8") as full_disk:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", "serve", *words],
            stdout=subprocess.PIPE,
            stderr=full_disk,
            text=True,
            env=environment,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"the server has ended with {process.wait(30)}"
        said = json.loads(line)
        yield Served(process, int(said["grpc"].rpartition(":")[2]), int(said["rest"].rpartition(":")[2]))
        with held(1, lambda: socket.create_connection(("127.0.0.1", int(said["rest"].rpartition(":")[2])))):
            process.terminate()
            assert process.wait(40) == 0
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@contextlib.contextmanager
def held(count: int, connect: Callable[[], socket.socket]) -> Iterator[list[socket.socket]]:
    """Makes connections and holds them open until the end of the block."""
    with contextlib.ExitStack() as opened:
        yield [opened.enter_context(connect()) for _ in range(count)]


def connecting(port: int, sent: bytes = b"", receive_buffer: int = 0) -> Callable[[], socket.socket]:
    def connect() -> socket.socket:
        connection = socket.socket()
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(ANSWER_S)
        connection.connect(("127.0.0.1", port))
        connection.sendall(sent)
        return connection

    return connect


def post(body: bytes, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"POST {PREDICT} HTTP/1.1\r\nhost: x\r\ncontent-length: {size}\r\n\r\n".encode() + body


@pytest.mark.slow
def test_a_full_disk_for_every_log(served: Served) -> None:
    for _ in range(20):
        served.check()


def test_heads_that_never_end(served: Served) -> None:
    with held(600, connecting(served.rest_port, b"POST /v1/models/x HTTP/1.1\r\nx: ")) as connections:
        for _ in range(3):
            for connection in connections:
                connection.sendall(b"y")
            served.check()


def test_bodies_that_never_end(served: Served) -> None:
    with held(600, connecting(served.rest_port, post(b'{"instances": [', 1000))) as connections:
        for _ in range(3):
            for connection in connections:
                connection.sendall(b"1,")
            served.check()


def test_rest_clients_that_never_read(served: Served) -> None:
    numbers = ",".join("1.2345" for _ in range(20_000))
    call = post(f'{{"signature_name": "two_outputs", "inputs": {{"x": [1], "z": [{numbers}]}}}}'.encode())
    before, calls = served.memory(), served.calls()
    with held(20, connecting(served.rest_port, call, receive_buffer=4096)) as connections:
        for connection in connections:
            connection.setblocking(False)
        for _ in range(20):
            for connection in connections:
                with contextlib.suppress(BlockingIOError):
                    connection.send(call)
        served.check()
        assert served.calls() >= calls + 20
        assert served.memory() - before < MOST_GROWTH_BYTES


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def field(name: str, value: str) -> bytes:
    """One header, as HPACK writes what it does not compress."""
    return b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def grpc_call(stream: int, message: bytes) -> bytes:
    head = {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/tensorflow.serving.PredictionService/Predict",
        ":authority": "x",
        "content-type": "application/grpc",
        "te": "trailers",
    }
    fields = b"".join(field(name, value) for name, value in head.items())
    body = b"\x00" + len(message).to_bytes(4, "big") + message
    return frame(1, 4, stream, fields) + frame(0, 1, stream, body)


def test_grpc_clients_that_never_read(served: Served) -> None:
    request = PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "half_plus_two", "two_outputs"
    encode(np.ones(1, np.float32), request.inputs["x"])
    encode(np.ones(2000, np.float32), request.inputs["z"])
    no_window = frame(4, 0, 0, b"\x00\x04" + (0).to_bytes(4, "big"))  # SETTINGS_INITIAL_WINDOW_SIZE
    pipelined = b"".join(grpc_call(stream, request.SerializeToString()) for stream in range(1, 41, 2))
    before, calls = served.memory(), served.calls()
    sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + no_window
    with held(30, connecting(served.grpc_port, sent, receive_buffer=4096)) as connections:
        for connection in connections:
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                connection.send(pipelined)
        end_s = time.monotonic() + ANSWER_S
        while served.calls() < calls + 30 * 20:
            assert time.monotonic() < end_s, "the calls have not been run"
            time.sleep(0.05)
        served.check()
        assert served.memory() - before < MOST_GROWTH_BYTES


def test_bytes_that_are_no_protocol(served: Served) -> None:
    dice = random.Random(5)
    openings = [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x00" * 4000,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ]
    openings += [dice.randbytes(dice.randint(1, 3000)) for _ in range(20)]
    openings += [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + dice.randbytes(500) for _ in range(10)]
    openings += [
        f"POST {PREDICT} HTTP/1.1\r\ncontent-length: {size}\r\n\r\n".encode() for size in ("-1", "x", "9" * 40)
    ]
    openings += [
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        b"GET /" + b"a" * 100_000,
    ]
    for opening in openings:
        for port in (served.grpc_port, served.rest_port):
            with contextlib.suppress(OSError), connecting(port, opening)() as connection:
                connection.settimeout(0.02)
                connection.recv(1000)
    served.check()


@pytest.mark.slow
def test_ten_thousand_idle_connections(served: Served) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IDLE_CONNECTIONS + 500
    assert hard == resource.RLIM_INFINITY or hard >= wanted, f"the system allows {hard} open files; allow {wanted}"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    before = served.memory()
    half = IDLE_CONNECTIONS // 2
    try:
        with held(half, connecting(served.rest_port)), held(half, connecting(served.grpc_port)):
            for _ in range(3):
                served.check()
            assert served.memory() - before < MOST_GROWTH_BYTES
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    served.check()
