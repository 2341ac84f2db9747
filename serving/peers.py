"""What the processes behind one port know of each other: a probe reaches one of them, calls reach them all."""

from __future__ import annotations

from collections.abc import MutableSequence

_ABSENT, _WAITING, _READY = range(3)


class Peers:
    """The readiness of all processes behind one port.

    Args:
      states: one number for each process, in memory that they share; all 0 at first.
      place: which of them is this process's.
    """

    def __init__(self, states: MutableSequence[int], place: int) -> None:
        self._states, self._place = states, place

    def tell(self, *, ready: bool) -> None:
        """Says whether this process, which listens, is ready."""
        self._states[self._place] = _READY if ready else _WAITING

    def leave(self) -> None:
        """Says that this process listens no more."""
        self._states[self._place] = _ABSENT

    def all_ready(self) -> bool:
        """Returns whether every process that listens is ready."""
        return all(state != _WAITING for state in self._states)
