"""Workers that train together: who they are, and what their chief tells the others."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import tensorflow as tf

# TensorFlow exports neither the coordination of workers nor its settings.
from tensorflow.python.eager import context as eager_context
from tensorflow.tsl.protobuf import coordination_config_pb2

from trainer.device import choose_strategy

_LOG = logging.getLogger(__name__)
_CHIEFS, _WORKERS = "chief", "worker"
TIMEOUT_S = 600.0  # the slowest step of all, and the start of a process on the slowest machine
_HEARTBEAT_S, _FAREWELL_S, _ASK_AGAIN_S = 60.0, 30.0, 10.0
_LOST = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
    tf.errors.UnknownError,
)
_END = "end"


class ClusterError(RuntimeError):
    """Another worker is gone, or the workers do not fit together; the message says what to do."""


@dataclass(frozen=True)
class Seat:
    """The place of this process among the workers.

    Args:
      jobs: how many tasks each job has, "chief" before "worker".
      job: of this process.
      task: its number in that job.
    """

    jobs: dict[str, int]
    job: str
    task: int

    @property
    def workers(self) -> int:
        """All processes that train."""
        return sum(self.jobs.values())

    @property
    def number(self) -> int:
        """Of this worker, from 0, which is the chief."""
        return self.task + (self.jobs.get(_CHIEFS, 0) if self.job == _WORKERS else 0)


def find_seat(environment: Mapping[str, str]) -> Seat | None:
    """Reads `TF_CONFIG`; None where it is not set or names no second worker.

    Raises:
      ClusterError: if it is no valid `TF_CONFIG`, or names other jobs than a chief and workers.
    """
    text = environment.get("TF_CONFIG", "")
    if not text:
        return None
    try:
        told = json.loads(text)
        jobs = {job: len(addresses) for job, addresses in sorted(told.get("cluster", {}).items())}
        workers, task = sum(jobs.values()), told.get("task", {})
        seat = Seat(jobs, str(task.get("type", _WORKERS)), int(task.get("index", 0)))
    except (ValueError, AttributeError, TypeError) as error:
        raise ClusterError(f"TF_CONFIG: expected JSON with 'cluster' and 'task', got {text!r}: {error}") from error
    if workers < 2:
        return None
    if not set(jobs) <= {_CHIEFS, _WORKERS} or jobs.get(_CHIEFS, 0) > 1 or not seat.task < jobs.get(seat.job, 0):
        raise ClusterError(f"TF_CONFIG: expected a task of the jobs 'chief' (one) and 'worker', got {text!r}")
    return seat


class Workers:
    """Who trains together: here one process by itself, on every device of its machine."""

    chief = True

    @property
    def strategy(self) -> tf.distribute.Strategy:
        """Says which devices learn."""
        return choose_strategy()

    def say(self, **message: Any) -> None:
        """Tells the other workers what to do next; there are none."""

    def hear(self) -> dict[str, Any]:
        """Waits for what the chief says next."""
        raise RuntimeError("only a worker that is not the chief hears")

    @contextlib.contextmanager
    def chief_first(self) -> Iterator[None]:
        """What runs inside runs on the chief, and when it is done there, on the others: they find what it has kept."""
        if not self.chief:
            self.hear()
        yield
        if self.chief:
            self.say()

    def __enter__(self) -> Workers:
        """Begins the work together."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends it."""


class Cluster(Workers):
    """Several processes, of which the chief alone decides and writes.

    All that the chief says is heard by every other worker, in the order in which it was said.

    Args:
      seat: of this process.
      timeout_s: how long workers wait for each other: all of them at the start, and each in a step.
    """

    def __init__(self, seat: Seat, timeout_s: float) -> None:
        self.chief = seat.number == 0
        self._seat, self._messages = seat, 0
        _coordinate(seat, timeout_s)
        options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=timeout_s)
        self._strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
        # All workers have as many batches: they need not ask each other in each step whether there is one.
        self._strategy.extended.experimental_enable_get_next_as_optional = False
        self._context = eager_context.context()
        _LOG.info("worker %d of %d is there", seat.number, seat.workers)

    @property
    def strategy(self) -> tf.distribute.Strategy:
        """Says which devices of all workers learn."""
        return self._strategy

    def say(self, **message: Any) -> None:
        """Tells the other workers what to do next."""
        self._context.set_config_key_value(self._next(), json.dumps(message))

    def hear(self) -> dict[str, Any]:
        """Waits for what the chief says next; it may take hours.

        Raises:
          ClusterError: if the chief has ended, or died.
        """
        key = self._next()
        while True:
            with contextlib.suppress(tf.errors.DeadlineExceededError, tf.errors.NotFoundError):
                message: dict[str, Any] = json.loads(self._ask(key, _ASK_AGAIN_S))
                if _END in message:
                    raise ClusterError(f"the chief has ended: {message[_END]}")
                return message

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tells the other workers that this one ends.

        Raises:
          ClusterError: in place of an error that says that another worker is gone.
        """
        if isinstance(error, _LOST):
            raise ClusterError(
                "another worker is gone or does not answer. Start all workers again: the training goes on after its "
                f"last finished epoch. TensorFlow says: {_reason(error)}"
            ) from error
        with contextlib.suppress(tf.errors.OpError):
            if not self.chief:
                self._context.set_config_key_value(f"aisle/left/{self._seat.number}", "")
            elif error is None:
                self.say()
            else:
                self.say(**{_END: f"{type(error).__name__}: {error}"})
            for number in range(1, self._seat.workers if self.chief else 1):
                self._ask(f"aisle/left/{number}", _FAREWELL_S)

    def _next(self) -> str:
        self._messages += 1
        return f"aisle/message/{self._messages}"

    def _ask(self, key: str, timeout_s: float) -> str:
        return str(self._context.get_config_key_value(key, int(1000 * timeout_s)))


def join(timeout_s: float = TIMEOUT_S) -> Workers:
    """Joins the workers that `TF_CONFIG` names; before the process runs any op.

    Args:
      timeout_s: how long workers wait for each other.

    Raises:
      ClusterError: if `TF_CONFIG` is not valid, or not all workers come in time.
    """
    seat = find_seat(os.environ)
    if seat is None:
        return Workers()
    try:
        return Cluster(seat, timeout_s)
    except _LOST as error:
        raise ClusterError(
            f"not all {seat.workers} workers of TF_CONFIG came within {timeout_s:.0f} s. "
            f"TensorFlow says: {_reason(error)}"
        ) from error


def _reason(error: tf.errors.OpError) -> str:
    """Returns the line that tells which worker it was, or how long was waited; else the first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if "/job:" in line or "timed out" in line.lower()), lines[0] if lines else "")


def _coordinate(seat: Seat, timeout_s: float) -> None:
    """Says how soon a worker that is gone is missed; TensorFlow's own strategy would wait for an hour."""
    leader = _CHIEFS if _CHIEFS in seat.jobs else _WORKERS
    eager_context.context().configure_coordination_service(
        service_type="standalone",
        service_leader=f"/job:{leader}/replica:0/task:0",
        cluster_register_timeout_in_ms=int(1000 * timeout_s),
        heartbeat_timeout_in_ms=int(1000 * min(timeout_s, _HEARTBEAT_S)),
        shutdown_barrier_timeout_in_ms=int(1000 * min(timeout_s, _FAREWELL_S)),
        coordinated_jobs=[
            coordination_config_pb2.CoordinatedJob(name=job, num_tasks=tasks) for job, tasks in seat.jobs.items()
        ],
    )
