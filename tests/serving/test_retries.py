"""What a client does when a server is away or has too much to do: pauses, deadlines, and the way back."""

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.async_client import AsyncClient
from serving.client import Client, Code, GrpcTransport, ServingError
from serving.model_store import ModelStore
from serving.options import Limits, ServerOptions
from serving.server import Server


class Flaky:
    """A transport that is away for some calls and records when it was called."""

    def __init__(self, failures: int, code: Code = Code.UNAVAILABLE, retry_after_s: float | None = None) -> None:
        self.failures = failures
        self.error = ServingError(code, "away", retry_after_s)
        self.timeouts_s: list[float] = []

    def call(self, method: str, request: bytes, timeout_s: float) -> bytes:
        self.timeouts_s.append(timeout_s)
        if len(self.timeouts_s) <= self.failures:
            raise self.error
        return b""

    def close(self) -> None:
        pass


class AsyncFlaky:
    """The same for asyncio."""

    def __init__(self, flaky: Flaky) -> None:
        self._flaky = flaky

    async def call(self, method: str, request: bytes, timeout_s: float) -> bytes:
        return self._flaky.call(method, request, timeout_s)

    async def close(self) -> None:
        pass


def _threads(flaky: Flaky, sleep: Callable[[float], None], **options: Any) -> Any:
    return Client(flaky, sleep=sleep, **options).predict("", {})


def _asyncio(flaky: Flaky, sleep: Callable[[float], None], **options: Any) -> Any:
    async def doze(seconds: float) -> None:
        sleep(seconds)

    return asyncio.run(AsyncClient(AsyncFlaky(flaky), sleep=doze, **options).predict("", {}))


@pytest.fixture(params=[_threads, _asyncio], ids=["threads", "asyncio"])
def ask(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_unavailable_is_tried_again_with_growing_pauses(ask: Any) -> None:
    pauses: list[float] = []
    flaky = Flaky(3)
    assert ask(flaky, pauses.append, backoff_s=0.1) == {}
    assert len(flaky.timeouts_s) == 4
    assert all(low <= pause <= 2 * low for low, pause in zip((0.05, 0.1, 0.2), pauses, strict=True))


def test_retries_end(ask: Any) -> None:
    flaky = Flaky(100)
    with pytest.raises(ServingError, match="UNAVAILABLE: away"):
        ask(flaky, lambda _seconds: None, retries=2)
    assert len(flaky.timeouts_s) == 3


def test_a_refused_call_comes_back_when_it_was_told_to(ask: Any) -> None:
    pauses: list[float] = []
    assert ask(Flaky(2, Code.RESOURCE_EXHAUSTED, 1.0), pauses.append, backoff_s=0.01) == {}
    assert all(1.0 <= pause <= 1.5 for pause in pauses)
    assert len(pauses) == 2


@pytest.mark.parametrize(
    "code", [Code.INVALID_ARGUMENT, Code.DEADLINE_EXCEEDED, Code.NOT_FOUND, Code.RESOURCE_EXHAUSTED]
)
def test_other_errors_are_not_tried_again(ask: Any, code: Code) -> None:
    flaky = Flaky(100, code)
    with pytest.raises(ServingError):
        ask(flaky, lambda _seconds: None)
    assert len(flaky.timeouts_s) == 1


def test_a_pause_that_reaches_beyond_the_deadline_is_not_begun(ask: Any) -> None:
    flaky = Flaky(100, retry_after_s=60.0)
    with pytest.raises(ServingError):
        ask(flaky, lambda _seconds: pytest.fail("it waited"), deadline_s=5.0)
    assert len(flaky.timeouts_s) == 1


def test_attempts_share_one_deadline(ask: Any) -> None:
    flaky = Flaky(100)
    with pytest.raises(ServingError):
        ask(flaky, time.sleep, deadline_s=0.2, retries=100, backoff_s=0.02)
    assert flaky.timeouts_s == sorted(flaky.timeouts_s, reverse=True)
    assert 0.15 < flaky.timeouts_s[0] <= 0.2
    assert 3 <= len(flaky.timeouts_s) < 20


def test_a_server_that_comes_back_is_found(half_path: Path) -> None:
    with Server([ModelStore("half_plus_two", half_path)], rest_port=None) as first:
        port = first.grpc_port
        client = Client(GrpcTransport(first.grpc_address), model_name="half_plus_two", retries=50, deadline_s=30)
        inputs = {"x": np.ones(1, np.float32)}
        assert client.predict("", inputs)["y"].tolist() == [2.5]
    answers: list[Any] = []
    waiting = threading.Thread(target=lambda: answers.append(client.predict("", inputs)["y"].tolist()))
    waiting.start()
    time.sleep(0.3)
    assert answers == []
    with Server([ModelStore("half_plus_two", half_path)], grpc_port=port, rest_port=None):
        waiting.join()
    client.close()
    assert answers == [[2.5]]


def test_a_client_beyond_its_rate_waits_as_long_as_it_is_told(half_path: Path) -> None:
    options = ServerOptions(limits=Limits(calls_per_s=10.0, burst=1))
    with Server([ModelStore("half_plus_two", half_path)], rest_port=None, options=options) as server:
        transport = GrpcTransport(server.grpc_address)
        with Client(transport, model_name="half_plus_two", backoff_s=0.001, deadline_s=30) as client:
            started_s = time.monotonic()
            for _ in range(5):
                assert client.predict("", {"x": np.ones(1, np.float32)})["y"].tolist() == [2.5]
            assert time.monotonic() - started_s > 0.35
