"""When a call that a server could not take is tried again, within the caller's deadline."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from serving.errors import Code, ServingError

MAX_BACKOFF_S = 2.0
MIN_TIMEOUT_S = 0.001


@dataclass(frozen=True)
class Retries:
    """How often and when to try again.

    A call is tried again if nothing was done for it: answered UNAVAILABLE, or refused with the time to come back.

    Args:
      retries: how often a call is tried again.
      backoff_s: pause before the first retry; it doubles each time, with jitter, up to MAX_BACKOFF_S.
      clock: tells seconds that only grow.
    """

    retries: int = 5
    backoff_s: float = 0.1
    clock: Callable[[], float] = time.monotonic

    def begin(self, deadline_s: float) -> Attempts:
        """Starts to count the attempts of one call, which gives up after `deadline_s`."""
        return Attempts(self, self.clock() + deadline_s)


@dataclass
class Attempts:
    """The attempts of one call.

    Args:
      policy: how often and when.
      end_s: when to give up, by the policy's clock.
    """

    policy: Retries
    end_s: float
    _failed: int = field(default=0, init=False)

    def left_s(self) -> float:
        """Returns how long the next attempt may take."""
        return max(self.end_s - self.policy.clock(), MIN_TIMEOUT_S)

    def pause_s(self, error: ServingError) -> float:
        """Returns how long to wait before the next attempt.

        Args:
          error: how the last one ended.

        Raises:
          ServingError: `error`, if there shall be no next one.
        """
        refused = error.code == Code.RESOURCE_EXHAUSTED and error.retry_after_s is not None
        if self._failed >= self.policy.retries or not (error.code == Code.UNAVAILABLE or refused):
            raise error
        jitter = random.uniform(0.5, 1.0)
        pause_s = min(self.policy.backoff_s * 2**self._failed, MAX_BACKOFF_S) * jitter
        if error.retry_after_s is not None:
            # Half as long again at most: those who were refused together do not come back together.
            pause_s = max(pause_s, error.retry_after_s * (0.5 + jitter))
        if self.policy.clock() + pause_s >= self.end_s:
            raise error
        self._failed += 1
        return pause_s
