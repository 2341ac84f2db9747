"""What goes wrong in serving, in gRPC's own words: a status code and a message."""

from __future__ import annotations

import enum

RETRY_AFTER = "retry-after"  # metadata key and header with the seconds of `ServingError.retry_after_s`


class Code(enum.IntEnum):
    """The status codes of gRPC and of TensorFlow, which are the same numbers."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class ServingError(Exception):
    """A call that was answered with an error.

    Args:
      code: the gRPC status code.
      message: the text that the client gets.
      retry_after_s: when the same call may end well; None if it will not by waiting.
    """

    def __init__(self, code: Code, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"


class WouldWaitError(Exception):
    """A call that had to be answered at once would wait, or compute for long; nothing of it has been done."""
