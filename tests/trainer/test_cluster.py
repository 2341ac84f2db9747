"""Two workers on loopback learn what one learns, and go on after one of them was killed."""

import json
import multiprocessing
import os
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from cluster_worker import EVENTS, main, shared_config
from planted import planted_phase, planted_shop, save_word_bag, without_draws

from trainer.cluster import ClusterError, Seat, Workers, find_seat, join

WAIT_S, PROCESSES = 300.0, 2
# Imported once for all workers; none of it runs TensorFlow.
PRELOAD = ["cluster_worker", "tensorflow_hub"]


def tf_config(ports: list[int], index: int) -> str:
    workers = [f"127.0.0.1:{port}" for port in ports]
    return json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}})


def free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def run_workers(folder: Path, *, second_dies_at: int | None = None) -> list[int | None]:
    """Runs both workers and returns their exit codes; neither outlives this."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    ports = free_ports(PROCESSES)
    processes = []
    for index in range(PROCESSES):
        own = folder / f"worker{index}"
        own.mkdir(exist_ok=True)
        dies_at = second_dies_at if index else None
        variables = {"TF_CONFIG": tf_config(ports, index), "TF_USE_LEGACY_KERAS": "1"}
        processes.append(context.Process(target=main, args=(folder, own, dies_at, WAIT_S, variables)))
    ends_at = time.monotonic() + WAIT_S
    try:
        for process in processes:
            process.start()
        for process in processes:
            process.join(max(0.0, ends_at - time.monotonic()))
        return [process.exitcode for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.join()


def timeless(logs: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{name: value for name, value in log.items() if not name.endswith("_per_second")} for log in logs]


@pytest.mark.slow
def test_two_workers_of_which_one_was_killed_end_as_one_worker_does(tmp_path: Path) -> None:
    save_word_bag(tmp_path / "encoder")

    # A batch to build the model, a look and four batches for each epoch: in the middle of the second one.
    killed, log = run_workers(tmp_path, second_dies_at=10), tmp_path / "worker0" / "output.txt"
    assert killed == [3, -9], log.read_text(encoding="utf-8")[-3000:]
    assert "Start all workers again" in log.read_text(encoding="utf-8")
    assert not (tmp_path / "worker0" / "logs.json").exists()
    assert (tmp_path / "checkpoints" / "judged" / "checkpoint.npz").is_file()

    assert run_workers(tmp_path) == [0, 0], log.read_text(encoding="utf-8")[-3000:]
    found = json.loads((tmp_path / "worker0" / "logs.json").read_text(encoding="utf-8"))
    assert [path.name for path in (tmp_path / "worker1").iterdir()] == ["output.txt"]

    with without_draws():
        alone = planted_phase(planted_shop(EVENTS), shared_config(tmp_path), tmp_path / "alone").run()
    assert timeless(found) == [pytest.approx(log, rel=1e-3, abs=1e-3) for log in timeless(alone.progress.logs)]


def test_the_first_worker_or_the_chief_leads() -> None:
    assert find_seat({}) is None
    assert find_seat({"TF_CONFIG": tf_config([1], 0)}) is None
    seat = find_seat({"TF_CONFIG": tf_config([1, 2], 1)})
    assert seat == Seat({"worker": 2}, "worker", 1)
    assert (seat.workers, seat.number) == (2, 1)
    cluster = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}
    for task, number in (({"type": "chief", "index": 0}, 0), ({"type": "worker", "index": 1}, 2)):
        seat = find_seat({"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})})
        assert seat is not None
        assert (seat.workers, seat.number) == (3, number)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        tf_config([1, 2], 2),
        json.dumps({"cluster": {"ps": ["a:1"], "worker": ["b:1"]}, "task": {"type": "ps", "index": 0}}),
        json.dumps({"cluster": {"chief": ["a:1", "b:1"]}, "task": {"type": "chief", "index": 0}}),
    ],
)
def test_another_tf_config_is_refused(text: str) -> None:
    with pytest.raises(ClusterError, match="TF_CONFIG: expected"):
        find_seat({"TF_CONFIG": text})


def test_without_tf_config_a_process_trains_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with join() as cluster:
        assert type(cluster) is Workers
        assert cluster.chief
        with cluster.chief_first():
            assert cluster.strategy.num_replicas_in_sync == 1
    assert os.environ.get("TF_CONFIG") is None
