"""Where a run's noise goes: logging, warnings, and what libraries print, from Python or from C++."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TextIO, cast

# These say every node's whole protocol buffer, or say everything twice.
_CHATTY = ("absl", "tensorflow", "apache_beam")
FORMAT = "%(asctime)s %(levelname).1s %(name)s: %(message)s"


@contextlib.contextmanager
def captured(path: Path, people: TextIO) -> Iterator[TextIO]:
    """Sends all output of the process to a file, except what is written to the stream that this yields.

    Args:
      path: the log file; written to its end.
      people: the stream that people read, `sys.stdout` or `sys.stderr`.

    Yields:
      A stream that still reaches `people`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        path.open("a", encoding="utf-8", buffering=1) as log,
        _kept(people) as kept,
        _descriptors_to(log),
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
        _logging_to(log),
    ):
        yield kept


@contextlib.contextmanager
def _kept(people: TextIO) -> Iterator[TextIO]:
    """A stream of its own to where `people` leads now; a stream that is no file (in a test) is kept as it is."""
    try:
        descriptor = people.fileno()
    except (io.UnsupportedOperation, AttributeError):
        yield people
        return
    people.flush()
    with os.fdopen(os.dup(descriptor), "w", encoding=people.encoding, errors="replace", buffering=1) as kept:
        yield cast(TextIO, kept)


@contextlib.contextmanager
def _descriptors_to(log: IO[str]) -> Iterator[None]:
    """Points the process's own stdout and stderr to the log, which C++ and child processes write to."""
    saved = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
    try:
        for descriptor in saved:
            os.dup2(log.fileno(), descriptor)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, original in saved.items():
            os.dup2(original, descriptor)
            os.close(original)


@contextlib.contextmanager
def _logging_to(log: IO[str]) -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    handler = logging.StreamHandler(log)
    handler.setFormatter(logging.Formatter(FORMAT))
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    chatty = {name: logging.getLogger(name).level for name in _CHATTY}
    for name in chatty:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    try:
        # Shown, each once a place: a warning is never an error here, whatever the caller has asked for elsewhere.
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            yield
    finally:
        logging.captureWarnings(False)
        for name, own_level in chatty.items():
            logging.getLogger(name).setLevel(own_level)
        root.handlers[:] = handlers
        root.setLevel(level)
