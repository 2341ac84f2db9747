"""The compiled specification: what Kubeflow accepts, and executors that run from what it hands them."""

import argparse
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from google.protobuf import json_format
from kfp import components
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor
from tfx.utils import import_utils
from tiny_shop import shop_config, write_shop

from pipeline.dag import NODE_IDS
from pipeline.kubeflow_runner import compile_pipeline

IMAGE = "registry.example.com/aisle:1"


@pytest.fixture(scope="module")
def specification(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kubeflow")
    write_shop(folder)
    path = folder / "pipeline.yaml"
    assert compile_pipeline(shop_config(folder), path, image=IMAGE, root=str(folder / "storage")) == list(NODE_IDS)
    return path


def _tree(path: Path) -> dict[str, Any]:
    tree: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return tree


def test_open_source_kubeflow_accepts_it(specification: Path) -> None:
    tree = _tree(specification)
    json_format.ParseDict(tree, pipeline_spec_pb2.PipelineSpec())
    assert components.load_component_from_file(str(specification)).name == "tiny"
    assert tree["schemaVersion"] == "2.1.0"
    assert set(tree["root"]["dag"]["tasks"]) == set(NODE_IDS)
    executors = tree["deploymentSpec"]["executors"]
    assert set(executors) == {f"{name}_executor" for name in NODE_IDS}
    assert {kind for executor in executors.values() for kind in executor} == {"container"}
    assert {executor["container"]["image"] for executor in executors.values()} == {IMAGE}
    assert all("lifecycle" not in executor["container"] for executor in executors.values())


def test_every_executor_and_artifact_type_can_be_imported(specification: Path) -> None:
    tree = _tree(specification)
    for executor in tree["deploymentSpec"]["executors"].values():
        arguments = executor["container"]["args"]
        assert import_utils.import_class_by_path(arguments[arguments.index("--executor_class_path") + 1])
    titles = {
        yaml.safe_load(artifact["artifactType"]["instanceSchema"])["title"]
        for component in tree["components"].values()
        for artifact in component.get("outputDefinitions", {}).get("artifacts", {}).values()
    }
    ours = {title for title in titles if not title.startswith("tfx.")}
    assert ours == {"pipeline.Tables", "pipeline.Cases"}
    assert all(title == import_utils.import_class_by_path(title).TYPE_NAME for title in ours)


def test_with_trials_the_tuner_is_a_step_of_it(specification: Path, tmp_path: Path) -> None:
    path = tmp_path / "tuned.yaml"
    config = shop_config(specification.parent, tuner={"trials": 3})
    names = compile_pipeline(config, path, image=IMAGE, root=str(tmp_path))
    tree = _tree(path)
    json_format.ParseDict(tree, pipeline_spec_pb2.PipelineSpec())
    assert set(names) == {*NODE_IDS, "Tuner"} == set(tree["root"]["dag"]["tasks"])
    given = tree["root"]["dag"]["tasks"]["Trainer"]["inputs"]["artifacts"]["hyperparameters"]["taskOutputArtifact"]
    assert given == {"producerTask": "Tuner", "outputArtifactKey": "best_hyperparameters"}
    arguments = tree["deploymentSpec"]["executors"]["Tuner_executor"]["container"]["args"]
    assert import_utils.import_class_by_path(arguments[arguments.index("--executor_class_path") + 1])


def test_json_is_refused_because_kubeflow_does_not_load_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ends in \.yaml"):
        compile_pipeline(shop_config(tmp_path), tmp_path / "pipeline.json", image=IMAGE, root="/mnt")


def _run_as_kubeflow(tree: dict[str, Any], node: str, storage: Path, made: dict[str, dict[str, Any]]) -> None:
    """Starts a node's executor by TFX's entry point with what Kubeflow fills in for {{$}}."""
    component, task = tree["components"][node], tree["root"]["dag"]["tasks"][node]
    inputs = {
        key: {
            "artifacts": [
                made[source["taskOutputArtifact"]["producerTask"]][source["taskOutputArtifact"]["outputArtifactKey"]]
            ]
        }
        for key, source in task.get("inputs", {}).get("artifacts", {}).items()
    }
    values = {key: value["runtimeValue"]["constant"] for key, value in task["inputs"]["parameters"].items()}
    outputs = {}
    for key, artifact in component["outputDefinitions"]["artifacts"].items():
        outputs[key] = {"name": f"{node}/{key}", "uri": str(storage / node / key), "type": artifact["artifactType"]}
    output_file = storage / node / "executor_output.json"
    handed = {
        "inputs": {"artifacts": inputs, "parameterValues": values},
        "outputs": {
            "artifacts": {key: {"artifacts": [made]} for key, made in outputs.items()},
            "outputFile": str(output_file),
        },
    }
    arguments = tree["deploymentSpec"]["executors"][f"{node}_executor"]["container"]["args"]
    parsed = argparse.Namespace(
        executor_class_path=arguments[arguments.index("--executor_class_path") + 1],
        json_serialized_invocation_args=json.dumps(handed),
        json_serialized_inputs_spec_args=arguments[arguments.index("--json_serialized_inputs_spec_args") + 1],
    )
    kubeflow_v2_run_executor._run_executor(parsed, [])
    written = json.loads(output_file.read_text())["artifacts"]
    made[node] = {
        key: {**outputs[key], "metadata": written[key]["artifacts"][0].get("metadata", {})} for key in outputs
    }


def test_executors_run_from_what_kubeflow_hands_them(specification: Path, tmp_path: Path) -> None:
    tree, made = _tree(specification), dict[str, dict[str, Any]]()
    for node in ("TableGen", "EventExampleGen", "ItemExampleGen", "EventSchemaGen"):
        _run_as_kubeflow(tree, node, tmp_path, made)
    assert pq.read_table(tmp_path / "TableGen" / "tables" / "items.parquet").num_rows == 30
    assert (tmp_path / "EventExampleGen" / "cases" / "test.parquet").is_file()
    assert made["EventExampleGen"]["examples"]["metadata"]["split_names"] == '["train", "validation"]'
    assert (tmp_path / "EventSchemaGen" / "schema" / "schema.pbtxt").is_file()
