"""A run that is killed in each of its steps, one after the other, still ends where an undisturbed one does."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_text  # noqa: F401  # registers the ops of tokenisers, without which no model loads

from pipeline.run_folder import RunFolder

pytestmark = pytest.mark.slow


def test_what_is_pushed_equals_what_an_undisturbed_run_pushes(survivor: Path, pushed_run: Path) -> None:
    models = [Path(RunFolder(folder).account()["pushed"]) for folder in (survivor, pushed_run)]
    files = [sorted(str(path.relative_to(model)) for path in model.rglob("*")) for model in models]
    assert files[0] == files[1]
    one, other = (tf.saved_model.load(str(model)) for model in models)
    request = {
        "user_id": tf.constant(["U0000001", "U0000002", "nobody"]),
        "timestamp": tf.constant([1_732_060_800] * 3, tf.int64),
        "k": tf.constant([20] * 3),
    }
    answers = [model.signatures["recommend"](**request) for model in (one, other)]
    assert answers[0]["item_ids"].numpy().tolist() == answers[1]["item_ids"].numpy().tolist()
    np.testing.assert_array_equal(answers[0]["scores"].numpy(), answers[1]["scores"].numpy())
    item = {"item_id": tf.constant(["I000001"]), "title": tf.constant(["blue shoes"])}
    vectors = [model.signatures["embed_items"](**item)["embedding"].numpy() for model in (one, other)]
    np.testing.assert_array_equal(vectors[0], vectors[1])


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
