"""TensorBoard opens on what the training wrote."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.error import URLError

import pytest

pytestmark = pytest.mark.slow

DEADLINE_S = 60.0
WORDS = ("Trainer", "judged", "evaluation/model", "evaluation/popular")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _fetch(address: str, deadline: float) -> str:
    while True:
        try:
            with urllib.request.urlopen(address, timeout=DEADLINE_S) as answer:
                return str(answer.read().decode())
        except (URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def test_it_shows_trainings_and_evaluations_on_loopback(pushed_run: Path) -> None:
    port, deadline = _free_port(), time.monotonic() + DEADLINE_S
    # Where a script runs the tests in the background, its shell has told all of them to ignore Ctrl-C.
    words = ["env", "--default-signal=INT", sys.executable, "-m", "pipeline.cli"]
    words += ["tensorboard", str(pushed_run), "--port", str(port)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True) as shown:
        try:
            runs: list[str] = []
            while not all(any(word in run for run in runs) for word in WORDS) and time.monotonic() < deadline:
                runs = json.loads(_fetch(f"http://127.0.0.1:{port}/data/runs", deadline))
                time.sleep(0.2)
        finally:
            # Ctrl-C in a terminal reaches the command and the program that it has started.
            os.killpg(shown.pid, signal.SIGINT)
            try:
                shown.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                os.killpg(shown.pid, signal.SIGKILL)
                raise
    assert [word for word in WORDS if not any(word in run for run in runs)] == [], runs
    assert shown.returncode == 0


def test_a_folder_without_training_says_what_to_do(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "pipeline.cli", "tensorboard", str(tmp_path)]
    told = subprocess.run(words, capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert "aisle run" in told.stderr
