"""The compiled specification: what is in it, and that Kubeflow's own client reads it.

`AISLE_WRITE_GOLDENS=1 .venv/bin/python -m pytest tests/pipeline/test_kubeflow_compilation.py` writes the golden anew.
"""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes_pb2
from tiny_shop import shop_config

from pipeline.components.run_status import NODE_ID as STATUS_ID
from pipeline.config import Config
from pipeline.dag import IMPORTER_ID, NODE_IDS
from pipeline.kubeflow.checker import check_file
from pipeline.kubeflow.compilation import CompilationError, compile_documents, compile_pipeline, pipeline_name
from pipeline.kubeflow.specification import Specification, Task

GOLDEN = Path(__file__).with_name("kubeflow_golden.yaml")
IMAGE = "registry.example.com/aisle:1"
SECTION: dict[str, Any] = {
    "image": IMAGE,
    "gpu_image": f"{IMAGE}-gpu",
    "data": "s3://shop-bucket/tables",
    "status_url": "http://127.0.0.1:9/status",
    "pod": {
        "cpu": "2",
        "memory": "4Gi",
        "claims": [{"claim": "aisle", "mount_path": "/mnt/aisle"}],
        "secret_variables": [{"secret": "bucket", "key": "key", "variable": "AWS_SECRET_ACCESS_KEY"}],
        "secret_volumes": [{"secret": "certificates", "mount_path": "/etc/aisle"}],
        "variables": {"TZ": "UTC"},
        "pull_secrets": ["registry"],
        "retries": 1,
    },
    "steps": {
        "Trainer": {
            "cpu": "8",
            "memory": "32Gi",
            "gpus": 1,
            "node_selector": {"pool": "gpu"},
            "tolerations": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}],
            "retries": 3,
        },
        "Pusher": {"tolerations": [{"key": "pool", "operator": "Equal", "value": "io", "seconds": 60}]},
    },
}


def _tasks(config: Config) -> dict[str, Task]:
    return {task.name: task for task in Specification(*_documents(config)).tasks()}


def _documents(config: Config) -> tuple[dict[str, Any], dict[str, Any]]:
    specification, platform = compile_documents(config)
    return specification, (platform or {}).get("platforms", {})


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return shop_config(tmp_path_factory.mktemp("shop"), kubeflow=SECTION)


@pytest.fixture(scope="module")
def compiled(config: Config) -> Path:
    file = Path(str(config.tables.events.path)).parent / "pipeline.yaml"
    assert compile_pipeline(config, file) == sorted((*NODE_IDS, IMPORTER_ID, STATUS_ID))
    return file


def _masked(value: Any, key: str = "") -> Any:
    """Without what every change of code or of a default changes: fingerprints and configurations."""
    if isinstance(value, dict):
        if key in {"code", "config", "custom_config", "stats_options_json"} and "runtimeValue" in value:
            return key.upper()
        return {name: _masked(inner, name) for name, inner in value.items() if name != "--json"}
    return [_masked(inner) for inner in value] if isinstance(value, list) else value


def test_golden(compiled: Path) -> None:
    got = [_masked(document) for document in yaml.safe_load_all(compiled.read_text(encoding="utf-8"))]
    if os.environ.get("AISLE_WRITE_GOLDENS"):
        GOLDEN.write_text(yaml.safe_dump_all(got, sort_keys=True), encoding="utf-8")
    assert got == list(yaml.safe_load_all(GOLDEN.read_text(encoding="utf-8")))


def test_the_check_finds_nothing(compiled: Path) -> None:
    assert check_file(compiled) == []


def test_nothing_of_this_machine_is_in_it(compiled: Path) -> None:
    assert str(compiled.parent) not in compiled.read_text(encoding="utf-8")


def test_which_step_reads_which_parameter(config: Config) -> None:
    tasks = _tasks(config)
    read = {
        name: {source for value in task.parameters().values() if (source := value.get("componentInputParameter"))}
        for name, task in tasks.items()
        if task.container
    }
    assert {"events_path", "items_path", "test_start"} == read["TableGen"] - {"image"}
    assert {"test_start"} == read["EventExampleGen"] - {"image"}
    assert {"epochs", "test_start", "gpu_image"} == read["Trainer"]
    assert {"epochs", "test_start"} == read["Evaluator"] - {"image"}
    assert all(
        read[name] == {"image"} for name in ("EventTransform", "ItemTransform", "InfraCheck", "Pusher", STATUS_ID)
    )


def test_the_tables_of_an_object_store_are_imported(config: Config) -> None:
    tasks = _tasks(config)
    importer = tasks[IMPORTER_ID]
    assert importer.executor["importer"]["artifactUri"] == {"runtimeParameter": "artifact_uri"}
    assert importer.parameters()["artifact_uri"] == {"componentInputParameter": "data"}
    given = tasks["TableGen"].artifacts()["files"]["taskOutputArtifact"]
    assert given == {"producerTask": IMPORTER_ID, "outputArtifactKey": "result"}
    specification, _ = _documents(config)
    declared = specification["root"]["inputDefinitions"]["parameters"]
    assert declared["events_path"]["defaultValue"] == "events.csv"
    assert IMPORTER_ID not in _tasks(shop_config(Path("/shop")))


