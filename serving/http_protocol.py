"""HTTP connections that cannot be held open by sending next to nothing."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

# How long the head of a request may take, from the moment of the connection or of the first byte after an answer.
HEAD_TIMEOUT_S = 20.0


class TimedProtocol(H11Protocol):
    """uvicorn's connection, closed where the head of a request does not come in time; uvicorn waits for ever."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the clock."""
        super().connection_made(transport)
        self._clock: asyncio.TimerHandle | None = self.loop.call_later(HEAD_TIMEOUT_S, self.transport.close)

    def data_received(self, data: bytes) -> None:
        """Stops the clock once a head is there, starts it where the head of a next request begins."""
        asked = self.cycle
        super().data_received(data)
        if self.cycle is not asked:
            self._stop_clock()
        elif self._clock is None and self.cycle is not None and self.cycle.response_complete:
            self._clock = self.loop.call_later(HEAD_TIMEOUT_S, self.transport.close)

    def connection_lost(self, exc: Any) -> None:
        """Stops the clock."""
        self._stop_clock()
        super().connection_lost(exc)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
