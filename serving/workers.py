"""Several processes behind one port. The system shares connections among them; one that dies is replaced."""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from serving.deployment import Deployment, describe, running
from serving.errors import ServingError
from serving.peers import Peers

LOG = logging.getLogger("aisle.serving")
WAIT_STEP_S = 0.2
MAX_PAUSE_S = 30.0
# A worker that has lived so long did not die of its start.
SETTLED_S = 60.0
END_TIMEOUT_S = 60.0


@dataclass
class _Worker:
    process: Any
    messages: Any
    started_s: float
    ready: bool = False


class Workers:
    """Keeps a number of server processes running.

    Args:
      deployment: what each of them is; its ports are fixed by `reserved`.
      count: how many.
      prepare: run first in each process; sets up logging.
    """

    def __init__(self, deployment: Deployment, count: int, prepare: Callable[[], None]) -> None:
        self._deployment = deployment
        self._prepare = prepare
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker | None] = [None] * count
        states = self._context.RawArray("B", count)
        self._peers = [Peers(states, place) for place in range(count)]
        self._deaths = 0
        self._start_at_s = 0.0

    def run(self, stop: threading.Event, on_ready: Callable[[dict[str, Any]], None]) -> str:
        """Serves until `stop` is set.

        Args:
          stop: asks for the end.
          on_ready: called once, when every process answers, with what the last of them says of itself.

        Returns:
          "" in the end, or why no worker can be started at all.
        """
        announced = False
        try:
            while not stop.is_set():
                self._start_missing()
                said, failure = self._listen()
                if failure and not announced:
                    return failure
                if failure:
                    LOG.error("a worker cannot start, the others go on: %s", failure)
                if said is not None and not announced and all(one is not None and one.ready for one in self._workers):
                    announced = True
                    on_ready(said)
        finally:
            self._end()
        return ""

    def _start_missing(self) -> None:
        if time.monotonic() < self._start_at_s:
            return
        for place, worker in enumerate(self._workers):
            if worker is None:
                here, there = self._context.Pipe(duplex=False)
                deployment = replace(self._deployment, peers=self._peers[place])
                process = self._context.Process(
                    target=_work, args=(deployment, self._prepare, there), name=f"aisle worker {place}"
                )
                process.start()
                there.close()
                self._workers[place] = _Worker(process, here, time.monotonic())

    def _listen(self) -> tuple[dict[str, Any] | None, str]:
        """Waits a moment for news; returns what a worker that became ready said, and why none can be started."""
        alive = [worker for worker in self._workers if worker is not None]
        multiprocessing.connection.wait(
            [worker.process.sentinel for worker in alive] + [worker.messages for worker in alive if not worker.ready],
            WAIT_STEP_S,
        )
        said, failure = None, ""
        for place, worker in enumerate(self._workers):
            if worker is None:
                continue
            message = _receive(worker)
            if message is not None and "failure" in message:
                failure = str(message["failure"])
            elif message is not None:
                said, worker.ready = message, True
            if not worker.process.is_alive():
                self._bury(place, worker)
        return said, failure

    def _bury(self, place: int, worker: _Worker) -> None:
        from prometheus_client.multiprocess import mark_process_dead

        self._workers[place] = None
        self._peers[place].leave()
        mark_process_dead(worker.process.pid)  # type: ignore[no-untyped-call]
        settled = time.monotonic() - worker.started_s > SETTLED_S
        self._deaths = 0 if settled else self._deaths + 1
        pause_s = min(0.5 * (2**self._deaths - 1), MAX_PAUSE_S)
        self._start_at_s = time.monotonic() + pause_s
        LOG.error("worker %d ended (status %s); another one starts in %.1f s", place, worker.process.exitcode, pause_s)
        worker.messages.close()

    def _end(self) -> None:
        processes = [worker.process for worker in self._workers if worker is not None]
        for process in processes:
            process.terminate()
        end_s = time.monotonic() + END_TIMEOUT_S + self._deployment.options.drain_s
        for process in processes:
            process.join(max(0.0, end_s - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()


@contextmanager
def reserved(deployment: Deployment, folder: Path | None = None) -> Iterator[Deployment]:
    """Takes the ports for all workers, and a folder where they tell each other what they must.

    Args:
      deployment: with ports that may be 0.
      folder: where to put the folder; the system's place for such by default.

    Yields:
      The deployment with its ports, which it shares.

    Raises:
      OSError: if a port cannot be had.
    """
    from serving.monitoring import SHARED_FOLDER_VARIABLE

    with tempfile.TemporaryDirectory(prefix="aisle-workers-", dir=folder) as shared:
        grpc_holder = _bind(deployment.host, deployment.grpc_port)
        rest_holder = None if deployment.rest_port is None else _bind(deployment.host, deployment.rest_port)
        metrics = Path(shared, "metrics")
        metrics.mkdir()
        os.environ[SHARED_FOLDER_VARIABLE] = str(metrics)
        try:
            yield replace(
                deployment,
                grpc_port=grpc_holder.getsockname()[1],
                rest_port=None if rest_holder is None else rest_holder.getsockname()[1],
                shared_config=Path(shared, "told.config"),
                options=replace(deployment.options, share_port=True),
            )
        finally:
            del os.environ[SHARED_FOLDER_VARIABLE]
            grpc_holder.close()
            if rest_holder is not None:
                rest_holder.close()


def _bind(host: str, port: int) -> socket.socket:
    """Holds a port without listening: it stays ours while workers come and go."""
    holder = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    holder.bind((host, port))
    return holder


def _receive(worker: _Worker) -> dict[str, Any] | None:
    try:
        message: dict[str, Any] | None = worker.messages.recv() if worker.messages.poll() else None
    except (EOFError, OSError):
        return None
    return message


def _work(deployment: Deployment, prepare: Callable[[], None], messages: Any) -> None:
    """One worker: serves until it is told to end, or its parent is no more."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to all; the parent tells us
    prepare()
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch_parent() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        stop.set()

    threading.Thread(target=watch_parent, name="parent", daemon=True).start()
    try:
        with running(deployment) as server:
            while not stop.is_set() and not server.ready():
                stop.wait(WAIT_STEP_S)
            if not stop.is_set():
                messages.send(describe(server))
            while not stop.wait(WAIT_STEP_S):
                server.tell_peers()
    except (OSError, ServingError) as error:
        messages.send({"failure": str(error)})
