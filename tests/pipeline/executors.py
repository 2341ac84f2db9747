"""Runs one component's executor on folders, as an orchestrator would."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfx.dsl.components.base import base_beam_executor, base_executor
from tfx.types import Artifact


def artifact(kind: type[Artifact], folder: Path) -> list[Artifact]:
    """The one artifact of a channel."""
    made = kind()
    made.uri = str(folder)
    return [made]


def execute(
    executor: type[base_executor.BaseExecutor],
    inputs: dict[str, list[Artifact]],
    outputs: dict[str, list[Artifact]],
    scratch: Path,
    beam_arguments: Sequence[str] = (),
    **properties: Any,
) -> Any:
    """Calls the executor's Do; output folders are there, as TFX makes them before."""
    for made in outputs.values():
        Path(made[0].uri).mkdir(parents=True, exist_ok=True)
    where = {"tmp_dir": str(scratch), "unique_id": "1"}
    if issubclass(executor, base_beam_executor.BaseBeamExecutor):
        context = base_beam_executor.BaseBeamExecutor.Context(beam_pipeline_args=list(beam_arguments), **where)
        return executor(context).Do(inputs, outputs, properties)
    return executor(base_executor.BaseExecutor.Context(**where)).Do(inputs, outputs, properties)
