"""Hedged calls: where one server is slow to answer, a second one is asked as well, and the first answer counts."""

from __future__ import annotations

import queue
import threading
import time

from serving.errors import Code, ServingError
from serving.grpc_transport import Flight, GrpcTransport
from serving.retries import MIN_TIMEOUT_S

# How many hedges may come in a row before their share counts.
BURST = 10.0
# What says nothing about the call itself: the other server may answer it.
TAKEN_BY_NOBODY = (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED)


class HedgeBudget:
    """Keeps second calls a small share of all calls: a server that is slow under load gets no double load.

    Args:
      most_share: the share, 0 to 1.

    Raises:
      ValueError: if it is none.
    """

    def __init__(self, most_share: float) -> None:
        if not 0 <= most_share <= 1:
            raise ValueError(f"expected a share of calls from 0 to 1, got {most_share}")
        self._most_share = most_share
        self._left = BURST
        self._lock = threading.Lock()

    def count(self) -> None:
        """Counts a call."""
        with self._lock:
            self._left = min(BURST, self._left + self._most_share)

    def take(self) -> bool:
        """Takes one second call from the budget; returns whether there was one left."""
        with self._lock:
            if self._left < 1:
                return False
            self._left -= 1
            return True


class HedgedTransport:
    """Carries the calls of `Client` to a server, and those that last to a second one as well.

    A call goes to the second server once the first has not answered for `after_s`, or cannot be reached. The first
    good answer counts, and the other call is cancelled. All calls of the API only read, so nothing is done twice.
    Two transports to one address are two connections, and so most often two workers of one server.

    Args:
      first: the server that gets every call.
      second: the other one.
      after_s: how long the first may take; best a time that it needs for one call in twenty.
      most_share: which share of the calls may be asked twice for being slow.
    """

    def __init__(
        self, first: GrpcTransport, second: GrpcTransport, *, after_s: float = 0.05, most_share: float = 0.1
    ) -> None:
        self._first = first
        self._second = second
        self._after_s = after_s
        self._budget = HedgeBudget(most_share)

    def call(self, method: str, request: bytes, timeout_s: float) -> bytes:
        """Carries one call, as `Transport.call`."""
        self._budget.count()
        end_s = time.monotonic() + timeout_s
        ended: queue.SimpleQueue[Flight] = queue.SimpleQueue()
        first = self._first.start(method, request, timeout_s)
        first.on_end(ended.put)
        flights = [first]
        try:
            try:
                return ended.get(timeout=self._after_s).result()
            except queue.Empty:
                if not self._budget.take():
                    return first.result()
            except ServingError as error:
                if error.code not in TAKEN_BY_NOBODY:
                    raise
                flights.clear()
            second = self._second.start(method, request, max(end_s - time.monotonic(), MIN_TIMEOUT_S))
            second.on_end(ended.put)
            flights.append(second)
            return _first_good(ended, len(flights))
        finally:
            for flight in flights:
                flight.cancel()

    def close(self) -> None:
        """Closes both connections."""
        self._first.close()
        self._second.close()


def _first_good(ended: queue.SimpleQueue[Flight], under_way: int) -> bytes:
    for others in range(under_way - 1, -1, -1):
        try:
            return ended.get().result()
        except ServingError as error:
            if not others or error.code not in TAKEN_BY_NOBODY:
                raise
    raise AssertionError("there is a flight")
