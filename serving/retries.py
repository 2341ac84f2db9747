"""Calls that a server could not take are tried again, within the caller's deadline."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from serving.errors import Code, ServingError
from serving.transports import Transport

MAX_BACKOFF_S = 2.0
MIN_TIMEOUT_S = 0.001


@dataclass(frozen=True)
class Retries:
    """How often and when to try again.

    Args:
      retries: how often a call that was answered UNAVAILABLE is tried again.
      backoff_s: pause before the first retry; it doubles each time, with jitter, up to MAX_BACKOFF_S.
      sleep: what waits.
    """

    retries: int
    backoff_s: float
    sleep: Callable[[float], None] = time.sleep

    def call(self, transport: Transport, method: str, request: bytes, deadline_s: float) -> bytes:
        """Carries one call, as `Transport.call`, with retries; UNAVAILABLE alone means that nothing was done.

        Args:
          transport: what carries it.
          method: the method.
          request: the serialised request.
          deadline_s: when all of it gives up.

        Raises:
          ServingError: the last answer.
        """
        end_s = time.monotonic() + deadline_s
        attempt = 0
        while True:
            try:
                return transport.call(method, request, max(end_s - time.monotonic(), MIN_TIMEOUT_S))
            except ServingError as error:
                pause_s = min(self.backoff_s * 2**attempt, MAX_BACKOFF_S) * random.uniform(0.5, 1.0)
                last = attempt >= self.retries or time.monotonic() + pause_s >= end_s
                if error.code != Code.UNAVAILABLE or last:
                    raise
            self.sleep(pause_s)
            attempt += 1
