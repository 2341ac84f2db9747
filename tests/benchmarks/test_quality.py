"""What the quality benchmark knows of runs: the last one in a folder, and models trained before."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks.quality import train_all
from benchmarks.runs import RunFolder, Trained, finished

MODEL = Trained(seed=8, model="m", tables="t", cases="c", truth_events=["purchase"], minutes=2.0)


def _write_run(folder: Path) -> None:
    account = {
        "config": {"seed": 8, "split": {"truth_events": ["purchase"]}},
        "model": "/trained/12",
        "tables": "/tables",
        "cases": "/cases",
    }
    steps = [{"name": "TableGen", "seconds": 999.0}, {"name": "Trainer", "seconds": 90.0}]
    (folder / "run.json").write_text(json.dumps(account))
    (folder / "steps.json").write_text(json.dumps({"steps": steps}))


def test_the_last_run_of_a_folder(tmp_path: Path) -> None:
    _write_run(tmp_path)
    assert finished(tmp_path) == Trained(8, "/trained/12/Format-TFMA", "/tables", "/cases", ["purchase"], 1.5)


def test_a_folder_without_a_complete_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"run\.json is not there"):
        finished(tmp_path)


def test_models_of_an_earlier_benchmark(tmp_path: Path) -> None:
    runs = RunFolder(tmp_path / "shop.yaml", tmp_path, "models.json")
    (tmp_path / runs.record).write_text(json.dumps({"2011-10-14 8": asdict(MODEL)}))
    assert train_all(runs, [8], "2011-10-14", skip=True) == [MODEL]
    with pytest.raises(SystemExit, match="no model '2011-10-14 9'"):
        train_all(runs, [8, 9], "2011-10-14", skip=True)
    with pytest.raises(SystemExit, match="no model '2011-09-16 8'"):
        train_all(runs, [8], "2011-09-16", skip=True)
