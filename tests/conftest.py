"""What all tests need before the first of them imports anything, and the one run that many of them look at."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# TensorFlow decides once in a process which Keras `tf.keras` is; TFRS needs the older one.
os.environ["TF_USE_LEGACY_KERAS"] = "1"
# Processes of tests stand beside each other: threads of OpenMP that wait in a loop for one without a core take minutes.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

_AISLE = (sys.executable, "-m", "pipeline.cli")
_ROOT = Path(__file__).parents[1]
_SIMULATE = ("simulate", "--users", "60", "--items", "60", "--events", "4000", "--days", "200", "--seed", "7")
# The gate's tolerance lets every model pass: what so small a model learns is not what these tests are about.
_SHOP = """
name: tiny
tables:
  events: {path: shop/events.csv, cleaning: [{rule: unknown_reference, column: item_id}]}
  items: {path: shop/items.csv}
  users: {path: shop/users.csv}
split: {test_start: 2024-11-20, truth_events: [cart, purchase]}
features: {context: [country, holiday, weather], history: {length: 8}}
encoder: {sequence_length: 16}
model: {dimension: 16, hidden: [16]}
training: {batch_size: 128, epochs: 2, event_weights: {click: 0.3, cart: 0.7, purchase: 1.0}}
ranking:
  {windows: 1, epochs: 1, ensemble: 1, embedding: 2, hidden: [8], history_length: 16,
   trees: {count: 20, first: 5}}
gate: {tolerance: 1.0}
runner: {event_buckets: 2}
"""


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of one run of the tests share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Lets one process make what others wait for."""
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def shop_yaml(shared: Path) -> Path:
    """The configuration of a small simulated shop, whose tables lie beside it."""
    path = shared / "simulated" / "tiny.yaml"
    with _one_at_a_time(shared / "simulated"):
        if not path.exists():
            subprocess.run([*_AISLE, *_SIMULATE, "--output", str(path.parent / "shop")], cwd=_ROOT, check=True)
            path.write_text(_SHOP, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def pushed_run(shop_yaml: Path, shared: Path) -> Path:
    """The folder of a complete run of that shop, made as a person makes it. Look, but change nothing in it."""
    folder = shared / "runs" / "tiny"
    with _one_at_a_time(shared / "runs"):
        if not (folder / "stderr.txt").exists():
            done = subprocess.run(
                [*_AISLE, "run", str(shop_yaml), "--output", str(folder)],
                cwd=_ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
            (folder / "stdout.txt").write_text(done.stdout, encoding="utf-8")
            (folder / "stderr.txt").write_text(done.stderr, encoding="utf-8")
    return folder


_ENDED: list[int] = []


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(exitstatus: int) -> None:
    """Remembers how the tests ended."""
    _ENDED.append(int(exitstatus))


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Leaves with the tests' own status, before the interpreter is torn down.

    After a thousand tests in one process, with TensorFlow, gRPC, OpenMP and Beam loaded, tearing it down has crashed
    now and then: every test had passed, and the status said otherwise.
    """
    if _ENDED and not hasattr(config, "workerinput"):  # a worker of pytest-xdist has yet to report
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_ENDED[-1])
