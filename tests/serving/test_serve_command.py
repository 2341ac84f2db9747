"""`aisle serve` as a process: what it prints, what it answers, how it ends."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from serving.client import Client, GrpcTransport
from serving.commands.serve import command

READY_TIMEOUT_S = 120


@contextmanager
def serve(*words: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", "serve", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.stderr.read() if process.stderr else ""
    made: dict[str, Any] = json.loads(line)
    return made


@pytest.mark.slow
def test_it_waits_for_a_version_answers_and_ends_on_sigterm(tmp_path: Path, run_path: Path) -> None:
    with serve("--port=0", "--rest_api_port=0", f"--model_base_path={tmp_path}", "--model_name=x", "--json") as process:
        assert process.stderr is not None
        assert any("no version can be served yet; waiting for one" in line for line in process.stderr)
        shutil.copytree(run_path / "serving/shop/3", tmp_path / ".copying")
        (tmp_path / ".copying").rename(tmp_path / "5")
        line = ready(process)
        assert (line["name"], line["version"], line["base_path"]) == ("x", 5, str(tmp_path))
        with Client(GrpcTransport(line["grpc"]), model_name="x") as client:
            assert client.recommend(["a"])[0][0].item_id == "apple"
        assert httpx.get(f"http://{line['rest']}/v1/models/x").status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
        text = process.stderr.read()
        assert "x version 5 answers now" in text
        assert "Traceback" not in text


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(command, list(words), catch_exceptions=False)
    return result.exit_code, result.stderr


def test_a_taken_port_is_said_before_anything_is_loaded(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, message = run(str(tmp_path), "--grpc-port", str(port), "--rest-port", "0")
        assert status == 1
        assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in message
        status, message = run(str(tmp_path), "--grpc-port", "0", "--rest-port", str(port))
        assert (status, f"127.0.0.1:{port}" in message) == (1, True)


def test_wrong_usage(tmp_path: Path) -> None:
    assert run()[0] == 2
    status, message = run(str(tmp_path / "missing"))
    assert (status, "there is no such folder" in message) == (1, True)
    status, message = run(str(tmp_path), "--rest-prt", "1")
    assert (status, "Did you mean" in message) == (2, True)


def test_fail_if_empty(tmp_path: Path) -> None:
    status, message = run(str(tmp_path), "--grpc-port", "0", "--rest-port", "0", "--fail-if-empty")
    assert (status, "no version can be served yet" in message) == (1, True)
