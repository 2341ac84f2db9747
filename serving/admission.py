"""Who may ask, and how often: bearer tokens, a rate for each client, and no more calls than can be answered."""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

from serving.errors import Code, ServingError
from serving.options import Limits

SCHEME = "bearer "
# When a client that was refused for the server's load should come back.
RETRY_AFTER_LOAD_S = 1.0
MAX_CLIENTS = 10_000


class Admission:
    """Decides about each call of one server process.

    Args:
      limits: how many calls at once, and how many a second of one client.
      tokens: client's name: its token; none lets everyone in.
      on_load: told how many calls are at work or waiting, whenever that changes.
      clock: tells seconds that only grow.
    """

    def __init__(
        self,
        limits: Limits,
        tokens: Mapping[str, str],
        *,
        on_load: Callable[[int], None] = lambda _calls: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._digests = {name: _digest(token) for name, token in tokens.items()}
        self._on_load = on_load
        self._clock = clock
        self._lock = threading.Lock()
        self._calls = 0
        # client: (calls that it may make now, when that was so); the client asked longest ago is first
        self._allowances: OrderedDict[str, tuple[float, float]] = OrderedDict()

    @property
    def knows_tokens(self) -> bool:
        """Whether calls need a token."""
        return bool(self._digests)

    @property
    def calls(self) -> int:
        """How many calls are at work or waiting."""
        return self._calls

    def enter(self) -> None:
        """Counts a call that has come."""
        with self._lock:
            self._calls += 1
            self._on_load(self._calls)

    def leave(self) -> None:
        """Counts a call that has ended."""
        with self._lock:
            self._calls -= 1
            self._on_load(self._calls)

    def check_load(self) -> None:
        """Refuses a call that would only wait behind too many others.

        Raises:
          ServingError: RESOURCE_EXHAUSTED with the time to retry.
        """
        limit = self._limits.concurrent_calls
        if limit and self._calls >= limit:
            raise ServingError(
                Code.RESOURCE_EXHAUSTED,
                f"the server has {limit} calls under way, its limit; try again",
                retry_after_s=RETRY_AFTER_LOAD_S,
            )

    def client(self, address: str, authorization: str) -> str:
        """Tells who asks.

        Args:
          address: the client's, without its port.
          authorization: the header or metadata of that name, "" if there is none.

        Returns:
          The name of the client's token, or its address where the server asks for no token.

        Raises:
          ServingError: UNAUTHENTICATED if the server knows tokens and this is none of them.
        """
        if not self._digests:
            return address
        if authorization[: len(SCHEME)].lower() == SCHEME:
            digest = _digest(authorization[len(SCHEME) :].strip())
            # Every token is compared in full: how long that takes tells nothing about them.
            matches = [name for name, known in self._digests.items() if hmac.compare_digest(known, digest)]
            if matches:
                return matches[0]
        raise ServingError(
            Code.UNAUTHENTICATED, "expected a known token: send 'authorization: Bearer TOKEN' with each call"
        )

    def check_rate(self, client: str) -> None:
        """Takes one call from what a client may make; it gains `calls_per_s` a second up to `burst`.

        Raises:
          ServingError: RESOURCE_EXHAUSTED with the time to retry.
        """
        rate = self._limits.calls_per_s
        if not rate:
            return
        most = self._limits.burst or max(1.0, rate)
        now = self._clock()
        with self._lock:
            left, then = self._allowances.get(client, (most, now))
            left = min(most, left + (now - then) * rate)
            self._allowances[client] = (left - 1 if left >= 1 else left, now)
            self._allowances.move_to_end(client)
            if len(self._allowances) > MAX_CLIENTS:
                self._allowances.popitem(last=False)
        if left < 1:
            raise ServingError(
                Code.RESOURCE_EXHAUSTED,
                f"more than {rate:g} calls a second from '{client}', the limit of one client; try again",
                retry_after_s=(1 - left) / rate,
            )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", errors="surrogateescape")).digest()
