"""Which memory allocator a process has, as the system tells it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from serving import allocator

CODE = """
import sys
from serving.allocator import use_mimalloc
from serving.memory import return_memory
use_mimalloc()
return_memory()
print(sys.argv[1:], "libmimalloc" in open("/proc/self/maps").read())
"""


def started(environment: dict[str, str]) -> str:
    without = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    done = subprocess.run(
        [sys.executable, "-c", CODE, "a b", "--c"],
        env=without | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip() + done.stderr


def test_a_process_starts_again_with_the_same_words_unless_an_allocator_is_chosen() -> None:
    assert started({}) == "['a b', '--c'] True"
    assert started({"LD_PRELOAD": ""}) == "['a b', '--c'] False"


@pytest.mark.parametrize("change", ["platform", "distribution", "path"])
def test_a_process_goes_on_where_mimalloc_is_not_to_be_had(
    change: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("started again"))
    if change == "platform":
        monkeypatch.setattr(sys, "platform", "darwin")
    elif change == "distribution":
        monkeypatch.setattr(allocator, "_DISTRIBUTION", "no-such-package")
    else:  # the list LD_PRELOAD cannot hold such a path
        (tmp_path / "a folder").mkdir()
        (tmp_path / "a folder/libmimalloc.so").touch()
        monkeypatch.setattr(Path, "resolve", lambda _: tmp_path / "a folder/libmimalloc.so")
    allocator.use_mimalloc()


def test_a_process_starts_again_where_it_is_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    monkeypatch.setattr(os, "execve", lambda *words: calls.append(words))
    allocator.use_mimalloc()
    ((program, words, environment),) = calls
    assert (program, words) == (sys.executable, sys.orig_argv)
    assert Path(environment["LD_PRELOAD"]).name.startswith("libmimalloc.so")
