"""A run that is killed in each of its steps, one after the other, still ends where an undisturbed one does."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.run_folder import RunFolder
from trainer.exported_model import ExportedModel

pytestmark = pytest.mark.slow


def test_what_is_pushed_equals_what_an_undisturbed_run_pushes(survivor: Path, pushed_run: Path) -> None:
    models = [Path(RunFolder(folder).account()["pushed"]) for folder in (survivor, pushed_run)]
    files = [sorted(str(path.relative_to(model)) for path in model.rglob("*")) for model in models]
    assert files[0] == files[1]
    one, other = (ExportedModel(str(model)) for model in models)
    questions: dict[str, dict[str, Any]] = {
        "recommend": {"user_id": ["U0000001", "nobody"], "timestamp": [1_732_060_800] * 2, "k": [60] * 2},
        "search": {"query": ["red wok", "shoes"], "timestamp": [1_732_060_800] * 2, "k": [60] * 2},
        "embed_items": {"item_id": ["I000001", "new"], "title": ["puppy food", "blue shoes"]},
    }
    for signature, question in questions.items():
        answers, expected = one.ask(signature, question), other.ask(signature, question)
        for name in expected:
            np.testing.assert_array_equal(answers[name], expected[name], err_msg=f"{signature}: {name}")


def test_only_one_model_was_pushed_and_nothing_lies_beside_it(survivor: Path) -> None:
    account = RunFolder(survivor).account()
    assert [path.name for path in (survivor / "serving" / "aisle").iterdir()] == [str(account["version"])]
    assert [path.name for path in survivor.glob(".incoming*")] == []


def test_histories_equal_those_of_an_undisturbed_run(survivor: Path, pushed_run: Path) -> None:
    assert (survivor / "histories.parquet").read_bytes() == (pushed_run / "histories.parquet").read_bytes()


def test_nothing_half_written_is_left(survivor: Path) -> None:
    folders = {path for path in (survivor / "pipeline").glob("*/*/*") if ".system" not in path.parts}
    names = [path.relative_to(survivor / "pipeline").parts[:2] for path in folders]
    assert len(names) == len(set(names)), sorted(names)
    assert list((survivor / "pipeline").rglob(".scratch")) == []


def test_the_evaluation_is_the_same(survivor: Path, pushed_run: Path) -> None:
    one, other = (json.loads((folder / "reports" / "evaluation.json").read_text()) for folder in (survivor, pushed_run))
    assert one == other
