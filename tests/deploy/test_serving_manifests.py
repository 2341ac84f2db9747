"""The containers of the manifests, with exactly their flags and files, as processes on this machine."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from manifests import build, pods
from server_processes import Server, free_port, start
from tiny_models import save_shop

from serving.client import Client, GrpcTransport

START_S = 120.0


def _words(name: str, folder: Path) -> tuple[list[str], dict[str, Any], dict[str, int]]:
    """Places a container's mounts under a folder and its ports on free ones; returns command, container and ports."""
    ((_, pod),) = pods(name)
    (container,) = pod["containers"]
    configs = {found["metadata"]["name"]: found["data"] for found in build(name) if found["kind"] == "ConfigMap"}
    for volume in pod["volumes"]:
        for mount in container["volumeMounts"]:
            place = folder / mount["mountPath"].lstrip("/")
            place.mkdir(parents=True, exist_ok=True)
            if mount["name"] == volume["name"] and "configMap" in volume:
                for file, text in configs[volume["configMap"]["name"]].items():
                    (place / file).write_text(re.sub(r'"(/models)', rf'"{folder}\1', text), encoding="utf-8")
    ports = {entry["name"]: free_port() for entry in container["ports"]}
    declared = {str(entry["containerPort"]): str(ports[entry["name"]]) for entry in container["ports"]}
    words = list(container["command"])
    for word in container["args"]:
        flag, equals, value = word.rpartition("=")
        value = declared.get(value, str(folder / value.lstrip("/")) if value.startswith("/") else value)
        words.append(flag + equals + value.replace("0.0.0.0", "127.0.0.1"))
    return words, container, ports


@contextmanager
def _running(name: str, folder: Path) -> Iterator[tuple[Server, dict[str, Any], dict[str, int]]]:
    words, container, ports = _words(name, folder)
    with start(words, folder / "log.txt") as server:
        yield server, container, ports


def _probe(container: dict[str, Any], kind: str, ports: dict[str, int]) -> int:
    found = container[kind]["httpGet"]
    try:
        answer = httpx.get(f"http://127.0.0.1:{ports[found['port']]}{found['path']}", timeout=5.0)
    except httpx.TransportError:
        return 0
    return answer.status_code


def _wait(container: dict[str, Any], ports: dict[str, int], server: Server, *, ready: bool) -> None:
    """Waits for the readiness that is meant, and for a server that listens."""
    end_s = time.monotonic() + START_S
    while True:
        status = _probe(container, "readinessProbe", ports)
        if status and (status == 200) == ready:
            return
        server.check()
        assert time.monotonic() < end_s, f"readiness said {status}: {server.said()}"
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tensorflow-serving", "embedded-server"])
def test_it_is_ready_once_a_version_is_available(name: str, tmp_path: Path) -> None:
    with _running(name, tmp_path) as (server, container, ports):
        models = tmp_path / "models/aisle"
        _wait(container, ports, server, ready=False)
        models.mkdir(exist_ok=True)
        save_shop(models / ".copying")
        (models / ".copying").rename(models / "5")
        _wait(container, ports, server, ready=True)
        with Client(GrpcTransport(f"127.0.0.1:{ports['grpc']}"), model_name="aisle") as client:
            assert client.recommend(["a"])[0][0].item_id == "apple"
        metrics = httpx.get(f"http://127.0.0.1:{ports['rest']}/monitoring/prometheus/metrics")
        assert re.search(r':tensorflow:serving:request_count\{model_name="aisle",status="OK"\} [1-9]', metrics.text)


@pytest.mark.slow
def test_tensorboard_is_ready_before_the_first_run(tmp_path: Path) -> None:
    with _running("tensorboard", tmp_path) as (server, container, ports):
        _wait(container, ports, server, ready=True)


@pytest.mark.slow
def test_the_monitor_waits_for_a_first_push_and_then_tells_of_it(tmp_path: Path, pushed_run: Path) -> None:
    with _running("monitor", tmp_path) as (server, container, ports):
        _wait(container, ports, server, ready=True)
        end_s = time.monotonic() + START_S
        while "no look" not in server.said():
            server.check()
            assert time.monotonic() < end_s, server.said()
            time.sleep(0.1)
        assert str(tmp_path / "models/aisle") in server.said()
    (tmp_path / "runs/aisle").symlink_to(pushed_run)
    (tmp_path / "models/aisle").symlink_to(pushed_run / "serving/aisle")
    (tmp_path / "requests/aisle").mkdir()
    with _running("monitor", tmp_path) as (server, container, ports):
        end_s = time.monotonic() + START_S
        address = f"http://127.0.0.1:{ports['metrics']}/metrics"
        _wait(container, ports, server, ready=True)
        while 'aisle_model_items{model="aisle"} 60.0' not in httpx.get(address).text:
            server.check()
            assert time.monotonic() < end_s, server.said()
            time.sleep(0.2)
