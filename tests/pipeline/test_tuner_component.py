"""Tuner: TFX's executor with a real KerasTuner search, of a function instead of a training."""

import json
from pathlib import Path
from typing import Any

import keras_tuner
from executors import artifact, execute
from keras_tuner.engine.base_tuner import BaseTuner
from tfx.components.tuner.component import TunerFnResult
from tfx.types import standard_artifacts
from tiny_shop import shop_config

from pipeline import artifacts
from pipeline.components import tuner
from pipeline.components.payload import SUMMARY

ARGUMENTS: list[Any] = []


class Parabola(BaseTuner):
    """Likes a dropout of 0.3."""

    def run_trial(self, trial: Any) -> dict[str, float]:
        return {"ndcg@20": 1 - (trial.hyperparameters.get("model.dropout") - 0.3) ** 2}


def make_tuner(fn_args: Any) -> TunerFnResult:
    ARGUMENTS.append(fn_args)
    space = keras_tuner.HyperParameters()
    space.Choice("model.dropout", [0.1, 0.2, 0.3], default=0.1)
    oracle = keras_tuner.oracles.GridSearchOracle(
        objective=keras_tuner.Objective("ndcg@20", direction="max"), max_trials=3, hyperparameters=space
    )
    return TunerFnResult(Parabola(oracle, directory=fn_args.working_dir), {})


def _inputs(folder: Path) -> dict[str, Any]:
    examples = {name: artifact(standard_artifacts.Examples, folder / name) for name in ("examples", "item_examples")}
    for (made,) in examples.values():
        made.split_names = '["train", "validation"]'
    (folder / "schema").mkdir()
    (folder / "schema" / "schema.pbtxt").write_text("")
    return {
        **examples,
        "schema": artifact(standard_artifacts.Schema, folder / "schema"),
        "transform_graph": artifact(standard_artifacts.TransformGraph, folder / "graph"),
        "item_transform_graph": artifact(standard_artifacts.TransformGraph, folder / "item_graph"),
        "tables": artifact(artifacts.Tables, folder / "tables"),
        "cases": artifact(artifacts.Cases, folder / "cases"),
    }


def test_the_best_values_and_a_report_are_written(tmp_path: Path) -> None:
    outputs = {
        "best_hyperparameters": artifact(standard_artifacts.HyperParameters, tmp_path / "best"),
        "tuner_results": artifact(standard_artifacts.TunerResults, tmp_path / "results"),
    }
    execute(
        tuner.Executor,
        _inputs(tmp_path),
        outputs,
        tmp_path / "scratch",
        train_args='{"splits": ["train"]}',
        eval_args='{"splits": ["validation"]}',
        tuner_fn=f"{__name__}.make_tuner",
        custom_config=json.dumps({"config": shop_config(tmp_path).model_dump_json(), "cache": "here"}),
    )
    (told,) = ARGUMENTS
    custom = told.custom_config
    assert custom["board"] == str(tmp_path / "results" / tuner.BOARD)
    assert custom["cache"] == "here"
    for name in ("item_examples", "item_transform_graph", "tables", "cases"):
        assert Path(custom[name]).parent == tmp_path, name
    assert told.transform_graph_path == str(tmp_path / "graph")
    # TFX's Trainer wants to find one file there.
    (best,) = (tmp_path / "best").iterdir()
    assert json.loads(best.read_text())["values"] == {"model.dropout": 0.3}
    report = json.loads((tmp_path / "results" / tuner.REPORT).read_text())
    assert report["chosen"] == {"model.dropout": 0.3}
    assert (report["metric"], report["score"], report["default_score"]) == ("ndcg@20", 1.0, 0.96)
    assert len(report["trials"]) == 3
    summary = outputs["best_hyperparameters"][0].get_string_custom_property(SUMMARY)
    assert summary == "3 trials, ndcg@20 1.000, 0.960 without tuning"
