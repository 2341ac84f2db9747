"""The run folder: what lies where in it, and that only one run writes to it at a time."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class RunFolderError(RuntimeError):
    """The folder cannot be used for a run; the message says why and what to do."""


class RunFolder:
    """The places in one run folder.

    Args:
      path: the folder; made when it is locked.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.artifacts = path / "pipeline"
        self.metadata = path / "metadata.sqlite"
        self.log = path / "logs" / "run.log"
        self.serving = path / "serving"
        self.reports = path / "reports"
        #: what the last complete run made
        self.run_file = path / "run.json"
        #: how far the last run came, complete or not
        self.steps_file = path / "steps.json"
        self._lock_file = path / ".lock"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other runs out. The system lets go when the process ends, however it ends.

        Raises:
          RunFolderError: if another run is in progress, or the folder cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise RunFolderError(f"the run folder {self.path} cannot be written to: {error}") from error
        try:
            self._lock(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _lock(self, descriptor: int) -> None:
        try:
            # Record locks belong to this process alone: a child that outlives it does not keep them.
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = self._lock_file.read_text(encoding="utf-8").strip() or "unknown"
            raise RunFolderError(
                f"a run is in progress in {self.path} (process {owner}); wait for it, or choose another --output"
            ) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())

    def is_locked(self) -> bool:
        """Returns whether a run of another process is in progress."""
        if not self._lock_file.exists():
            return False
        with self._lock_file.open("r+") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def last_steps(self) -> dict[str, Any]:
        """Returns how far the last run came: `run`, its beginning, `seconds` and `steps`; nothing before the first."""
        return read_json(self.steps_file) or {}

    def account(self) -> dict[str, Any]:
        """Returns what `run.json` says of the last complete run; nothing before the first."""
        return read_json(self.run_file) or {}

    def read_reports(self) -> dict[str, Any]:
        """Reads the steps' reports of the last complete run, by name."""
        return {path.stem: read_json(path) for path in sorted(self.reports.glob("*.json"))}

    def discard_orphans(self) -> None:
        """Removes artifacts whose metadata is gone: without it nobody can tell what they are."""
        if not self.metadata.exists():
            shutil.rmtree(self.artifacts, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file so that readers see the old one or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    incoming = path.with_name(f".{path.name}.incoming")
    incoming.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    incoming.replace(path)


def read_json(path: Path) -> Any:
    """Reads a JSON file; None where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
