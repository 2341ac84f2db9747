"""`aisle submit` against an API server that records what it is asked."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from kubeflow_api import KubeflowApi, kubeflow_api
from tiny_shop import shop_config

from pipeline.commands.submit import command
from pipeline.kubeflow.compilation import compile_pipeline
from pipeline.kubeflow.specification import read_specification

CLAIMS = {"claims": [{"claim": "aisle", "mount_path": "/mnt/aisle"}]}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    compile_pipeline(shop_config(file.parent, kubeflow={"pod": CLAIMS}), file)
    return file


def _submit(api: KubeflowApi, *words: str, status: int = 0) -> Result:
    done = CliRunner().invoke(command, [*words, "--host", api.host])
    assert done.exit_code == status, done.output
    return done


def _sent(file: Path) -> dict[str, Any]:
    read = read_specification(file)
    return {"pipeline_spec": read.spec, "platform_spec": {"platforms": read.platforms}}


def test_a_run(compiled: Path) -> None:
    words = ("--parameter", "epochs=3", "--parameter", "test_start=2024-03-20", "--name", "first", "--json")
    with kubeflow_api() as api:
        done = _submit(api, str(compiled), *words, "--experiment", "shops", "--pipeline-root", "s3://bucket/root")
    [run] = api.runs
    assert (run.display_name, run.experiment_id) == ("first", "experiment-0")
    assert list(api.experiments) == ["shops"]
    assert run.runtime_config.parameters == {"epochs": 3, "test_start": "2024-03-20"}
    assert run.runtime_config.pipeline_root == "s3://bucket/root"
    assert run.pipeline_spec == _sent(compiled)
    assert [path for method, path in api.calls if method == "POST"] == [
        "/apis/v2beta1/experiments",
        "/apis/v2beta1/runs",
    ]
    receipt = json.loads(done.stdout)
    assert receipt == {
        "run_id": "run-0",
        "name": "first",
        "experiment_id": "experiment-0",
        "recurring": False,
        "url": f"{api.host}/#/runs/details/run-0",
    }


def test_a_recurring_run_in_an_experiment_that_is_there(compiled: Path) -> None:
    with kubeflow_api() as api:
        for name in ("one", "two"):
            done = _submit(api, str(compiled), "--cron", "0 0 3 * * 1", "--name", name, "--service-account", "trainer")
    one, two = api.recurring_runs
    assert one.trigger.cron_schedule.cron == two.trigger.cron_schedule.cron == "0 0 3 * * 1"
    assert (one.mode, one.no_catchup, one.service_account) == ("ENABLE", True, "trainer")
    assert one.experiment_id == two.experiment_id == "experiment-0"
    assert one.pipeline_spec == _sent(compiled)
    assert [path for method, path in api.calls if method == "POST"].count("/apis/v2beta1/experiments") == 1
    assert done.stdout == f"recurring run 'two' (recurring-1): {api.host}/#/recurringrun/details/recurring-1\n"


def test_a_configuration_is_compiled_first(tmp_path: Path) -> None:
    config = shop_config(tmp_path).model_dump(mode="json", exclude_defaults=True)
    (tmp_path / "shop.yaml").write_text(yaml.safe_dump(config))
    with kubeflow_api() as api:
        _submit(api, str(tmp_path / "shop.yaml"), "--set", "kubeflow.image=registry.example.com/aisle:7")
    [run] = api.runs
    assert run.pipeline_spec["pipelineInfo"]["name"] == "tiny"
    declared = run.pipeline_spec["root"]["inputDefinitions"]["parameters"]
    assert declared["image"]["defaultValue"] == "registry.example.com/aisle:7"
    assert run.display_name.startswith("tiny 20")


def test_who_asks_is_shown_by_a_token_from_a_file(compiled: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("open sesame\n")
    with kubeflow_api(token="open sesame") as api:
        _submit(api, str(compiled), "--token-file", str(tmp_path / "token"), "--namespace", "shops")
        refused = _submit(api, str(compiled), "--namespace", "shops", status=1)
    assert len(api.runs) == 1
    assert "refused with status 401" in refused.output
    assert "--token-file" in refused.output
    assert "who are you?" in refused.output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--parameter", "epoch=3"), "epoch: is no parameter of this pipeline; it has"),
        (("--parameter", "epochs=many"), "epochs: expected a whole number, got 'many'"),
        (("--parameter", "epochs=0"), "training.epochs: Input should be greater than or equal to 1"),
        (("--parameter", "test_start=soon"), "split.test_start"),
        (("--parameter", "epochs"), "expected NAME=VALUE, got 'epochs'"),
        (("--set", "seed=1"), "--set changes nothing in it"),
    ],
)
def test_wrong_usage(compiled: Path, words: tuple[str, ...], says: str) -> None:
    with kubeflow_api() as api:
        done = _submit(api, str(compiled), *words, status=2)
    assert says in " ".join(done.output.split())
    assert api.calls == []


def test_what_has_no_default_must_be_said(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    compile_pipeline(shop_config(tmp_path, kubeflow={"cache": True}), file)
    with kubeflow_api() as api:
        done = _submit(api, str(file), status=2)
        assert "data_version: has no default" in done.output
        _submit(api, str(file), "--parameter", "data_version=2024-03-20")
    assert api.runs[0].runtime_config.parameters == {"data_version": "2024-03-20"}


def test_nobody_is_there(compiled: Path) -> None:
    with kubeflow_api() as api:
        pass
    # A namespace spares the client its question whether there are many of them, which it repeats for half a minute.
    done = _submit(api, str(compiled), "--namespace", "shops", status=1)
    assert f"{api.host} does not answer" in done.output
