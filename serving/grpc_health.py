"""gRPC's health protocol: whether the server is ready, asked once or watched.

Not the asyncio service of grpcio-health-checking: there the watchers of a name hear no more once one of them has gone.
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

SERVICES = ("tensorflow.serving.ModelService", "tensorflow.serving.PredictionService")
# The names under which clients may ask for this server; "" means all of it.
_NAMES = frozenset({"", "ModelService", "PredictionService", *SERVICES})
_Response = health_pb2.HealthCheckResponse


class HealthService(health_pb2_grpc.HealthServicer):
    """Tells whether the server is ready, the same for each of its names. All of it belongs to one event loop."""

    def __init__(self) -> None:
        self._status = _Response.NOT_SERVING
        self._ended = False
        self._changed = asyncio.Condition()

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802  (the protocol's name)
        """Answers once."""
        if request.service not in _NAMES:
            await context.abort(grpc.StatusCode.NOT_FOUND)
        return _Response(status=self._status)

    async def Watch(self, request: Any, context: Any) -> None:  # noqa: N802
        """Answers now and at each change, until the server stops."""
        said = None
        while (status := await self._other(request.service, said)) != said:
            await context.write(_Response(status=status))
            said = status

    async def _other(self, service: str, said: Any) -> Any:
        """Returns a service's status once it is another than `said`, or when the server stops."""

        def status() -> Any:
            return self._status if service in _NAMES else _Response.SERVICE_UNKNOWN

        async with self._changed:
            await self._changed.wait_for(lambda: self._ended or status() != said)
        return status()

    async def tell(self, *, healthy: bool) -> None:
        """Takes note of a change."""
        async with self._changed:
            self._status = _Response.SERVING if healthy and not self._ended else _Response.NOT_SERVING
            self._changed.notify_all()

    async def end(self) -> None:
        """Says that the server is not ready, for good, and lets those who watch go."""
        self._ended = True
        await self.tell(healthy=False)
