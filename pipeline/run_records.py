"""What ML Metadata knows about runs: the steps' outputs, and what an interrupted run left behind."""

from __future__ import annotations

import shutil
from pathlib import Path

from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration.metadata import Metadata
from tfx.orchestration.portable.mlmd import execution_lib
from tfx.types import Artifact

from pipeline.components import evaluator, payload, pusher
from pipeline.pushed_models import is_outdated, newest_version

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


def forget_stale_results(metadata: Metadata) -> None:
    """Makes steps run again whose cached result depends on the pushed models, and those are others now.

    A push is stale if it is not what servers see: removed, or followed by another. A verdict is stale if another
    model than then is the last blessed one.
    """
    store = metadata.store
    known = {found.name for found in store.get_artifact_types()}
    for type_name, is_stale in (("PushedModel", _is_stale_push), ("ModelBlessing", _is_stale_verdict)):
        for artifact in store.get_artifacts_by_type(type_name) if type_name in known else ():
            if artifact.state == metadata_store_pb2.Artifact.LIVE and is_stale(artifact):
                artifact.state = metadata_store_pb2.Artifact.DELETED
                store.put_artifacts([artifact])


def _is_stale_push(artifact: metadata_store_pb2.Artifact) -> bool:
    destination = artifact.custom_properties[pusher.DESTINATION_PROPERTY].string_value
    if not destination:
        return False  # a model that was not pushed stays so
    path = Path(destination)
    return newest_version(path.parent) != int(path.name)


def _is_stale_verdict(artifact: metadata_store_pb2.Artifact) -> bool:
    model, base, compared = (
        artifact.custom_properties[name].string_value
        for name in (evaluator.MODEL_PROPERTY, evaluator.DESTINATION_PROPERTY, evaluator.LAST_BLESSED_PROPERTY)
    )
    return bool(base) and is_outdated(Path(base), Path(model), compared)


def _step_of(metadata: Metadata, execution: metadata_store_pb2.Execution) -> str:
    for context in metadata.store.get_contexts_by_execution(execution.id):
        if context.type == "node":
            # TFX names the context PIPELINE.STEP.
            return str(context.name).rpartition(".")[2]
    return str(execution.type)
