"""What h2load's load and its log are taken for."""

import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorflow_serving.apis import predict_pb2

from benchmarks import h2load
from benchmarks.served_models import HALF, half_request, save_half
from benchmarks.serving_load import METHOD

needs_h2load = pytest.mark.skipif(shutil.which("h2load") is None, reason="no h2load: run benchmarks/install.sh")


def test_the_warm_up_is_left_out_and_refusals_are_counted() -> None:
    lines = [(0, 200, 500), (200_000, 200, 1_000), (300_000, 200, 2_000), (400_000, 500, 9), (500_000, -1, 9)]
    found = h2load.read_log("".join("\t".join(map(str, line)) + "\n" for line in lines), warm_s=0.2)
    assert found == h2load.Calls([0.001, 0.002], 3, 2)
    assert h2load.read_log("", warm_s=0.2) == h2load.Calls([], 0, 0)


def test_a_message_has_its_length_before_it() -> None:
    assert h2load.framed(b"x" * 258) == b"\x00\x00\x00\x01\x02" + b"x" * 258


def test_a_machine_without_h2load_is_told_where_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(h2load.H2loadError, match=r"benchmarks/install\.sh"):
        _ask("127.0.0.1:1", b"")


@needs_h2load
def test_calls_over_grpc_are_answered_or_refused_aloud(tmp_path: Path) -> None:
    from serving.model_store import ModelStore
    from serving.server import Server

    save_half(tmp_path / "1")
    with Server([ModelStore(HALF, tmp_path)], rest_port=None) as server:
        found = _ask(server.grpc_address, half_request(), clients=2)
        assert found.answered > len(found.taken_s) > 10
        assert not found.failed
        assert 0 < np.median(found.taken_s) < 0.5
        page = server.monitor.page().decode()
        counted = page.split(f'request_count{{model_name="{HALF}",status="OK"}} ')[1].split("\n")[0]
        assert 0 <= float(counted) - found.answered <= 2  # those under way at the end have no line
        unknown = predict_pb2.PredictRequest(model_spec={"name": "nobody"}).SerializeToString()
        with pytest.raises(h2load.H2loadError, match="gRPC refuses"):
            _ask(server.grpc_address, unknown)


class _Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200 if self.headers["content-type"] == "application/json" else 400)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: Any) -> None:
        """Stays silent."""


@pytest.fixture
def rest() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@needs_h2load
def test_calls_over_http_have_a_body_and_its_type(rest: str) -> None:
    found = _ask(rest, b'{"x": 1}', over_grpc=False)
    assert found.answered > len(found.taken_s) > 10
    assert not found.failed


def _ask(address: str, call: bytes, *, clients: int = 1, over_grpc: bool = True) -> h2load.Calls:
    return h2load.ask(address, METHOD, call, clients=clients, seconds=0.5, warm_s=0.2, over_grpc=over_grpc)
