"""A step's process: what it tells, how it ends, and that it never outlives the run."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.step_process import StepProcessError, reason_of, run_apart

ORPHAN = """
import os, sys, time
from pathlib import Path
from pipeline.step_process import run_apart

def work():
    Path(sys.argv[1]).write_text(str(os.getpid()))
    time.sleep(60)

run_apart(work)
"""


def _raise(error: BaseException) -> Callable[[], int]:
    def work() -> int:
        raise error

    return work


def test_the_number_comes_back_and_the_memory_with_it() -> None:
    block_mib = 200

    def work() -> int:
        return len(b"x" * (block_mib << 20)) >> 20

    finished = run_apart(work)
    assert finished.value == block_mib
    assert finished.peak_mib > block_mib


def test_it_is_another_process_and_changes_nothing_here() -> None:
    os.environ.pop("AISLE_TEST_STEP", None)

    def work() -> int:
        os.environ["AISLE_TEST_STEP"] = "changed"
        return os.getpid()

    assert run_apart(work).value != os.getpid()
    assert "AISLE_TEST_STEP" not in os.environ


def test_an_error_comes_back_as_its_reason() -> None:
    with pytest.raises(StepProcessError, match=r"^the disk is full$"):
        run_apart(_raise(OSError("the disk is full")))
    with pytest.raises(StepProcessError, match=r"^KeyError: 'price'$"):
        run_apart(_raise(KeyError("price")))


@pytest.mark.parametrize(
    ("number", "words"), [(signal.SIGKILL, "ran out of memory"), (signal.SIGTERM, "died of SIGTERM")]
)
def test_a_killed_process_is_a_failed_step(number: signal.Signals, words: str) -> None:
    def work() -> int:
        os.kill(os.getpid(), number)
        return 0

    with pytest.raises(StepProcessError, match=words):
        run_apart(work)


def test_leaving_early_is_a_failed_step() -> None:
    with pytest.raises(StepProcessError, match="ended early with status 3"):
        run_apart(lambda: os._exit(3))


def test_it_dies_with_the_run(tmp_path: Path) -> None:
    written = tmp_path / "pid"
    runner = subprocess.Popen([sys.executable, "-c", ORPHAN, str(written)])
    deadline = time.monotonic() + 30
    while not (written.exists() and written.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    step = int(written.read_text())
    runner.kill()
    runner.wait()
    while Path(f"/proc/{step}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{step}").exists()


def test_beams_own_words_are_left_out_and_long_reasons_cut() -> None:
    assert (
        reason_of(ValueError("items.csv: no such file [while running 'Plan/Fragments']")) == "items.csv: no such file"
    )
    lines = reason_of(ValueError("\n".join(f"line {number}" for number in range(40)))).splitlines()
    assert lines[0] == "line 0"
    assert lines[-1] == "... 16 more lines"
    assert reason_of(ValueError()) == "ValueError"