def test_pods_get_what_the_configuration_says(config: Config) -> None:
    tasks = _tasks(config)
    limits = {"resourceCpuLimit": "8", "resourceCpuRequest": "8"} | dict.fromkeys(
        ("resourceMemoryLimit", "resourceMemoryRequest"), "32Gi"
    )
    accelerator = {"resourceType": "nvidia.com/gpu", "resourceCount": "1"}
    assert tasks["Trainer"].container["resources"] == {**limits, "accelerator": accelerator}
    assert tasks["TableGen"].container["resources"]["resourceMemoryLimit"] == "4Gi"
    assert tasks["TableGen"].container["env"] == [{"name": "TZ", "value": "UTC"}]
    assert {name: task.spec["retryPolicy"]["maxRetryCount"] for name, task in tasks.items() if task.container} == {
        name: 3 if name == "Trainer" else 1 for name in (*NODE_IDS, STATUS_ID)
    }
    _, platforms = _documents(config)
    executors = {
        label: json_format.ParseDict(executor, kubernetes_pb2.KubernetesExecutorConfig())
        for label, executor in platforms["kubernetes"]["deploymentSpec"]["executors"].items()
    }
    assert set(executors) == {f"{name}_executor" for name in (*NODE_IDS, STATUS_ID)}
    trainer, pusher = executors["Trainer_executor"], executors["Pusher_executor"]
    assert dict(trainer.node_selector.labels) == {"pool": "gpu"}
    assert [(found.key, found.operator, found.effect) for found in trainer.tolerations] == [
        ("nvidia.com/gpu", "Exists", "NoSchedule")
    ]
    assert [(found.value, found.toleration_seconds) for found in pusher.tolerations] == [("io", 60)]
    for executor in executors.values():
        assert [(mount.constant, mount.mount_path) for mount in executor.pvc_mount] == [("aisle", "/mnt/aisle")]
        assert [(found.secret_name, found.mount_path) for found in executor.secret_as_volume] == [
            ("certificates", "/etc/aisle")
        ]
        [secret] = executor.secret_as_env
        assert (secret.secret_name, secret.key_to_env[0].env_var) == ("bucket", "AWS_SECRET_ACCESS_KEY")
        assert [found.secret_name for found in executor.image_pull_secret] == ["registry"]


def test_without_anything_for_pods_there_is_one_document(tmp_path: Path) -> None:
    compile_pipeline(shop_config(tmp_path), tmp_path / "pipeline.yaml")
    assert len(list(yaml.safe_load_all((tmp_path / "pipeline.yaml").read_text()))) == 1
    warnings = check_file(tmp_path / "pipeline.yaml")
    assert {finding.node for finding in warnings} == {"Trainer", "Evaluator", "Pusher", STATUS_ID}
    assert not any(finding.is_error for finding in warnings)


def test_steps_come_from_the_cache_only_where_the_state_of_the_tables_is_named(tmp_path: Path) -> None:
    assert not any("cachingOptions" in task.spec for task in _tasks(shop_config(tmp_path)).values())
    tasks = _tasks(shop_config(tmp_path, kubeflow={"cache": True}))
    cached = {name for name, task in tasks.items() if task.spec.get("cachingOptions", {}).get("enableCache")}
    assert cached == set(NODE_IDS) - {"Evaluator", "Pusher"}
    assert tasks["TableGen"].parameters()["sources"] == {"componentInputParameter": "data_version"}


def test_with_trials_the_tuner_is_a_step_of_it(tmp_path: Path) -> None:
    tasks = _tasks(shop_config(tmp_path, tuner={"trials": 3}))
    given = tasks["Trainer"].artifacts()["hyperparameters"]["taskOutputArtifact"]
    assert given == {"producerTask": "Tuner", "outputArtifactKey": "best_hyperparameters"}
    assert tasks["Tuner"].parameters()["epochs"] == {"componentInputParameter": "epochs"}


def test_options_of_beam_reach_the_steps_that_use_it(tmp_path: Path) -> None:
    flink = {"environment": {"type": "external", "address": "localhost:50000"}, "job_endpoint": "jobs:8099"}
    beam = {"runner": "flink", "flink": flink, "setup_file": "/opt/aisle/setup.py"}
    tasks = _tasks(shop_config(tmp_path, beam=beam))
    options = {"--runner=FlinkRunner", "--job_endpoint=jobs:8099", "--setup_file=/opt/aisle/setup.py"}
    using = {name for name, task in tasks.items() if options <= set(task.container.get("args", []))}
    kinds = ("ExampleGen", "StatisticsGen", "Transform")
    assert using >= {"TableGen", *(table + kind for table in ("Event", "Item") for kind in kinds)}


def test_names_are_made_fit_for_kubeflow() -> None:
    assert pipeline_name("Online_Retail") == "online-retail"
    with pytest.raises(CompilationError, match=r"name: .* got '__'"):
        pipeline_name("__")


def test_what_cannot_be_compiled(tmp_path: Path) -> None:
    with pytest.raises(CompilationError, match=r"kubeflow\.steps\.Trainr: is no step; steps are Evaluator, "):
        compile_documents(shop_config(tmp_path, kubeflow={"steps": {"Trainr": {"gpus": 1}}}))
    with pytest.raises(CompilationError, match=r"ends in \.yaml"):
        compile_pipeline(shop_config(tmp_path), tmp_path / "pipeline.json")
