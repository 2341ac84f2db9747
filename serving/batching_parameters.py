"""How calls are put together, as TensorFlow Serving's batching parameters file says it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from serving.messages import BatchingParameters


class BatchingError(ValueError):
    """A batching parameters file cannot be used; the message says what is wrong with it."""


@dataclass(frozen=True)
class Batching:
    """How calls are put together.

    Args:
      max_rows: rows of one run at most.
      wait_s: how long a run waits for more rows.
      max_waiting_runs: how many runs may be waiting for a thread; calls beyond are refused.
      threads: runs at the same time; 0 stands for the number of processors.
      allowed_rows: the numbers of rows that a run may have; one that has less is filled up. None at all allows all.
      pads: whether inputs of different widths are brought to the same with zeros and "".
      splits: whether a call of more than `max_rows` rows is run all the same.
    """

    max_rows: int = 1000
    wait_s: float = 0.0
    max_waiting_runs: int = 10
    threads: int = 0
    allowed_rows: tuple[int, ...] = ()
    pads: bool = False
    splits: bool = True

    def filled(self, rows: int) -> int:
        """Returns how many rows a run of `rows` rows has once it is filled up."""
        return next((size for size in self.allowed_rows if size >= rows), rows)


def read_batching(path: Path) -> Batching:
    """Reads a batching parameters file, a `BatchingParameters` in text form.

    Args:
      path: the file.

    Raises:
      BatchingError: if the file cannot be read, or holds what cannot be meant.
    """
    try:
        text = path.read_text(encoding="utf-8")
        message = text_format.Parse(text, BatchingParameters())
    except OSError as error:
        raise BatchingError(f"{path}: cannot be read: {error.strerror}") from error
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise BatchingError(f"{path}: is no BatchingParameters message in text form: {error}") from error
    usual = Batching()
    made = Batching(
        max_rows=_number(path, message, "max_batch_size", usual.max_rows, least=1),
        wait_s=_number(path, message, "batch_timeout_micros", 0, least=0) / 1e6,
        max_waiting_runs=_number(path, message, "max_enqueued_batches", usual.max_waiting_runs, least=1),
        threads=_number(path, message, "num_batch_threads", usual.threads, least=1),
        allowed_rows=tuple(message.allowed_batch_sizes),
        pads=message.pad_variable_length_inputs,
        splits=not message.HasField("enable_large_batch_splitting") or message.enable_large_batch_splitting.value,
    )
    _check_sizes(path, made)
    return made


def _number(path: Path, message: Any, name: str, usual: int, *, least: int) -> int:
    if not message.HasField(name):
        return usual
    value: int = getattr(message, name).value
    if value < least:
        raise BatchingError(f"{path}: {name} must be at least {least}, got {value}")
    return value


def _check_sizes(path: Path, made: Batching) -> None:
    sizes = made.allowed_rows
    if not sizes:
        return
    if sizes[0] < 1 or any(size >= after for size, after in itertools.pairwise(sizes)):
        raise BatchingError(f"{path}: allowed_batch_sizes must be positive and grow, got {list(sizes)}")
    if sizes[-1] != made.max_rows:
        raise BatchingError(
            f"{path}: the last of allowed_batch_sizes must be max_batch_size, {made.max_rows}, got {sizes[-1]}"
        )
