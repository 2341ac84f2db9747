"""Where a fault of our own stops: it is told in the log, and what it met goes on."""

from __future__ import annotations

import logging
from types import TracebackType

from serving.errors import Code, ServingError, WouldWaitError

LOG = logging.getLogger("aisle.serving")


class CallBorder:
    """Around a call: a fault of the server's own becomes an answer that tells nothing of its inside.

    Raises:
      ServingError: INTERNAL, instead of what is no ServingError.
    """

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Lets errors for the client pass."""
        if isinstance(error, Exception) and not isinstance(error, ServingError | WouldWaitError):
            LOG.error("a call met a fault of the server's own", exc_info=error)
            raise ServingError(Code.INTERNAL, "the server met a fault of its own; its log tells which") from error


class LoopBorder:
    """Around one round of a loop that must not end: its next round tries again.

    Args:
      work: what the round does, for the log.
    """

    def __init__(self, work: str) -> None:
        self._work = work
        self._said = ""

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> bool:
        """Tells a fault once as long as it stays the same."""
        if not isinstance(error, Exception):
            return False
        if repr(error) != self._said:
            LOG.error("%s met a fault of the server's own and tries again", self._work, exc_info=error)
            self._said = repr(error)
        return True
