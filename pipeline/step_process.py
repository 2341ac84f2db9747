"""Runs a step in a process of its own, as it would on a cluster.

What a step changes in its process (TensorFlow's settings, memory that is never given back) ends with
it, and a step that the system kills is a failed step and not the end of the run.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import multiprocessing
import os
import re
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType

_log = logging.getLogger(__name__)
_PR_SET_PDEATHSIG = 1
_REASON_LINES = 24
_BEAM_SUFFIX = re.compile(r"\s*\[while running '[^']*'\]$")  # Beam adds its own step's name to a message


class StepProcessError(RuntimeError):
    """The step did not come to its end; the message says why in a few lines."""


@dataclass(frozen=True)
class Finished:
    """What a step's process tells.

    Args:
      value: what its work returned.
      peak_mib: the most memory that the process held, MiB.
    """

    value: int
    peak_mib: int


def run_apart(work: Callable[[], int]) -> Finished:
    """Forks a process, calls `work` in it, and waits for it.

    The process dies with this one. TensorFlow must not have run anything here before: its threads do not
    survive a fork.

    Args:
      work: what to do; its number comes back.

    Returns:
      What the process told.

    Raises:
      StepProcessError: if `work` raised, or something killed the process.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work_apart, args=(work, sender, os.getpid()))
    process.start()
    sender.close()
    try:
        with contextlib.suppress(EOFError):
            told: Finished | str = receiver.recv()
            process.join()
            if isinstance(told, str):
                raise StepProcessError(told)
            return told
        process.join()
    finally:
        process.kill()  # the person has stopped the run
        process.join()
    raise StepProcessError(_cause_of_death(process.exitcode or 0))


class _Told(contextlib.AbstractContextManager[None]):
    """Tells the parent why the work ended, whatever it was; the log gets the whole trace."""

    def __init__(self, sender: Connection) -> None:
        self._sender = sender

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is not None:
            _log.error("the step failed", exc_info=error)
            self._sender.send(reason_of(error))
        return True


def reason_of(error: BaseException) -> str:
    """Returns the first lines of an error's message, after its type where it is no sentence for people."""
    text = _BEAM_SUFFIX.sub("", str(error).strip())
    if not text or not isinstance(error, ValueError | RuntimeError | OSError):
        text = f"{type(error).__name__}: {text}".rstrip(": ")
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > _REASON_LINES:
        lines[_REASON_LINES:] = [f"... {len(lines) - _REASON_LINES} more lines"]
    return "\n".join(lines)


def _work_apart(work: Callable[[], int], sender: Connection, parent: int) -> None:
    _die_with(parent)
    with _Told(sender):
        value = work()
        sender.send(Finished(value, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: what libraries do at the end of Python (threads of Beam and gRPC to join) would only take time.
    os._exit(0)


def _die_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it died in between


def _cause_of_death(exit_code: int) -> str:
    if exit_code == -signal.SIGKILL:
        return "its process was killed (SIGKILL): most likely the machine ran out of memory"
    if exit_code < 0:
        return f"its process died of {signal.Signals(-exit_code).name}"
    return f"its process ended early with status {exit_code}"
