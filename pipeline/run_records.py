"""What ML Metadata knows about runs: the steps' outputs, and what an interrupted run left behind."""

from __future__ import annotations

import shutil
from pathlib import Path

from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration.metadata import Metadata
from tfx.orchestration.portable.mlmd import execution_lib
from tfx.types import Artifact

from pipeline.components import payload, pusher

State = metadata_store_pb2.Execution.State
Outputs = dict[str, Artifact]


def state_of(metadata: Metadata, execution_id: int) -> int:
    """Returns an execution's `State`."""
    [execution] = metadata.store.get_executions_by_id([execution_id])
    return int(execution.last_known_state)


def outputs_of(metadata: Metadata, execution_id: int) -> Outputs:
    """Returns the artifacts that an execution made, or took from the cache, by their names."""
    found = execution_lib.get_output_artifacts(metadata, execution_id)
    return {key: artifacts[0] for key, artifacts in found.items()}


def summary_of(outputs: Outputs) -> str:
    """Returns the lines for people that a step's outputs carry, joined."""
    lines = [artifact.get_string_custom_property(payload.SUMMARY) for artifact in outputs.values()]
    return ", ".join(line for line in lines if line)


def clear_interrupted(metadata: Metadata, artifacts: Path) -> list[str]:
    """Closes executions that a killed run left open, and removes what they had written.

    Args:
      metadata: an open connection.
      artifacts: the folder with a folder for each step.

    Returns:
      The steps that had been interrupted.
    """
    store = metadata.store
    steps: list[str] = []
    for execution in store.get_executions():
        if not execution_lib.is_execution_active(execution):
            continue
        execution.last_known_state = State.FAILED
        store.put_executions([execution])
        step = _step_of(metadata, execution)
        steps.append(step)
        # TFX names each output folder STEP/OUTPUT/EXECUTION.
        for folder in (artifacts / step).glob(f"*/{execution.id}"):
            shutil.rmtree(folder)
        shutil.rmtree(artifacts / step / ".system", ignore_errors=True)
    return steps


def forget_stale_pushes(metadata: Metadata) -> None:
    """Makes the pusher run again where its cached push is not what servers see: removed, or followed by another."""
    store = metadata.store
    known = {found.name for found in store.get_artifact_types()}
    if "PushedModel" not in known:
        return
    for artifact in store.get_artifacts_by_type("PushedModel"):
        if artifact.state != metadata_store_pb2.Artifact.LIVE or not _is_stale(artifact):
            continue
        artifact.state = metadata_store_pb2.Artifact.DELETED
        store.put_artifacts([artifact])


def _is_stale(artifact: metadata_store_pb2.Artifact) -> bool:
    destination = artifact.custom_properties[pusher.DESTINATION_PROPERTY].string_value
    if not destination:
        return False  # a model that was not pushed stays so
    path = Path(destination)
    return pusher.newest_version(path.parent) != int(path.name)


def _step_of(metadata: Metadata, execution: metadata_store_pb2.Execution) -> str:
    for context in metadata.store.get_contexts_by_execution(execution.id):
        if context.type == "node":
            # TFX names the context PIPELINE.STEP.
            return str(context.name).rpartition(".")[2]
    return str(execution.type)
