"""The components that make, judge, check and push a model."""

import json
from pathlib import Path
from typing import Any

import pytest
from executors import artifact, execute
from tfx.components.trainer import fn_args_utils
from tfx.types import standard_artifacts
from tiny_shop import shop_config

from pipeline import artifacts
from pipeline.components import evaluator, infra_check, pusher, trainer
from pipeline.config import Config

CALLS: list[Any] = []


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return shop_config(tmp_path)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A Model artifact's folder: one file in the served model, one in the judged."""
    for kind in ("Format-Serving", "Format-TFMA"):
        folder = tmp_path / "model" / kind / "variables"
        folder.mkdir(parents=True)
        (folder / "data").write_text(kind)
        (folder.parent / "saved_model.pb").write_text(kind)
    return tmp_path / "model"


# --- trainer --------------------------------------------------------------------------------------


def record_training(fn_args: fn_args_utils.FnArgs) -> None:
    """A run_fn that only notes how it was called."""
    CALLS.append(fn_args)
    Path(fn_args.serving_model_dir).mkdir(parents=True)


def test_run_fn_gets_the_uris_of_all_inputs_and_what_the_run_says(tmp_path: Path, config: Config) -> None:
    (tmp_path / "schema").mkdir()
    (tmp_path / "schema" / "schema.pbtxt").write_text("")
    kinds = {
        "examples": standard_artifacts.Examples,
        "transform_graph": standard_artifacts.TransformGraph,
        "schema": standard_artifacts.Schema,
        "item_examples": standard_artifacts.Examples,
        "item_transform_graph": standard_artifacts.TransformGraph,
        "tables": artifacts.Tables,
        "cases": artifacts.Cases,
    }
    inputs = {name: artifact(kind, tmp_path / name) for name, kind in kinds.items()}
    inputs["examples"][0].split_names = '["train", "validation"]'
    outputs = {
        "model": artifact(standard_artifacts.Model, tmp_path / "model"),
        "model_run": artifact(standard_artifacts.ModelRun, tmp_path / "model_run"),
    }
    CALLS.clear()
    execute(
        trainer.Executor,
        inputs,
        outputs,
        tmp_path,
        run_fn=f"{__name__}.record_training",
        train_args='{"splits": ["train"]}',
        eval_args='{"splits": ["validation"]}',
        custom_config=json.dumps({"config": config.model_dump_json(), "cache": "c"}),
        code="",
        epochs=3,
    )
    [fn_args] = CALLS
    assert fn_args.train_files == [str(tmp_path / "examples" / "Split-train" / "*")]
    assert fn_args.eval_files == [str(tmp_path / "examples" / "Split-validation" / "*")]
    assert fn_args.transform_output == str(tmp_path / "transform_graph")
    assert fn_args.model_run_dir == str(tmp_path / "model_run")
    told = config.model_copy(update={"training": config.training.model_copy(update={"epochs": 3})})
    assert fn_args.custom_config == {
        "config": told.model_dump_json(),
        "cache": "c",
        **{name: str(tmp_path / name) for name in ("item_examples", "item_transform_graph", "tables", "cases")},
    }


# --- evaluator and infrastructure check -----------------------------------------------------------


def judge(
    *,
    model_dir: str,
    tables_dir: str,
    cases_dir: str,
    config_json: str,
    report_dir: str,
    last_blessed_dirs: list[str],
) -> dict[str, Any]:
    """An evaluate_fn that fails what a file beside the cases says."""
    (Path(report_dir) / "evaluation.json").write_text("{}")
    CALLS.append((model_dir, tables_dir, cases_dir, last_blessed_dirs))
    assert Config.model_validate_json(config_json).name == "tiny"
    failures = json.loads((Path(cases_dir) / "failures.json").read_text())
    return {"blessed": not failures, "failures": failures}


def _evaluate(tmp_path: Path, model: Path, failures: list[str]) -> Any:
    inputs = {
        "model": artifact(standard_artifacts.Model, model),
        "tables": artifact(artifacts.Tables, tmp_path / "tables"),
        "cases": artifact(artifacts.Cases, tmp_path / "cases"),
    }
    outputs = {
        "blessing": artifact(standard_artifacts.ModelBlessing, tmp_path / "blessing"),
        "evaluation": artifact(standard_artifacts.ModelEvaluation, tmp_path / "evaluation"),
    }
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "failures.json").write_text(json.dumps(failures))
    config = shop_config(tmp_path).model_dump_json()
    properties = {"evaluate_fn": f"{__name__}.judge", "config": config, "code": ""}
    where = {"push_destination": str(tmp_path / "serving" / "aisle")}
    execute(evaluator.Executor, inputs, outputs, tmp_path, **properties, **where)
    return outputs["blessing"][0]


def test_a_good_model_is_blessed(tmp_path: Path, model: Path) -> None:
    CALLS.clear()
    blessing = _evaluate(tmp_path, model, [])
    assert blessing.get_int_custom_property("blessed") == 1
    assert [path.name for path in Path(blessing.uri).iterdir()] == ["BLESSED"]
    assert evaluator.read_blessing(Path(blessing.uri)) == (True, [])
    assert (tmp_path / "evaluation" / "evaluation.json").exists()
    assert [(str(model / "Format-TFMA"), str(tmp_path / "tables"), str(tmp_path / "cases"), [])] == CALLS
    assert blessing.get_string_custom_property("last_blessed") == ""


