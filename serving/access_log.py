"""One JSON line for each call, written aside: a full disk costs lines, never an answer."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

LOG = logging.getLogger("aisle.serving")
MAX_WAITING_LINES = 10_000
STDERR = "-"


class AccessLog:
    """Writes lines to a file in a thread of its own. A file that was moved away is begun anew.

    Args:
      file: where to append; `-` is the standard error.
      on_loss: called for each line that could not be written.

    Raises:
      OSError: if the file cannot be opened now.
    """

    def __init__(self, file: Path, on_loss: Callable[[], None]) -> None:
        self._file = file
        self._on_loss = on_loss
        self._waiting: queue.Queue[dict[str, Any] | None] = queue.Queue(MAX_WAITING_LINES)
        self._broken = False
        self._descriptor = -1
        self._open()
        self._thread = threading.Thread(target=self._run, name="access log", daemon=True)
        self._thread.start()

    def write(self, **fields: Any) -> None:
        """Appends one line; returns at once."""
        try:
            self._waiting.put_nowait(fields)
        except queue.Full:
            self._on_loss()

    def close(self) -> None:
        """Writes what waits and closes the file."""
        self._waiting.put(None)
        self._thread.join()
        self._shut()

    def _run(self) -> None:
        while (fields := self._waiting.get()) is not None:
            line = json.dumps(fields).encode() + b"\n"
            try:
                self._reopen_if_moved()
                # Whole lines only, also where other processes write to the same file.
                while line:
                    line = line[os.write(self._descriptor, line) :]
                self._broken = False
            except OSError as error:
                self._lose(error)

    def _lose(self, error: OSError) -> None:
        self._on_loss()
        if not self._broken:
            LOG.warning("%s: the access log cannot be written (%s); answers go on", self._file, error.strerror)
        self._broken = True

    def _open(self) -> None:
        self._descriptor = (
            os.dup(2)
            if str(self._file) == STDERR
            else os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        )

    def _reopen_if_moved(self) -> None:
        if str(self._file) == STDERR:
            return
        with contextlib.suppress(FileNotFoundError):
            if self._descriptor >= 0 and os.path.samestat(self._file.stat(), os.fstat(self._descriptor)):
                return
        self._shut()
        self._open()

    def _shut(self) -> None:
        # What a disk says at closing has been said at writing.
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
        self._descriptor = -1
