"""All noise goes to the log; only what is said to people reaches them."""

import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from pipeline.run_log import captured


def test_python_c_and_children_write_to_the_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "logs" / "run.log"
    with captured(log, sys.stdout) as people:
        sys.stdout.write("from print\n")
        sys.stderr.write("from stderr\n")
        os.write(2, b"from C++\n")
        subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
        logging.getLogger("some.library").info("from logging")
        warnings.warn("from a warning", UserWarning, stacklevel=1)
        people.write("for people\n")
    sys.stdout.write("after\n")
    shown = capfd.readouterr()
    assert shown.out == "for people\nafter\n"
    assert shown.err == ""
    text = log.read_text()
    for source in ("print", "stderr", "C++", "a child", "logging", "a warning"):
        assert f"from {source}" in text
    assert "some.library: from logging" in text
    assert "for people" not in text


def test_everything_is_put_back_after_an_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    handlers, level, stream = logging.getLogger().handlers[:], logging.getLogger().level, sys.stdout
    with pytest.raises(KeyError), captured(tmp_path / "run.log", sys.stdout):
        raise KeyError("step")
    assert (logging.getLogger().handlers, logging.getLogger().level, sys.stdout) == (handlers, level, stream)
    os.write(1, b"through\n")
    assert capfd.readouterr().out == "through\n"


def test_a_later_run_adds_to_the_log(tmp_path: Path) -> None:
    for text in ("first", "second"):
        with captured(tmp_path / "run.log", sys.stdout):
            sys.stdout.write(f"{text}\n")
    assert (tmp_path / "run.log").read_text() == "first\nsecond\n"
