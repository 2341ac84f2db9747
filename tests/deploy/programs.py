"""The programs that check deploy/: where they are, and what a test does where they are not."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".tools/deploy"
INSTALL = "run deploy/tools/install.sh after `make setup`"


def missing(what: str) -> None:
    """Fails where everything must be there, which is CI; elsewhere skips and says what to install."""
    message = f"{what} is missing; {INSTALL}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def program(name: str) -> str:
    """Finds a program among the deploy tools or on the PATH."""
    found = shutil.which(name, path=f"{TOOLS / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        missing(name)
    return str(found)


def tool_folder(name: str) -> Path:
    """Finds the folder of a package among the deploy tools."""
    if not (TOOLS / name).is_dir():
        missing(f"the package {name}")
    return TOOLS / name


def run(*words: str, timeout_s: float = 60.0) -> "subprocess.CompletedProcess[str]":
    """Runs a program to its end."""
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=timeout_s)