def test_a_model_is_judged_beside_the_one_that_is_served(tmp_path: Path, model: Path) -> None:
    CALLS.clear()
    for version in (100, 200):
        served = tmp_path / "serving" / "aisle" / str(version)
        served.mkdir(parents=True)
        (served / "saved_model.pb").write_text("another")
    blessing = _evaluate(tmp_path, model, [])
    assert CALLS[0][3] == [str(tmp_path / "serving" / "aisle" / "200")]
    assert blessing.get_string_custom_property("last_blessed") == str(tmp_path / "serving" / "aisle" / "200")
    assert blessing.get_string_custom_property("judged_model") == str(model)


def test_a_bad_model_is_not_blessed_and_the_failures_are_kept(tmp_path: Path, model: Path) -> None:
    failures = ["ndcg@20 0.10 is below popular 0.12", "another"]
    blessing = _evaluate(tmp_path, model, failures)
    assert blessing.get_int_custom_property("blessed") == 0
    assert [path.name for path in Path(blessing.uri).iterdir()] == ["NOT_BLESSED"]
    assert evaluator.read_blessing(Path(blessing.uri)) == (False, failures)


def test_no_marker_is_no_blessing(tmp_path: Path) -> None:
    assert evaluator.read_blessing(tmp_path) == (False, [])


def serve_once(model_dir: str, name: str) -> None:
    """A check_fn that knows one model."""
    if name != "known":
        raise ValueError(f"{model_dir}: op PyFunc in function f")


def _check(tmp_path: Path, model: Path, name: str) -> Any:
    outputs = {"blessing": artifact(standard_artifacts.InfraBlessing, tmp_path / "infra")}
    inputs = {"model": artifact(standard_artifacts.Model, model)}
    check = f"{__name__}.serve_once"
    execute(infra_check.Executor, inputs, outputs, tmp_path, check_fn=check, model_name=name, code="")
    return outputs["blessing"][0]


def test_a_model_that_serves_is_blessed(tmp_path: Path, model: Path) -> None:
    blessing = _check(tmp_path, model, "known")
    assert blessing.get_int_custom_property("blessed") == 1
    assert [path.name for path in Path(blessing.uri).iterdir()] == ["INFRA_BLESSED"]


def test_a_model_that_does_not_serve_fails_the_step(tmp_path: Path, model: Path) -> None:
    with pytest.raises(ValueError, match="Format-Serving: op PyFunc"):
        _check(tmp_path, model, "unknown")
    assert not (tmp_path / "infra" / "INFRA_BLESSED").exists()


# --- pusher ---------------------------------------------------------------------------------------


def _push(tmp_path: Path, model: Path, *, blessed: bool = True, infra: bool = True) -> Any:
    evaluator.write_blessing(tmp_path / "blessing", blessed, [] if blessed else ["bad"])
    (tmp_path / "infra").mkdir(exist_ok=True)
    if infra:
        (tmp_path / "infra" / "INFRA_BLESSED").touch()
    (tmp_path / "cases").mkdir(exist_ok=True)
    (tmp_path / "cases" / "histories.parquet").write_text("new histories")
    inputs = {
        "model": artifact(standard_artifacts.Model, model),
        "model_blessing": artifact(standard_artifacts.ModelBlessing, tmp_path / "blessing"),
        "infra_blessing": artifact(standard_artifacts.InfraBlessing, tmp_path / "infra"),
        "cases": artifact(artifacts.Cases, tmp_path / "cases"),
    }
    outputs = {"pushed_model": artifact(standard_artifacts.PushedModel, tmp_path / "pushed")}
    where = {
        "push_destination": str(tmp_path / "serving" / "aisle"),
        "histories_destination": str(tmp_path / "histories.parquet"),
    }
    execute(pusher.Executor, inputs, outputs, tmp_path, **where, code="")
    return outputs["pushed_model"][0]


def test_a_blessed_model_is_pushed_whole(tmp_path: Path, model: Path) -> None:
    pushed = _push(tmp_path, model)
    destination = Path(pushed.get_string_custom_property("pushed_destination"))
    assert destination == tmp_path / "serving" / "aisle" / pushed.get_string_custom_property("pushed_version")
    assert (destination / "variables" / "data").read_text() == "Format-Serving"
    assert [path.name for path in destination.parent.iterdir()] == [destination.name]
    assert (tmp_path / "histories.parquet").read_text() == "new histories"


@pytest.mark.parametrize(("blessed", "infra"), [(False, True), (True, False)])
def test_a_model_without_both_blessings_is_not_pushed(tmp_path: Path, model: Path, blessed: bool, infra: bool) -> None:
    pushed = _push(tmp_path, model, blessed=blessed, infra=infra)
    assert pushed.get_int_custom_property("pushed") == 0
    assert not (tmp_path / "serving").exists()
    assert not (tmp_path / "histories.parquet").exists()
