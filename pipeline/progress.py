"""What people see while a pipeline runs: one line a step."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

State = Literal["running", "done", "cached", "failed"]
_STYLES: dict[State, str] = {"running": "cyan", "done": "green", "cached": "blue", "failed": "bold red"}
_NAME_WIDTH = 22


@dataclass
class Step:
    """One step of a run.

    Args:
      name: the step's name.
      state: how far it is.
      seconds: how long it took.
      peak_mib: the most memory that the process held during it, MiB; 0 where the system does not tell.
      detail: one line about what it made.
    """

    name: str
    state: State = "running"
    seconds: float = 0.0
    peak_mib: int = 0
    detail: str = ""


class StepLines:
    """Prints a line for each step: with a spinner on a terminal, plain ones elsewhere.

    Args:
      console: where to print.
    """

    def __init__(self, console: Console) -> None:
        self.console = console

    @contextlib.contextmanager
    def follow(self, step: Step) -> Iterator[Step]:
        """Shows a step while it runs, and leaves its line when it is over.

        Args:
          step: the step; the caller fills in state, memory and detail, this fills in the time.

        Yields:
          The step.
        """
        started = time.monotonic()
        try:
            with self._spinner(step):
                yield step
        finally:
            step.seconds = time.monotonic() - started
            if step.state == "running":
                step.state = "failed"
            print_step(self.console, step)

    @contextlib.contextmanager
    def _spinner(self, step: Step) -> Iterator[None]:
        if not self.console.is_terminal:
            yield
            return
        columns = (SpinnerColumn(), TextColumn(f"{step.name:<{_NAME_WIDTH}}"), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True) as progress:
            progress.add_task(step.name, total=None)
            yield


def print_step(console: Console, step: Step) -> None:
    """Prints the line that a step leaves."""
    style = _STYLES[step.state]
    line = f"[{style}]{step.state:<7}[/] {step.name:<{_NAME_WIDTH}} {step.seconds:>7.1f} s  {escape(step.detail)}"
    console.print(line.rstrip(), highlight=False, soft_wrap=True)
