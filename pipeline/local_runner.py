"""Runs the pipeline on this machine, step by step, in the way of TFX's LocalDagRunner.

The loop is ours so that each step shows a line, a failing step is named with its reason, and an
interrupted run is cleaned up after.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfx.dsl.compiler import compiler, constants
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.portable import launcher, runtime_parameter_utils
from tfx.proto.orchestration import pipeline_pb2

from pipeline import dag, run_records
from pipeline.byte_batches import batch_by_bytes
from pipeline.config import Config
from pipeline.progress import Step, StepLines
from pipeline.run_folder import RunFolder, write_json
from pipeline.step_process import StepProcessError, run_apart

_log = logging.getLogger(__name__)

# What runs one node, in the step's own process; tests put their own here.
Launch = Callable[[launcher.Launcher], Any]


class StepError(RuntimeError):
    """A step failed; the message is its name and the reason in a few lines."""


@dataclass
class Run:
    """What a run did.

    Args:
      steps: the steps so far.
      outputs: by step name, the artifacts that it made or took from the cache.
      seconds: how long the run took.
    """

    steps: list[Step] = field(default_factory=list)
    outputs: dict[str, run_records.Outputs] = field(default_factory=dict)
    seconds: float = 0.0

    def uri(self, step: str, key: str) -> Path:
        """Returns where an output lies."""
        return Path(self.outputs[step][key].uri)


def run(
    config: Config,
    folder: RunFolder,
    lines: StepLines,
    launch: Launch = launcher.Launcher.launch,
    last_step: str = dag.NODE_IDS[-1],
) -> Run:
    """Runs the pipeline of a shop; steps whose inputs, settings and code are unchanged are taken from the cache.

    Args:
      config: the shop's configuration.
      folder: the run folder, locked by the caller.
      lines: where the steps' progress goes.
      launch: runs one step.
      last_step: where to end.

    Returns:
      What was done.

    Raises:
      StepError: naming the step that failed.
    """
    started = time.monotonic()
    batch_by_bytes()
    connection = _clean_records(folder)
    pipeline = compiler.Compiler().compile(dag.build(config, dag.Locations.under(folder.path.resolve()), connection))
    run_id = datetime.datetime.now(datetime.UTC).isoformat()
    runtime_parameter_utils.substitute_runtime_parameter(pipeline, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id})
    done = Run()
    try:
        for node in pipeline.nodes:
            _run_step(pipeline, node.pipeline_node, connection, done=done, lines=lines, launch=launch)
            _keep_steps(folder, done, run_id)
            if done.steps[-1].name == last_step:
                break
    finally:
        done.seconds = time.monotonic() - started
        _keep_steps(folder, done, run_id)
    return done


def _clean_records(folder: RunFolder) -> Any:
    """Clears up after earlier runs and returns ML Metadata's connection."""
    folder.discard_orphans()
    connection = metadata.sqlite_metadata_connection_config(str(folder.metadata))
    with metadata.Metadata(connection) as records:
        for name in run_records.clear_interrupted(records, folder.artifacts):
            _log.info("step %s had been interrupted; what it left is removed", name)
        run_records.forget_stale_results(records)
    return connection


def _run_step(
    pipeline: pipeline_pb2.Pipeline,
    node: pipeline_pb2.PipelineNode,
    connection: Any,
    *,
    done: Run,
    lines: StepLines,
    launch: Launch,
) -> None:
    step = Step(node.node_info.id)
    done.steps.append(step)
    deployment = runner_utils.extract_local_deployment_config(pipeline)
    with lines.follow(step), _named(step):
        prepared = launcher.Launcher(
            pipeline_node=node,
            mlmd_connection=metadata.Metadata(connection),
            pipeline_info=pipeline.pipeline_info,
            pipeline_runtime_spec=pipeline.runtime_spec,
            executor_spec=runner_utils.extract_executor_spec(deployment, step.name),
        )
        finished = run_apart(lambda: int(launch(prepared).execution_id))
        step.peak_mib = finished.peak_mib
        with metadata.Metadata(connection) as records:
            state = run_records.state_of(records, finished.value)
            done.outputs[step.name] = run_records.outputs_of(records, finished.value)
        if state not in (run_records.State.COMPLETE, run_records.State.CACHED):
            raise StepProcessError(
                "its inputs could not be found; remove metadata.sqlite in the run folder and run again"
            )
        step.detail = run_records.summary_of(done.outputs[step.name])
        step.state = "cached" if state == run_records.State.CACHED else "done"


@contextlib.contextmanager
def _named(step: Step) -> Iterator[None]:
    try:
        yield
    except StepProcessError as error:
        step.detail = str(error)
        raise StepError(f"{step.name} failed: {error}") from error


def _keep_steps(folder: RunFolder, done: Run, run_id: str) -> None:
    steps = [dataclasses.asdict(step) for step in done.steps]
    write_json(folder.steps_file, {"run": run_id, "seconds": round(done.seconds, 1), "steps": steps})
