"""Two processes behind one port, as `aisle serve --workers 2` starts them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import httpx
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from waiting import eventually

from serving.commands.models import tell
from serving.grpc_transport import GrpcTransport
from serving.messages import PredictRequest
from serving.model_config import ModelSettings
from serving.model_store import ModelStore
from serving.peers import Peers
from serving.server import Server
from serving.versions import specific

START_TIMEOUT_S = 150.0


@contextmanager
def workers(base_path: Path, errors: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    words = [str(base_path), "--port=0", "--rest-port=0", "--model-name=m", "--workers=2", "--json"]
    with errors.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", "serve", *words],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            # The server chooses its allocator where nobody has.
            env={name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
            | {"CUDA_VISIBLE_DEVICES": ""},
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, errors.read_text()
        yield process, json.loads(line)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def pids(process: subprocess.Popen[str]) -> set[int]:
    found = set()
    for child in psutil.Process(process.pid).children():
        with suppress(psutil.NoSuchProcess):  # also said of one that has ended and is not buried yet
            if "spawn_main" in " ".join(child.cmdline()):
                found.add(child.pid)
    return found


def ask(address: str, label: str) -> None:
    transport = GrpcTransport(address)
    made = PredictRequest()
    made.model_spec.name, made.model_spec.version_label = "m", label
    made.inputs["x"].dtype = 1
    made.inputs["x"].tensor_shape.dim.add().size = 1
    try:
        transport.call("Predict", made.SerializeToString(), 20.0)
    finally:
        transport.close()


def test_a_server_is_ready_when_all_processes_that_listen_are(half_path: Path) -> None:
    states = [0, 0, 0]
    other = Peers(states, 1)
    with Server([ModelStore("m", half_path)], peers=Peers(states, 0)) as server:
        health = health_pb2_grpc.HealthStub(grpc.insecure_channel(server.grpc_address))
        for act, ready in ((other.leave, True), (lambda: other.tell(ready=False), False), (other.leave, True)):
            act()
            server.update_health()
            assert httpx.get(f"http://{server.rest_address}/readyz").status_code == (200 if ready else 503)
            said = health.Check(health_pb2.HealthCheckRequest()).status
            assert said == health_pb2.HealthCheckResponse.ServingStatus.Value("SERVING" if ready else "NOT_SERVING")
        other.tell(ready=True)
        assert server.ready()
    assert not other.all_ready()  # one that drains takes no new calls


@pytest.mark.slow
def test_workers_share_calls_news_and_numbers_and_replace_each_other(half_path: Path, tmp_path: Path) -> None:
    with workers(half_path, tmp_path / "errors") as (process, said):
        assert (said["workers"], said["version"]) == (2, 1)
        first = pids(process)
        assert len(first) == 2
        assert all("libmimalloc" in Path(f"/proc/{pid}/maps").read_text() for pid in first)
        # One of them is told of labels; each new connection may reach the other one.
        tell(said["grpc"], "", [ModelSettings("m", half_path, specific(1), {"stable": 1})])
        time.sleep(1.0)
        for _ in range(20):
            ask(said["grpc"], "stable")
        page = httpx.get(f"http://{said['rest']}/monitoring/prometheus/metrics").text
        assert ':tensorflow:serving:request_count{model_name="m",status="OK"} 20.0' in page
        os.kill(min(first), signal.SIGKILL)
        eventually(lambda: not psutil.pid_exists(min(first)), 10)
        for _ in range(10):
            assert httpx.get(f"http://{said['rest']}/readyz").json() == {"ready": True, "models": {"m": [1]}}
            ask(said["grpc"], "stable")
        eventually(lambda: len(pids(process)) == 2, 10)
        # Not one call reaches the new one before it has loaded the model and knows the label.
        end_s = time.monotonic() + START_TIMEOUT_S
        while (tmp_path / "errors").read_text().count("m version 1 answers now") < 3:
            ask(said["grpc"], "stable")
            assert httpx.get(f"http://{said['rest']}/readyz").status_code == 200
            assert time.monotonic() < end_s
        for _ in range(20):
            ask(said["grpc"], "stable")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        left = [pid for pid in first if psutil.pid_exists(pid)]
        assert left == []
        text = (tmp_path / "errors").read_text()
        assert "worker 0 ended (status -9)" in text or "worker 1 ended (status -9)" in text
        assert "Traceback" not in text
