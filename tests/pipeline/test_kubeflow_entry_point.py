"""What the entry point puts back before a step, and gives back after it."""

import json
from pathlib import Path

import pytest
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tiny_shop import shop_config

from pipeline.components import payload
from pipeline.kubeflow import entry_point

SCHEMA = "title: tfx.Examples\ntype: object\n"


def test_uris_are_the_launchers_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(entry_point.ROOT_VARIABLE, raising=False)
    assert entry_point.local_path("gs://bucket/a") == "/gcs/bucket/a"
    assert entry_point.local_path("s3://bucket/a") == "/s3/bucket/a"
    assert entry_point.local_path("minio://bucket/a/b") == "/minio/bucket/a/b"
    assert entry_point.local_path("/mnt/aisle/model") == "/mnt/aisle/model"


def test_types_come_from_the_declaration_and_kubeflows_own_outputs_go() -> None:
    declared = pipeline_spec_pb2.ComponentInputsSpec()
    declared.artifacts["examples"].artifact_type.instance_schema = SCHEMA
    handed = json_format.ParseDict(
        {
            "inputs": {
                "artifacts": {"examples": {"artifacts": [{"uri": "minio://b/x", "type": {"instanceSchema": ""}}]}}
            },
            "outputs": {
                "artifacts": {
                    "model": {
                        "artifacts": [{"uri": "minio://b/model", "type": {"instanceSchema": "title: tfx.Model"}}]
                    },
                    "executor-logs": {
                        "artifacts": [{"uri": "minio://b/log", "type": {"schemaTitle": "system.Artifact"}}]
                    },
                }
            },
        },
        pipeline_spec_pb2.ExecutorInput(),
    )
    completed = entry_point.completed(handed, declared)
    [examples] = completed.inputs.artifacts["examples"].artifacts
    assert (examples.type.instance_schema, examples.uri) == (SCHEMA, "/minio/b/x")
    assert list(completed.outputs.artifacts) == ["model"]
    assert set(handed.outputs.artifacts) == {"model", "executor-logs"}


def test_missing_arguments_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        entry_point.run(["--executor_class_path", "pipeline.components.pusher.Executor"])
    assert ended.value.code == 2
    assert "--json_serialized_invocation_args" in capsys.readouterr().err


def test_a_step_runs_and_its_outputs_bear_the_launchers_uris(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(entry_point.ROOT_VARIABLE, str(tmp_path))
    output_file = tmp_path / "minio" / "b" / "output_metadata.json"
    handed = {
        "inputs": {
            "parameterValues": {"table": "items", "config": shop_config(tmp_path).model_dump_json(), "code": "c"}
        },
        "outputs": {
            "artifacts": {
                "schema": {
                    "artifacts": [
                        {"name": "schema", "uri": "minio://b/schema", "type": {"instanceSchema": "title: tfx.Schema"}}
                    ]
                }
            },
            "outputFile": str(output_file),
        },
    }
    declared = {"parameters": {name: {"parameterType": "STRING"} for name in ("table", "config", "code")}}
    entry_point.run(
        [
            *("--executor_class_path", "pipeline.components.schema_gen.Executor"),
            *("--json_serialized_invocation_args", json.dumps(handed)),
            *("--json_serialized_inputs_spec_args", json.dumps(declared)),
        ]
    )
    assert (tmp_path / "minio" / "b" / "schema" / "schema.pbtxt").is_file()
    [told] = json.loads(output_file.read_text())["artifacts"]["schema"]["artifacts"]
    assert told["uri"] == "minio://b/schema"
    assert told["metadata"][payload.SUMMARY].endswith("features")
    assert [path.name for path in output_file.parent.glob(".*")] == []
