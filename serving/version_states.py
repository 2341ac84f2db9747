"""The states that a version of a model goes through, as GetModelStatus tells them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from serving.errors import Code
from serving.versions import Fingerprint

if TYPE_CHECKING:
    from serving.predictor import Predictor

# States of a version, as numbered by TensorFlow Serving's GetModelStatus.
START, LOADING, AVAILABLE, UNLOADING, END = 10, 20, 30, 40, 50


@dataclass(frozen=True)
class VersionStatus:
    """What GetModelStatus says of one version.

    Args:
      version: its number.
      state: one of START, LOADING, AVAILABLE, UNLOADING, END.
      code: why it could not be loaded; OK if nothing went wrong.
      message: the same in words.
    """

    version: int
    state: int
    code: Code = Code.OK
    message: str = ""


@dataclass
class Version:
    """One version that was seen on disk. `calls` counts those under way."""

    number: int
    folder: Path
    state: int = START
    predictor: Predictor | None = None
    calls: int = 0
    error: str = ""
    failures: int = 0
    retry_at_s: float = 0.0
    seen: Fingerprint | None = field(default=None, repr=False)
    tried: Fingerprint | None = field(default=None, repr=False)


class HeldVersion:
    """A version that a call holds, for a `with` statement: a generator would cost every call several times as much.

    Args:
      version: the one held.
      let_go: called with it at the end.
    """

    def __init__(self, version: Version, let_go: Callable[[Version], None]) -> None:
        self._version, self._let_go = version, let_go

    def __enter__(self) -> tuple[int, Predictor]:
        """Returns the version's number and its predictor."""
        assert self._version.predictor is not None
        return self._version.number, self._version.predictor

    def __exit__(self, *_exception: object) -> None:
        """Lets the version go."""
        self._let_go(self._version)
