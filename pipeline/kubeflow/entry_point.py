"""What every container starts: TFX's own entry point, with what Kubeflow's launcher leaves out put back.

TFX's entry point expects what Google's Vertex hands over. The launcher of open-source Kubeflow hands over less:

- Inputs come without their artifact type, which TFX needs to find the class. The step's own declaration has it.
- URIs name an object store (`minio://`, `s3://`, `gs://`). The launcher has copied the inputs from there to folders of
  the container, and copies the outputs from such folders to there afterwards. The executors get these folders.
- The launcher may add an artifact for its own log, of a type that TFX does not know. It is none of the executor's.

What the executor tells of its outputs is given back with the URIs that the launcher knows.

    python -m pipeline.kubeflow.entry_point --executor_class_path pipeline.components.table_gen.Executor
        --json_serialized_invocation_args '{{$}}' --json_serialized_inputs_spec_args '{...}' [options for Apache Beam]
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

from pipeline.byte_batches import batch_by_bytes

MODULE = "pipeline.kubeflow.entry_point"
COMMAND = ("python", "-m", MODULE)
# Where the launcher's folders are, in this folder; it is another one only where no container keeps them apart.
ROOT_VARIABLE = "AISLE_LAUNCHER_ROOT"

_FOLDERS = {"gs://": "gcs/", "s3://": "s3/", "minio://": "minio/"}
_KUBEFLOWS_OWN = "system."


def local_path(uri: str) -> str:
    """Returns the folder in which the launcher keeps what a URI names; paths are returned as they are."""
    root = os.environ.get(ROOT_VARIABLE, "/")
    for scheme, folder in _FOLDERS.items():
        if uri.startswith(scheme):
            return str(Path(root, folder + uri.removeprefix(scheme)))
    return uri


def completed(
    handed: pipeline_spec_pb2.ExecutorInput, declared: pipeline_spec_pb2.ComponentInputsSpec
) -> pipeline_spec_pb2.ExecutorInput:
    """Makes of what the launcher hands over what TFX expects.

    Args:
      handed: the launcher's.
      declared: the inputs that the step declares.

    Returns:
      A copy in which each input has its declared type, each URI is a folder of the container, and outputs that are
      Kubeflow's own are left out.
    """
    result = pipeline_spec_pb2.ExecutorInput()
    result.CopyFrom(handed)
    for key, found in result.inputs.artifacts.items():
        for artifact in found.artifacts:
            artifact.type.CopyFrom(declared.artifacts[key].artifact_type)
            artifact.uri = local_path(artifact.uri)
    for key, made in list(result.outputs.artifacts.items()):
        if any(artifact.type.schema_title.startswith(_KUBEFLOWS_OWN) for artifact in made.artifacts):
            del result.outputs.artifacts[key]
            continue
        for artifact in made.artifacts:
            artifact.uri = local_path(artifact.uri)
    return result


def give_back_uris(handed: pipeline_spec_pb2.ExecutorInput) -> None:
    """Puts the launcher's URIs into what the executor has told of its outputs."""
    file = Path(handed.outputs.output_file)
    told = json_format.Parse(file.read_text(encoding="utf-8"), pipeline_spec_pb2.ExecutorOutput())
    for key, made in told.artifacts.items():
        for artifact, given in zip(made.artifacts, handed.outputs.artifacts[key].artifacts, strict=True):
            artifact.uri = given.uri
    incoming = file.with_name(f".{file.name}.incoming")
    incoming.write_text(json_format.MessageToJson(told), encoding="utf-8")
    incoming.replace(file)


def run(argv: Sequence[str]) -> None:
    """Runs one step.

    Args:
      argv: the container's arguments, placeholders filled in; options that are not known here go to Apache Beam.

    Raises:
      SystemExit: with 2 where an argument is missing.
    """
    parser = argparse.ArgumentParser(prog=" ".join(COMMAND), description="Runs one step of the pipeline on Kubeflow.")
    parser.add_argument("--executor_class_path", required=True, help="the executor's class, as a dotted path")
    parser.add_argument("--json_serialized_invocation_args", required=True, help="what the launcher hands over")
    parser.add_argument("--json_serialized_inputs_spec_args", required=True, help="the inputs that the step declares")
    arguments, beam_arguments = parser.parse_known_args(list(argv))
    batch_by_bytes()
    handed = pipeline_spec_pb2.ExecutorInput()
    json_format.Parse(arguments.json_serialized_invocation_args, handed, ignore_unknown_fields=True)
    declared = pipeline_spec_pb2.ComponentInputsSpec()
    json_format.Parse(arguments.json_serialized_inputs_spec_args, declared, ignore_unknown_fields=True)
    arguments.json_serialized_invocation_args = json_format.MessageToJson(completed(handed, declared))
    kubeflow_v2_run_executor.main((arguments, beam_arguments))
    give_back_uris(handed)


if __name__ == "__main__":
    run(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: what libraries do at the end of Python has crashed steps that had done their work.
    os._exit(0)
