"""One question to a model on its way: what travels, and how its answer is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import DecodeError

from serving.errors import Code, ServingError

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Question(Generic[Answer]):
    """One call of TensorFlow Serving's API.

    Args:
      method: its name.
      request: the serialised request.
      read: makes the answer of the serialised response.
      deadline_s: when to give up; None means the client's deadline.
    """

    method: str
    request: bytes
    read: Callable[[bytes], Answer]
    deadline_s: float | None = None

    def answer(self, response: bytes) -> Answer:
        """Reads the response.

        Raises:
          ServingError: INTERNAL if it is not what the method answers.
        """
        try:
            return self.read(response)
        except (DecodeError, KeyError, ValueError) as error:
            raise ServingError(
                Code.INTERNAL,
                f"the answer to {self.method} cannot be read ({type(error).__name__}: {error}); expected a model with "
                "aisle's signatures on a server with TensorFlow Serving's API",
            ) from error
