"""What travels between client and server over gRPC besides the messages: connections, tokens, errors, cancellations."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from certificates import Authority
from slow_servers import SlowServer

from serving.async_client import AsyncClient, AsyncGrpcTransport
from serving.client import Client, Code, GrpcTransport, ServingError
from serving.model_store import ModelStore
from serving.options import ServerOptions, TlsKeys
from serving.server import Server


@pytest.fixture
def fast() -> Iterator[SlowServer]:
    with SlowServer("fast").running() as server:
        yield server


def test_one_connection_is_used_again(fast: SlowServer) -> None:
    transport = GrpcTransport(fast.address)
    threads = [threading.Thread(target=transport.call, args=("Predict", b"", 10)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    transport.close()
    assert fast.calls == 20
    assert len(set(fast.peers)) == 1


def test_the_asyncio_client_uses_one_connection_for_calls_at_once() -> None:
    async def ask(address: str) -> list[Any]:
        async with AsyncClient(AsyncGrpcTransport(address)) as client:
            return await asyncio.gather(*(client.predict("", {}) for _ in range(5)))

    with SlowServer("slow", 0.2).running() as slow:
        started_s = time.monotonic()
        assert asyncio.run(ask(slow.address)) == [{}] * 5
        assert time.monotonic() - started_s < 0.9
        assert len(set(slow.peers)) == 1


def test_two_transports_to_one_address_are_two_connections(fast: SlowServer) -> None:
    both = [GrpcTransport(fast.address), GrpcTransport(fast.address)]
    for transport in both:
        transport.call("Predict", b"", 5)
    for transport in both:
        transport.close()
    assert len(set(fast.peers)) == 2


def test_the_token_is_sent(fast: SlowServer) -> None:
    async def ask() -> None:
        async with AsyncClient(AsyncGrpcTransport(fast.address, token="secret")) as client:
            await client.predict("", {})

    with Client(GrpcTransport(fast.address, token="secret")) as client:
        client.predict("", {})
    assert fast.metadata["authorization"] == "Bearer secret"
    fast.metadata = {}
    asyncio.run(ask())
    assert fast.metadata["authorization"] == "Bearer secret"
    with Client(GrpcTransport(fast.address)) as client:
        client.predict("", {})
    assert "authorization" not in fast.metadata


@pytest.mark.parametrize(("sent", "read"), [("1.5", 1.5), ("-1", 0.0), ("soon", None), (None, None)])
def test_errors_tell_when_to_come_back(sent: str | None, read: float | None) -> None:
    trailing = (("retry-after", sent),) if sent else ()
    error = (grpc.StatusCode.RESOURCE_EXHAUSTED, "full")
    with SlowServer("busy", error=error, trailing=trailing).running() as busy:
        transport = GrpcTransport(busy.address)
        with pytest.raises(ServingError, match="RESOURCE_EXHAUSTED: full") as caught:
            transport.call("Predict", b"", 5)
        transport.close()
        assert caught.value.retry_after_s == read


def test_cancelling_a_task_cancels_the_call() -> None:
    async def ask(address: str) -> None:
        async with AsyncClient(AsyncGrpcTransport(address)) as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.predict("", {}, deadline_s=20), 0.2)

    with SlowServer("slow", 20.0).running() as slow:
        asyncio.run(ask(slow.address))
        assert slow.cancelled.wait(5)


def test_nobody_answers() -> None:
    transport = GrpcTransport("127.0.0.1:1")
    with pytest.raises(ServingError) as caught:
        transport.call("Predict", b"", 5)
    assert caught.value.code == Code.UNAVAILABLE
    flight = transport.start("Predict", b"", 5)
    with pytest.raises(ServingError, match="UNAVAILABLE"):
        flight.result()
    transport.close()


def test_a_cancelled_flight_says_so() -> None:
    with SlowServer("slow", 20.0).running() as slow:
        transport = GrpcTransport(slow.address)
        flight = transport.start("Predict", b"", 20)
        flight.cancel()
        with pytest.raises(ServingError, match="CANCELLED: the call was cancelled"):
            flight.result()
        transport.close()


def test_mutual_tls_and_tokens_for_both_clients(half_path: Path) -> None:
    authority = Authority()
    own, theirs = authority.sign("server"), authority.sign("client")
    tls = TlsKeys(own.key, own.certificate, client_ca=authority.certificate, verify_clients=True)
    known = grpc.ssl_channel_credentials(
        authority.certificate.encode(), theirs.key.encode(), theirs.certificate.encode()
    )
    inputs = {"x": np.ones(1, np.float32)}

    async def ask(address: str) -> Any:
        transport = AsyncGrpcTransport(address, credentials=known, token="t")
        async with AsyncClient(transport, model_name="half_plus_two") as client:
            return await client.predict("", inputs)

    options = ServerOptions(tls=tls, tokens={"shop": "t"})
    with Server([ModelStore("half_plus_two", half_path)], rest_port=None, options=options) as server:
        address = f"localhost:{server.grpc_port}"
        assert asyncio.run(ask(address))["y"].tolist() == [2.5]
        for credentials, token, code in (
            (known, "t", None),
            (known, "u", Code.UNAUTHENTICATED),
            (grpc.ssl_channel_credentials(authority.certificate.encode()), "t", Code.UNAVAILABLE),
            (None, "t", Code.UNAVAILABLE),
        ):
            transport = GrpcTransport(address, credentials=credentials, token=token)
            with Client(transport, model_name="half_plus_two", retries=0, deadline_s=5) as client:
                assert _code(client, inputs) == code


def _code(client: Client, inputs: dict[str, Any]) -> Code | None:
    try:
        client.predict("", inputs)
    except ServingError as error:
        return error.code
    return None
