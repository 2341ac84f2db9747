"""Runs `aisle` in processes forked from one that has imported TensorFlow and TFX, and kills some of them."""

import functools
import multiprocessing
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What is imported once for all attempts; none of it runs TensorFlow.
PRELOAD = ["pipeline.local_runner", "pipeline.preprocessing", "trainer.run", "trainer.evaluation", "serving.check"]


@dataclass(frozen=True)
class Kill:
    """When a run dies: so many seconds into a step, or, if that is over before, when it has done all its work."""

    step: str
    after_s: float


@dataclass(frozen=True)
class Attempt:
    """How a command ended.

    Args:
      status: its exit status; minus the signal if it was killed.
      output: what it wrote to stdout.
      errors: what it wrote to stderr.
    """

    status: int | None
    output: str
    errors: str

    def states(self) -> dict[str, str]:
        """The state of each step, as the lines of a run tell."""
        lines = [line.split() for line in self.output.splitlines()]
        return {words[1]: words[0] for words in lines if words and words[0] in {"done", "cached", "failed"}}


class Attempts:
    """Starts commands.

    Args:
      scratch: where their outputs are kept.
    """

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOAD)

    def run(self, *words: str, kill: Kill | None = None) -> Attempt:
        """Calls `aisle WORDS` in a process of its own and waits for it."""
        started = time.monotonic_ns()
        files = [self._scratch / f"{stream}-{started}.txt" for stream in ("output", "errors")]
        process = self._context.Process(target=_command, args=(words, files, kill))
        process.start()
        process.join()
        return Attempt(process.exitcode, *(file.read_text(encoding="utf-8") for file in files))


def _command(words: tuple[str, ...], files: list[Path], kill: Kill | None) -> None:
    for descriptor, path in enumerate(files, start=1):
        with path.open("w", encoding="utf-8") as file:
            os.dup2(file.fileno(), descriptor)
    from pipeline import local_runner
    from pipeline.cli import main

    if kill is not None:
        local_runner.run = functools.partial(local_runner.run, launch=functools.partial(_launch, kill=kill))
    sys.argv = ["aisle", *words]
    main()


def _launch(launcher: Any, kill: Kill) -> Any:
    """Runs one node as the runner does, except that the run does not survive one of them."""
    if launcher._pipeline_node.node_info.id == kill.step:
        operator = launcher._executor_operator
        work = operator.run_executor

        def work_and_die(info: Any) -> None:
            threading.Timer(kill.after_s, _kill_the_run).start()
            work(info)
            _kill_the_run()

        operator.run_executor = work_and_die
    return launcher.launch()


def _kill_the_run() -> None:
    """Kills the runner; this process, which is a step of it, dies with it."""
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)
