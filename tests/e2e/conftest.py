"""Fixtures of the tests that run whole pipelines."""

from pathlib import Path
from typing import Any

import pytest
from attempts import Attempts, Kill

from pipeline.run_folder import RunFolder

SLOW_S = 3.0  # such steps are killed in their middle, shorter ones when their work is done but not recorded


@pytest.fixture(scope="session")
def attempts(tmp_path_factory: pytest.TempPathFactory) -> Attempts:
    """Starts commands without paying for their imports each time."""
    return Attempts(tmp_path_factory.mktemp("attempts"))


@pytest.fixture(scope="session")
def survivor(shop_yaml: Path, pushed_run: Path, attempts: Attempts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was killed once in each step and then left alone."""
    folder = tmp_path_factory.mktemp("killed") / "run"
    steps = RunFolder(pushed_run).last_steps()["steps"]
    for step in steps:
        after_s = 0.4 * step["seconds"] if step["seconds"] > SLOW_S else 60.0
        killed = attempts.run("run", str(shop_yaml), "--output", str(folder), kill=Kill(step["name"], after_s))
        assert killed.status == -9, (step["name"], killed.output, killed.errors)
        assert killed.states() == _expected_states(steps, step["name"]), killed.output
    last = attempts.run("run", str(shop_yaml), "--output", str(folder))
    assert last.status == 0, last.output
    return folder


def _expected_states(steps: list[dict[str, Any]], killed: str) -> dict[str, str]:
    """What an attempt says before it dies: the last step before was done in it, the others in attempts before."""
    names = [step["name"] for step in steps]
    before = names[: names.index(killed)]
    return {name: "done" if name == before[-1] else "cached" for name in before}
