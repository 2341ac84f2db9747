"""What a run leaves, also one that was killed in each of its steps, and what the next one does again.

Most tests look at one folder, so their order is that of its life.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attempts import Attempts
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2

from pipeline.dag import NODE_IDS
from pipeline.run_folder import RunFolder
from trainer.exported_model import ExportedModel

pytestmark = pytest.mark.slow

TO_TRAINER = NODE_IDS[: NODE_IDS.index("Trainer")]
FROM_TRAINER = NODE_IDS[NODE_IDS.index("Trainer") :]


def _versions(folder: Path) -> list[int]:
    return sorted(int(path.name) for path in (folder / "serving" / "aisle").iterdir())


def test_each_component_runs_once_in_a_first_run(pushed_run: Path) -> None:
    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(pushed_run / "metadata.sqlite")
    config.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READONLY
    store = metadata_store.MetadataStore(config)
    executions = store.get_executions()
    names = [
        context.name.rpartition(".")[2]
        for execution in executions
        for context in store.get_contexts_by_execution(execution.id)
        if context.type == "node"
    ]
    assert sorted(names) == sorted(NODE_IDS)
    assert {execution.last_known_state for execution in executions} == {metadata_store_pb2.Execution.COMPLETE}


def test_people_see_a_line_a_step_and_one_summary(pushed_run: Path) -> None:
    lines = (pushed_run / "stdout.txt").read_text().splitlines()
    assert [line.split()[:2] for line in lines[: len(NODE_IDS)]] == [["done", name] for name in NODE_IDS]
    summary = "\n".join(lines[len(NODE_IDS) :])
    for word in ("4,000 of 4,000 rows kept", "for training", "ndcg@20", "popular", "blessed", "serving/aisle/", "MiB"):
        assert word in summary
    assert (pushed_run / "stderr.txt").read_text() == ""
    assert "BatchElements" in (pushed_run / "logs" / "run.log").read_text()


def test_run_json_names_what_was_made(pushed_run: Path) -> None:
    account = RunFolder(pushed_run).account()
    assert account["blessed"] is True
    assert account["pushed"] == str(pushed_run / "serving" / "aisle" / str(account["version"]))
    for name, file in {
        "tables": "items.parquet",
        "cases": "test.parquet",
        "model": "Format-Serving/saved_model.pb",
        "pushed": "assets.extra/contract.json",
    }.items():
        assert (Path(account[name]) / file).is_file(), name
    assert sorted(path.name for path in (pushed_run / "reports").iterdir()) == [
        "evaluation.html",
        "evaluation.json",
        "examples.json",
        "tables.json",
    ]
    assert (pushed_run / "histories.parquet").is_file()


def test_a_killed_run_pushes_what_an_undisturbed_one_pushes(survivor: Path, pushed_run: Path) -> None:
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


def test_a_killed_run_pushes_one_model_and_leaves_nothing_beside_it(survivor: Path) -> None:
    account = RunFolder(survivor).account()
    assert [path.name for path in (survivor / "serving" / "aisle").iterdir()] == [str(account["version"])]
    assert [path.name for path in survivor.glob(".incoming*")] == []


def test_a_killed_run_leaves_the_histories_of_an_undisturbed_one(survivor: Path, pushed_run: Path) -> None:
    assert (survivor / "histories.parquet").read_bytes() == (pushed_run / "histories.parquet").read_bytes()


def test_a_killed_run_leaves_nothing_half_written(survivor: Path) -> None:
    folders = {path for path in (survivor / "pipeline").glob("*/*/*") if ".system" not in path.parts}
    names = [path.relative_to(survivor / "pipeline").parts[:2] for path in folders]
    assert len(names) == len(set(names)), sorted(names)
    assert list((survivor / "pipeline").rglob(".scratch")) == []


def test_a_killed_run_is_judged_as_an_undisturbed_one(survivor: Path, pushed_run: Path) -> None:
    one, other = (json.loads((folder / "reports" / "evaluation.json").read_text()) for folder in (survivor, pushed_run))
    assert one == other


def test_a_second_run_takes_everything_from_the_cache(survivor: Path, shop_yaml: Path, attempts: Attempts) -> None:
    before = RunFolder(survivor).account()
    again = attempts.run("run", str(shop_yaml), "--output", str(survivor), "--json")
    assert again.status == 0, again.errors
    account = json.loads(again.output)
    steps = RunFolder(survivor).last_steps()["steps"]
    assert {step["name"]: step["state"] for step in steps} == dict.fromkeys(NODE_IDS, "cached")
    assert {key: account[key] for key in ("version", "pushed", "model")} == {
        key: before[key] for key in ("version", "pushed", "model")
    }
    assert "cached  Trainer" in again.errors  # with --json, stdout is for programs


def test_a_run_in_progress_is_not_disturbed(survivor: Path, shop_yaml: Path, attempts: Attempts) -> None:
    with RunFolder(survivor).locked():
        refused = attempts.run("run", str(shop_yaml), "--output", str(survivor))
        status = attempts.run("status", str(survivor), "--json")
    assert refused.status == 1
    assert "a run is in progress" in refused.errors
    assert json.loads(status.output)["running"] is True


def test_a_training_setting_runs_only_what_learns_again(survivor: Path, shop_yaml: Path, attempts: Attempts) -> None:
    before = _versions(survivor)
    settings = ("training.epochs=1", "training.refit=false", "tuner.trials=2", "tuner.dimensions=[8]")
    words = [word for setting in settings for word in ("--set", setting)]
    changed = attempts.run("run", str(shop_yaml), "--output", str(survivor), *words)
    assert changed.status == 0, changed.errors
    learning = ("Tuner", *FROM_TRAINER)
    assert changed.states() == dict.fromkeys(TO_TRAINER, "cached") | dict.fromkeys(learning, "done")
    assert len(_versions(survivor)) == len(before) + 1
    tuning = RunFolder(survivor).read_reports()["tuning"]
    assert len(tuning["trials"]) == 2
    assert tuning["score"] >= tuning["default_score"]
    # The training repeats the best trial: same seed, same data, same window.
    log = (survivor / "logs" / "run.log").read_text()
    measured = re.findall(rf"judged: epoch \d of 1: .*{tuning['metric']}=(\S+)", log)
    assert max(map(float, measured)) == pytest.approx(tuning["score"], rel=1e-5)
    assert "best of 2 trials" in changed.output


def test_going_back_pushes_the_first_model_again(survivor: Path, shop_yaml: Path, attempts: Attempts) -> None:
    newest = _versions(survivor)[-1]
    back = attempts.run("run", str(shop_yaml), "--output", str(survivor))
    assert back.status == 0, back.errors
    # It had been judged before any other model was served; now there is one that it must not lose to.
    assert back.states() == dict.fromkeys(NODE_IDS, "cached") | {"Evaluator": "done", "Pusher": "done"}
    assert "tuning" not in RunFolder(survivor).read_reports()
    judged = RunFolder(survivor).read_reports()["evaluation"]
    assert judged["gate"]["predecessor"] == {"version": str(newest), "compared": True, "reason": ""}
    assert "last_blessed" in judged["tables"]["warm"]["results"]
    assert {check["rival"] for check in judged["gate"]["results"]} == {"popular", "last_blessed"}
    assert RunFolder(survivor).account()["version"] == _versions(survivor)[-1] > newest


def test_a_model_that_loses_to_a_rival_is_not_pushed(survivor: Path, shop_yaml: Path, attempts: Attempts) -> None:
    before = _versions(survivor)
    strict = [f"--set=gate.{key}" for key in ("tolerance=0", "confidence=0", "rivals=[own_frequency]")]
    lost = attempts.run("run", str(shop_yaml), "--output", str(survivor), *strict)
    assert lost.status == 1
    assert {name for name, state in lost.states().items() if state == "done"} == {"Evaluator", "Pusher"}
    assert "not blessed" in lost.output
    assert "own_frequency" in lost.errors
    assert "run.log" in lost.errors
    assert _versions(survivor) == before
    account = RunFolder(survivor).account()
    assert (account["blessed"], account["version"], account["pushed"]) == (False, None, None)


def test_a_failing_step_is_named_with_its_reason(survivor: Path, shop_yaml: Path, attempts: Attempts) -> None:
    before = _versions(survivor)
    failed = attempts.run(
        "run", str(shop_yaml), "--output", str(survivor), "--set", "tables.items.path=/gone/items.csv"
    )
    assert failed.status == 1
    assert failed.states() == {"TableGen": "failed"}
    assert "TableGen failed: " in failed.errors
    assert "/gone/items.csv" in failed.errors
    assert str(survivor / "logs" / "run.log") in failed.errors
    assert "Traceback" not in failed.errors + failed.output
    assert _versions(survivor) == before
    status = attempts.run("status", str(survivor), "--json")
    assert [step["state"] for step in json.loads(status.output)["steps"]] == ["failed"]


def test_status_tells_steps_versions_and_metrics(pushed_run: Path) -> None:
    words = [sys.executable, "-m", "pipeline.cli", "status", str(pushed_run)]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    for word in ("done    Trainer", "pushed  aisle: ", "blessed", "ndcg@20"):
        assert word in told
    found = json.loads(subprocess.run([*words, "--json"], capture_output=True, text=True, check=True).stdout)
    assert [step["name"] for step in found["steps"]] == list(NODE_IDS)
    assert found["versions"] == {"aisle": [found["last_complete"]["version"]]}


def test_status_of_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "pipeline.cli", "status", str(tmp_path)]
    told = subprocess.run(words, capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert "aisle run" in told.stderr
