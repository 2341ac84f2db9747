"""How much faster two workers train the towers than one, each on one processor of this machine.

    python -m benchmarks.distributed [--examples 100000] [--items 5000] [--epochs 3] [--batch-size 1024]

The shop is random: nothing here is about quality. Both trainings have the same batches, the same towers (64 dimensions,
attention over 24 events, no texts) and the same steps; the fastest epoch of each counts, but not the first, which
builds the step. Workers speak over loopback, so a network's latency is missing. One training follows the other, so what
else the machine does may fall on one of them only: it should be quiet.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np

_ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
_TIMEOUT_S, _HISTORY, _BUCKETS = 1800, 24, 10


def main() -> None:
    """Measures, and prints the examples a second of one worker and of two."""
    arguments = _arguments()
    if arguments.worker:
        _train(arguments, Path(arguments.worker))
        return
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) < 2:
        sys.exit("this machine has one processor: two workers need two")
    with tempfile.TemporaryDirectory() as scratch:
        rates = {workers: _measure(arguments, Path(scratch, str(workers)), processors[:workers]) for workers in (1, 2)}
    speed_up = rates[2] / rates[1]
    print(f"one worker   {rates[1]:10,.0f} examples/s")
    print(f"two workers  {rates[2]:10,.0f} examples/s: {speed_up:.2f} times as many, {speed_up / 2:.0%} of the ideal")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=5_000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


def _measure(arguments: argparse.Namespace, folder: Path, processors: list[int]) -> float:
    """Trains with one worker on each of some processors.

    Returns:
      Examples a second.
    """
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in processors]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    settings = ("examples", "items", "epochs", "batch_size")
    options = [f"--{name.replace('_', '-')}={getattr(arguments, name)}" for name in settings]
    processes = []
    try:
        for index, processor in enumerate(processors):
            told = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            command = [sys.executable, "-m", "benchmarks.distributed", *options, "--worker", str(folder)]
            variables = {**os.environ, **_ONE_THREAD, "TF_CONFIG": json.dumps(told), "TF_CPP_MIN_LOG_LEVEL": "2"}
            processes.append(subprocess.Popen(command, env=variables))
            os.sched_setaffinity(processes[-1].pid, {processor})
        for process in processes:
            if process.wait(timeout=_TIMEOUT_S):
                sys.exit(f"a worker ended with status {process.returncode}")
    finally:
        for process in processes:
            process.kill()
    logs = json.loads((folder / "logs.json").read_text(encoding="utf-8"))
    return max(float(log["train/examples_per_second"]) for log in logs[2:])


def _train(arguments: argparse.Namespace, folder: Path) -> None:
    """Trains the random shop as `TF_CONFIG` says; the chief leaves its curves in `logs.json`."""
    from pipeline.config import parse_config
    from trainer.catalogue import Catalogue
    from trainer.cluster import join
    from trainer.inputs import EventExamples
    from trainer.phase import Phase

    config = parse_config(
        {
            "name": "random",
            "tables": {"events": {"path": "unused"}, "items": {"from_events": True}},
            "split": {"test_start": "2024-01-01"},
            "features": {
                "history": {"length": _HISTORY},
                "time": False,
                "context": [],
                "query": False,
                "item": {"text": [], "brand": False, "category": False, "price": False},
            },
            "model": {"dimension": 64, "hidden": [128]},
            "training": {"batch_size": arguments.batch_size, "epochs": arguments.epochs},
        }
    )
    names = np.array([f"item{row}" for row in range(arguments.items)], object)
    count = arguments.examples
    examples = EventExamples(_columns(count, arguments.items), np.zeros(0, object), np.arange(count), 0)
    with join() as cluster:
        phase = Phase(
            name="random",
            config=config,
            catalogue=Catalogue(ids=names, titles=names, texts=None, features={}),
            examples=examples,
            sizes={},
            cases=None,
            epochs=arguments.epochs,
            cache=folder / "cache",
            checkpoints=folder / "checkpoints",
            board=folder / "board",
            cluster=cluster,
        )
        if cluster.chief:
            logs = phase.run().progress.logs
            (folder / "logs.json").write_text(json.dumps(logs), encoding="utf-8")
        else:
            phase.follow()
    # What TensorFlow's servers do at the end of Python would only take time.
    os._exit(0)


def _columns(count: int, items: int) -> dict[str, np.ndarray]:
    """Makes examples of which a tenth of the items is bought most."""
    generator = np.random.default_rng(7)
    rows = (items * generator.random((count, 1 + _HISTORY)) ** 3).astype(np.int32) + 1
    ages = generator.integers(1, _BUCKETS, size=(count, _HISTORY)).astype(np.int8)
    return {
        "item_row": rows[:, 0],
        "history_rows": rows[:, 1:],
        "history_types": np.full((count, _HISTORY), 4, np.int8),
        "history_ages": ages,
        "query": np.zeros(count, np.int32),
        "weight": np.ones(count, np.float32),
        "timestamp": np.arange(count, dtype=np.int64),
        "split": np.zeros(count, np.int8),
    }


if __name__ == "__main__":
    main()
