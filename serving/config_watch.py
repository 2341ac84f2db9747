"""Keeps a server's models as a configuration says that may change while the server runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from serving.border import LoopBorder
from serving.errors import ServingError
from serving.model_catalog import ModelCatalog
from serving.model_config import ModelSettings

LOG = logging.getLogger("aisle.serving")
RETRY_S = 1.0


class ConfigWatch:
    """Reads a configuration again and again; what has changed is taken over, what cannot be is tried again.

    Args:
      catalog: the models to keep so.
      file: where it lies; it is read when this file is another one than before, or there no more.
      read: reads it; None where there is none now.
      poll_s: pause between two looks; 0 looks until one was taken over.
    """

    def __init__(
        self, catalog: ModelCatalog, file: Path, read: Callable[[], Sequence[ModelSettings] | None], poll_s: float
    ) -> None:
        self._catalog = catalog
        self._file = file
        self._read = read
        self._poll_s = poll_s
        # What a client has told the server meanwhile may be what the file says, or not: only the file's changes count.
        self._taken: tuple[int, ...] | None = None
        self._said = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="configuration", daemon=True)

    def start(self) -> None:
        """Looks once, then goes on in the background."""
        if not self.look() or self._poll_s:
            self._thread.start()

    def stop(self) -> None:
        """Ends the watch."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> bool:
        """Reads the configuration and takes over what is new; returns whether it now holds."""
        try:
            now = self._stamp()
            if now != self._taken:
                wanted = self._read()
                if wanted is not None:
                    self._catalog.reload(wanted)
                self._taken = now
        except (OSError, ServingError) as error:
            if str(error) != self._said:
                LOG.error("the configuration is not taken over, what was served goes on: %s", error)
                self._said = str(error)
            return False
        self._said = ""
        return True

    def _stamp(self) -> tuple[int, ...]:
        """Returns what tells this file from the one before; () where there is none."""
        try:
            status = self._file.stat()
        except FileNotFoundError:
            return ()
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _run(self) -> None:
        border = LoopBorder("the watch of the configuration")
        while not self._stop.wait(self._poll_s or RETRY_S):
            with border:
                if self.look() and not self._poll_s:
                    return
