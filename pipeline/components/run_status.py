"""RunStatus: says how a run on a cluster ended, whether it succeeded or not."""

from __future__ import annotations

import datetime
import json
import logging
import urllib.request
from pathlib import Path
from typing import Any, ClassVar

from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.orchestration.kubeflow.decorators import FinalStatusStr
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from typing_extensions import override

from pipeline.components import payload
from pipeline.run_folder import write_json

NODE_ID = "RunStatus"
# Kubeflow's driver puts the run's own names in the place of these.
RUN_NAME = "{{$.pipeline_job_name}}"
RUN_ID = "{{$.pipeline_job_uuid}}"

_GOOD = ("COMPLETE", "CACHED", "SUCCEEDED")
_BAD = ("FAILED", "CANCELED", "CANCELLED", "ERROR")
_TIMEOUT_S = 30
_log = logging.getLogger(__name__)


class RunStatusSpec(ComponentSpec):
    """What RunStatus reads."""

    PARAMETERS: ClassVar = {
        "final_status": ExecutionParameter(type=str),
        "pipeline": ExecutionParameter(type=str),
        "run_name": ExecutionParameter(type=str),
        "run_id": ExecutionParameter(type=str),
        "destination": ExecutionParameter(type=str),
        "url": ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict[str, ChannelParameter]] = {}
    OUTPUTS: ClassVar[dict[str, ChannelParameter]] = {}


class Executor(base_executor.BaseExecutor):
    """Writes the status to a file, and posts it where there is somebody to post it to."""

    @override
    def Do(
        self,
        input_dict: payload.ArtifactsByKey,
        output_dict: payload.ArtifactsByKey,
        exec_properties: dict[str, Any],
    ) -> None:
        """Reports.

        Raises:
          OSError: if the file cannot be written, or nobody takes what is posted; the file is written then.
        """
        told = status_of(exec_properties, datetime.datetime.now(datetime.UTC))
        _log.info("run %s of pipeline %s: %s", told["run"], told["pipeline"], told["state"])
        write_json(Path(exec_properties["destination"]), told)
        if exec_properties["url"]:
            post(exec_properties["url"], told)


def status_of(properties: dict[str, Any], now: datetime.datetime) -> dict[str, Any]:
    """Says how a run ended.

    Args:
      properties: the step's properties; `final_status` is Kubeflow's PipelineTaskFinalStatus as JSON.
      now: the time.

    Returns:
      `pipeline`, `run`, `run_id`, `succeeded` (None where Kubeflow does not say), `state` as Kubeflow calls it,
      `message` and `ended`.
    """
    final = json.loads(properties["final_status"])
    state = str(final.get("state", "UNKNOWN"))
    return {
        "pipeline": properties["pipeline"],
        "run": properties["run_name"],
        "run_id": properties["run_id"],
        "succeeded": True if state in _GOOD else False if state in _BAD else None,
        "state": state,
        "message": str((final.get("error") or {}).get("message", "")),
        "ended": now.isoformat(timespec="seconds"),
    }


def post(url: str, told: dict[str, Any]) -> None:
    """Posts a status as JSON.

    Raises:
      OSError: if it is not taken within 30 seconds.
    """
    body = json.dumps(told).encode()
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"}, method="POST")
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S):
        pass


class RunStatus(base_component.BaseComponent):
    """Reports the end of a run; an orchestrator starts it when everything else has ended.

    Args:
      pipeline: the pipeline's name.
      destination: the file that tells of the last run.
      url: where the status is posted to; "" where it is not.
    """

    SPEC_CLASS = RunStatusSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, *, pipeline: str, destination: str, url: str) -> None:
        super().__init__(
            RunStatusSpec(
                final_status=FinalStatusStr(),
                pipeline=pipeline,
                run_name=RUN_NAME,
                run_id=RUN_ID,
                destination=destination,
                url=url,
            )
        )
