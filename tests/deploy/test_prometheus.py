"""A real Prometheus reads a real server, keeps our rules, and answers the dashboard's queries."""

import contextlib
import math
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from programs import program
from promql import RULES, dashboard_expressions, rules
from server_processes import free_port
from tiny_models import save_shop

from serving.client import Client, GrpcTransport
from serving.model_store import ModelStore
from serving.server import Server

WAIT_S = 60.0


@contextlib.contextmanager
def prometheus(folder: Path, target: str) -> Iterator[str]:
    """Starts Prometheus with our rules on one target; yields its address."""
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(path) for path in RULES.glob("*.rules.yml")],
        "scrape_configs": [
            {
                "job_name": "aisle",
                "metrics_path": "/monitoring/prometheus/metrics",
                "static_configs": [{"targets": [target], "labels": {"app": "aisle-server"}}],
            }
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    words = [
        program("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'series'}",
        f"--web.listen-address={address}",
    ]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(30)


def query(address: str, expression: str) -> list[dict[str, Any]]:
    try:
        answer = httpx.get(f"{address}/api/v1/query", params={"query": expression}, timeout=10.0)
    except httpx.TransportError:
        return []  # not up yet
    assert answer.status_code in (200, 503), f"{expression}: {answer.text}"
    found: list[dict[str, Any]] = answer.json()["data"]["result"] if answer.status_code == 200 else []
    return found


def until(address: str, expression: str, client: Client) -> float:
    """Asks the server and Prometheus until the expression has a value."""
    end_s = time.monotonic() + WAIT_S
    while True:
        client.recommend(["a"])
        found = [float(one["value"][1]) for one in query(address, expression)]
        if found and not math.isnan(found[0]):
            return found[0]
        assert time.monotonic() < end_s, f"{expression} has no value"
        time.sleep(0.2)


@pytest.mark.slow
def test_it_scrapes_the_server_and_keeps_the_rules(tmp_path: Path) -> None:
    save_shop(tmp_path / "shop/3")
    with (
        Server([ModelStore("shop", tmp_path / "shop")]) as server,
        prometheus(tmp_path, str(server.rest_address)) as address,
        Client(GrpcTransport(server.grpc_address), model_name="shop") as client,
    ):
        assert until(address, 'up{job="aisle"} == 1', client) == 1.0
        calls = until(address, 'aisle_calls_total{signature_name="recommend", status="OK"} > 0', client)
        assert calls == int(calls)
        # What rules record of real calls, in seconds: the stock server's buckets are in microseconds.
        assert 1e-4 < until(address, "aisle:latency_seconds:p99_5m", client) < 10
        assert 1e-4 < until(address, "aisle:signature_latency_seconds:p99_5m", client) < 10
        assert until(address, "aisle_model_version", client) == 3.0
        kept = httpx.get(f"{address}/api/v1/rules", timeout=10.0).json()["data"]["groups"]
        found = {rule["name"]: rule for group in kept for rule in group["rules"]}
        assert set(found) == {rule.get("alert", rule.get("record")) for rule in rules()}
        assert {name: rule.get("lastError") for name, rule in found.items() if rule["health"] != "ok"} == {}
        # No alarm about a server that is well; of the model nothing is known here.
        assert query(address, 'ALERTS{alertstate="firing"}') == []
        for expression in dashboard_expressions():
            answer = httpx.get(f"{address}/api/v1/query", params={"query": expression}, timeout=10.0)
            assert answer.status_code == 200, f"{expression}: {answer.text}"
