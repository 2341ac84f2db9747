"""Two servers, one of them slow, away or busy: the other one's answer counts."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from slow_servers import SlowServer

from serving.async_client import AsyncGrpcTransport, AsyncHedgedTransport
from serving.client import Code, GrpcTransport, HedgedTransport, ServingError
from serving.hedging import BURST, HedgeBudget
from serving.messages import PredictResponse

LONG_S = 20.0
NOBODY = "127.0.0.1:1"


def _threads(first: str, second: str, *, timeout_s: float = 10.0, calls: int = 1, **options: Any) -> list[str]:
    transport = HedgedTransport(GrpcTransport(first), GrpcTransport(second), **options)
    try:
        return [_name(transport.call("Predict", b"", timeout_s)) for _ in range(calls)]
    finally:
        transport.close()


def _asyncio(first: str, second: str, *, timeout_s: float = 10.0, calls: int = 1, **options: Any) -> list[str]:
    async def ask() -> list[str]:
        transport = AsyncHedgedTransport(AsyncGrpcTransport(first), AsyncGrpcTransport(second), **options)
        try:
            return [_name(await transport.call("Predict", b"", timeout_s)) for _ in range(calls)]
        finally:
            await transport.close()

    return asyncio.run(ask())


def _name(response: bytes) -> str:
    name: str = PredictResponse.FromString(response).model_spec.name
    return name


@pytest.fixture(params=[_threads, _asyncio], ids=["threads", "asyncio"])
def ask(request: pytest.FixtureRequest) -> Callable[..., list[str]]:
    return request.param


@pytest.fixture
def fast() -> Iterator[SlowServer]:
    with SlowServer("fast").running() as server:
        yield server


@pytest.fixture
def slow() -> Iterator[SlowServer]:
    with SlowServer("slow", LONG_S).running() as server:
        yield server


def test_a_fast_first_server_is_asked_alone(ask: Any, fast: SlowServer, slow: SlowServer) -> None:
    assert ask(fast.address, slow.address, after_s=5.0) == ["fast"]
    assert slow.calls == 0


def test_a_slow_first_server_is_overtaken_and_its_call_cancelled(ask: Any, fast: SlowServer, slow: SlowServer) -> None:
    started_s = time.monotonic()
    assert ask(slow.address, fast.address, after_s=0.05) == ["fast"]
    assert time.monotonic() - started_s < LONG_S / 2
    assert slow.cancelled.wait(5)


def test_a_second_server_that_is_away_changes_nothing(ask: Any) -> None:
    with SlowServer("slow", 0.3).running() as slow:
        assert ask(slow.address, NOBODY, after_s=0.01) == ["slow"]


def test_a_first_server_that_is_away_costs_no_wait(ask: Any, fast: SlowServer) -> None:
    assert ask(NOBODY, fast.address, after_s=LONG_S) == ["fast"]


def test_a_busy_first_server_gives_way(ask: Any, fast: SlowServer) -> None:
    with SlowServer("busy", error=(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")).running() as busy:
        assert ask(busy.address, fast.address, after_s=LONG_S) == ["fast"]


def test_an_error_of_the_callers_is_not_asked_again(ask: Any, fast: SlowServer) -> None:
    with SlowServer("strict", error=(grpc.StatusCode.INVALID_ARGUMENT, "k")).running() as strict:
        with pytest.raises(ServingError) as caught:
            ask(strict.address, fast.address, after_s=LONG_S)
        assert caught.value.code == Code.INVALID_ARGUMENT
        assert fast.calls == 0


def test_nobody_answers(ask: Any) -> None:
    with pytest.raises(ServingError) as caught:
        ask(NOBODY, NOBODY, after_s=0.01)
    assert caught.value.code == Code.UNAVAILABLE


def test_the_deadline_holds_for_both(ask: Any, slow: SlowServer) -> None:
    started_s = time.monotonic()
    with SlowServer("slow too", LONG_S).running() as other, pytest.raises(ServingError) as caught:
        ask(slow.address, other.address, after_s=0.05, timeout_s=0.3)
    assert caught.value.code == Code.DEADLINE_EXCEEDED
    assert time.monotonic() - started_s < LONG_S / 2


def test_a_server_that_is_always_slow_gets_no_double_load(ask: Any) -> None:
    with SlowServer("slow", 0.03).running() as slow, SlowServer("other", 0.03).running() as other:
        ask(slow.address, other.address, after_s=0.001, most_share=0.0, calls=20)
        assert slow.calls == 20
        assert other.calls == BURST


def test_the_budget_is_a_share() -> None:
    budget = HedgeBudget(0.25)
    assert [budget.take() for _ in range(int(BURST) + 1)] == [True] * int(BURST) + [False]
    taken = 0
    for _ in range(100):
        budget.count()
        taken += budget.take()
    assert taken == 25
    with pytest.raises(ValueError, match="expected a share of calls from 0 to 1, got 2"):
        HedgeBudget(2)
