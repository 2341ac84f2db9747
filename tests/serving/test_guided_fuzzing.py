"""What reads a client's bytes is fuzzed by a fuzzer that sees which code each input reaches."""

import subprocess
import sys
from pathlib import Path

import pytest
from fuzzing import EXAMPLES

RUNS = 30_000


@pytest.mark.parametrize("target", ["json", "tensor", "config"])
def test_no_bytes_break_it(target: str, tmp_path: Path) -> None:
    script = Path(__file__).with_name("guided_fuzzing.py")
    done = subprocess.run(
        [sys.executable, str(script), target, str(EXAMPLES or RUNS), str(tmp_path)],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    found = [file.read_bytes()[:200] for file in tmp_path.glob("found-*")]
    assert done.returncode == 0, (found, done.stderr[-3000:])
    assert f"Done {EXAMPLES or RUNS} runs" in done.stderr
