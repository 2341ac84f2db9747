"""How the calls of the asyncio client travel: over gRPC, to one server or to the faster of two."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

import grpc

from serving.errors import ServingError
from serving.grpc_transport import CHANNEL_OPTIONS, SERVICES, serving_error, token_metadata
from serving.hedging import TAKEN_BY_NOBODY, HedgeBudget
from serving.retries import MIN_TIMEOUT_S


class AsyncTransport(Protocol):
    """What carries calls."""

    async def call(self, method: str, request: bytes, timeout_s: float) -> bytes:
        """Carries one call; arguments, answer and errors are those of `Transport.call`."""

    async def close(self) -> None:
        """Lets go of what the transport holds."""


class AsyncGrpcTransport:
    """Carries calls over one connection, which lasts and is made anew when it is lost.

    Args:
      address: HOST:PORT, or unix:PATH.
      credentials: how TLS is spoken, from `grpc.ssl_channel_credentials`; None speaks plainly.
      token: the bearer token that the server asks for; "" sends none. Without TLS others can read it.
    """

    def __init__(self, address: str, *, credentials: grpc.ChannelCredentials | None = None, token: str = "") -> None:
        self.address = address
        self._credentials = credentials
        self._metadata = token_metadata(token)
        self._channel: Any = None
        self._methods: dict[str, Any] = {}

    async def call(self, method: str, request: bytes, timeout_s: float) -> bytes:
        """Carries one call, as `AsyncTransport.call`."""
        if self._channel is None:
            self._open()
        try:
            response: bytes = await self._methods[method](request, timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise serving_error(error) from error
        return response

    async def close(self) -> None:
        """Closes the connection."""
        if self._channel is not None:
            await self._channel.close()
            self._channel = None

    def _open(self) -> None:
        """Opens the channel at the first call: it belongs to the event loop that runs then."""
        self._channel = (
            grpc.aio.insecure_channel(self.address, options=CHANNEL_OPTIONS)
            if self._credentials is None
            else grpc.aio.secure_channel(self.address, self._credentials, options=CHANNEL_OPTIONS)
        )
        self._methods = {
            method: self._channel.unary_unary(f"/{service}/{method}") for method, service in SERVICES.items()
        }


class AsyncHedgedTransport:
    """Carries calls to a server, and those that last to a second one as well, as `HedgedTransport` does.

    Args:
      first: the server that gets every call.
      second: the other one.
      after_s: how long the first may take; best a time that it needs for one call in twenty.
      most_share: which share of the calls may be asked twice for being slow.
    """

    def __init__(
        self, first: AsyncTransport, second: AsyncTransport, *, after_s: float = 0.05, most_share: float = 0.1
    ) -> None:
        self._first = first
        self._second = second
        self._after_s = after_s
        self._budget = HedgeBudget(most_share)

    async def call(self, method: str, request: bytes, timeout_s: float) -> bytes:
        """Carries one call, as `AsyncTransport.call`."""
        self._budget.count()
        end_s = asyncio.get_running_loop().time() + timeout_s
        calls = [asyncio.ensure_future(self._first.call(method, request, timeout_s))]
        try:
            done, _ = await asyncio.wait(calls, timeout=self._after_s)
            slow = not done
            if (slow and not self._budget.take()) or (done and not _taken_by_nobody(calls[0])):
                return await calls[0]
            left_s = max(end_s - asyncio.get_running_loop().time(), MIN_TIMEOUT_S)
            calls.append(asyncio.ensure_future(self._second.call(method, request, left_s)))
            return await _first_good(calls)
        finally:
            for call in calls:
                call.cancel()

    async def close(self) -> None:
        """Closes both connections."""
        await self._first.close()
        await self._second.close()


async def _first_good(calls: Sequence[asyncio.Future[bytes]]) -> bytes:
    waiting = set(calls)
    while True:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for call in done:
            if not _taken_by_nobody(call):
                return call.result()
        if not waiting:
            return calls[-1].result()


def _taken_by_nobody(call: asyncio.Future[bytes]) -> bool:
    error = call.exception()
    return isinstance(error, ServingError) and error.code in TAKEN_BY_NOBODY
