"""Runs the import and the features of events under Beam's options of a configuration; is started in an environment.

python package_steps.py CONFIG FOLDER LAST_STEP [KEY=VALUE ...]
"""

import sys
from pathlib import Path

from tfx.dsl.components.base import base_beam_executor, base_executor
from tfx.types import Artifact

from pipeline import dag
from pipeline.byte_batches import batch_by_bytes
from pipeline.config import load_config

STEPS = ("TableGen", "EventExampleGen", "ItemExampleGen", "EventSchemaGen", "EventTransform")


def main(shop: str, folder: Path, last_step: str, *overrides: str) -> None:
    """Runs the steps one after the other in this process, as containers would."""
    batch_by_bytes()
    flow = dag.build(load_config(shop, overrides), dag.Locations.under(folder))
    nodes = {node.id: node for node in flow.components}
    made: dict[tuple[str, str], Artifact] = {}
    for step in STEPS[: STEPS.index(last_step) + 1]:
        node = nodes[step]
        where = {"tmp_dir": str(folder / "scratch" / step), "unique_id": "1"}
        inputs = {
            key: [made[channel.producer_component_id, channel.output_key]] for key, channel in node.inputs.items()
        }
        outputs = {}
        for key, channel in node.outputs.items():
            artifact = made[step, key] = channel.type()
            artifact.uri = str(folder / step / key)
            Path(artifact.uri).mkdir(parents=True)
            outputs[key] = [artifact]
        executor = node.executor_spec.executor_class
        if issubclass(executor, base_beam_executor.BaseBeamExecutor):
            context = base_beam_executor.BaseBeamExecutor.Context(beam_pipeline_args=flow.beam_pipeline_args, **where)
        else:
            context = base_executor.BaseExecutor.Context(**where)
        executor(context).Do(inputs, outputs, dict(node.exec_properties))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
