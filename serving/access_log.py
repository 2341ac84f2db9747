"""One JSON line for each call, written aside: a full disk costs lines, never an answer."""

from __future__ import annotations

import json
import logging
import logging.handlers
import queue
import sys
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
        waiting: queue.Queue[Any] = queue.Queue(MAX_WAITING_LINES)
        self._entry = _Entry(waiting, on_loss)
        writer = _writer(file, on_loss)
        writer.setFormatter(logging.Formatter("%(message)s"))
        self._listener = logging.handlers.QueueListener(waiting, writer)
        self._writer = writer
        self._listener.start()

    def write(self, **fields: Any) -> None:
        """Appends one line; returns at once."""
        self._entry.handle(logging.makeLogRecord({"msg": json.dumps(fields, ensure_ascii=True)}))

    def close(self) -> None:
        """Writes what waits and closes the file."""
        self._listener.stop()
        self._writer.close()


class _Entry(logging.handlers.QueueHandler):
    def __init__(self, waiting: queue.Queue[Any], on_loss: Callable[[], None]) -> None:
        super().__init__(waiting)
        self._on_loss = on_loss

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's name)
        self._on_loss()


def _writer(file: Path, on_loss: Callable[[], None]) -> logging.Handler:
    """Makes a handler that counts what it cannot write, and says so the first time."""
    said = False

    def lose(_record: logging.LogRecord) -> None:
        nonlocal said
        on_loss()
        if not said:
            said = True
            LOG.warning("%s: the access log cannot be written (%s); answers go on", file, sys.exc_info()[1])

    handler: logging.Handler
    if str(file) == STDERR:
        handler = logging.StreamHandler(sys.stderr)
    else:
        handler = logging.handlers.WatchedFileHandler(file, encoding="utf-8")
    handler.handleError = lose  # type: ignore[method-assign, assignment]
    return handler
