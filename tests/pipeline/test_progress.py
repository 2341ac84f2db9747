"""One line a step, also without a terminal."""

import io

import pytest
from rich.console import Console

from pipeline.progress import Step, StepLines


def _follow(step: Step, *, terminal: bool, error: Exception | None = None) -> str:
    text = io.StringIO()
    lines = StepLines(Console(file=text, force_terminal=terminal, width=100, color_system=None))
    with lines.follow(step):
        if error is not None:
            raise error
        step.state, step.detail = "done", "1,200 events [3 dropped]"
    return text.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_a_step_leaves_its_line(terminal: bool) -> None:
    step = Step("TableGen")
    text = _follow(step, terminal=terminal)
    assert "done    TableGen" in text
    assert " s  1,200 events [3 dropped]\n" in text
    assert step.seconds > 0


def test_without_a_terminal_there_is_nothing_but_lines() -> None:
    text = _follow(Step("TableGen"), terminal=False)
    assert text.count("\n") == 1
    assert "\x1b" not in text


def test_an_error_marks_the_step() -> None:
    step = Step("Trainer")
    with pytest.raises(OSError, match="full"):
        _follow(step, terminal=False, error=OSError("full"))
    assert step.state == "failed"
