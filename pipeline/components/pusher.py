"""Pusher: puts a blessed model where servers look, whole or not at all."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, ClassVar

from tfx.components.pusher import executor as stock
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import BaseChannel, Channel, standard_artifacts, system_executions
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import path_utils
from typing_extensions import override

from pipeline.artifacts import Cases
from pipeline.components import evaluator, infra_check, payload
from pipeline.pushed_models import push, replace_file

# Property names of TFX's pusher.
PUSHED_PROPERTY = "pushed"
DESTINATION_PROPERTY = "pushed_destination"
VERSION_PROPERTY = "pushed_version"


class PusherSpec(ComponentSpec):
    """What Pusher reads and writes."""

    PARAMETERS: ClassVar = {
        "push_destination": ExecutionParameter(type=str),
        "histories_destination": ExecutionParameter(type=str),
        "code": ExecutionParameter(type=str),
    }
    INPUTS: ClassVar = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "model_blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
        "infra_blessing": ChannelParameter(type=standard_artifacts.InfraBlessing),
        "cases": ChannelParameter(type=Cases),
    }
    OUTPUTS: ClassVar = {"pushed_model": ChannelParameter(type=standard_artifacts.PushedModel)}
    TYPE_ANNOTATION = system_executions.Deploy


class Executor(stock.Executor):
    """Pushes as TFX does, but never lets anybody see half a model."""

    @override
    def CheckBlessing(self, input_dict: payload.ArtifactsByKey) -> bool:
        """Returns whether both blessings are there, by their files."""
        blessed, _ = evaluator.read_blessing(payload.folder(input_dict, "model_blessing"))
        return blessed and (payload.folder(input_dict, "infra_blessing") / infra_check.BLESSED_FILE).exists()

    @override
    def Do(
        self,
        input_dict: payload.ArtifactsByKey,
        output_dict: payload.ArtifactsByKey,
        exec_properties: dict[str, Any],
    ) -> None:
        """Pushes the model and the users' histories if the model is blessed."""
        pushed = payload.single(output_dict, "pushed_model")
        Path(pushed.uri).mkdir(parents=True, exist_ok=True)
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            payload.describe(pushed, "not pushed")
            return
        histories = payload.folder(input_dict, "cases") / "histories.parquet"
        replace_file(histories, Path(exec_properties["histories_destination"]))
        base = Path(exec_properties["push_destination"])
        model = Path(path_utils.serving_model_path(payload.single(input_dict, "model").uri))
        version = push(model, base, int(time.time()))
        self._MarkPushed(pushed, pushed_destination=str(base / str(version)), pushed_version=str(version))
        payload.describe(pushed, f"version {version}")


class Pusher(base_component.BaseComponent):
    """Pushes a blessed model.

    Args:
      model: channel of Model.
      model_blessing: channel of the evaluator's ModelBlessing.
      infra_blessing: channel of InfraBlessing.
      cases: channel of Cases, for the users' histories.
      push_destination: the folder that holds a folder for each version of the model.
      histories_destination: the file that becomes the users' histories.
      code: fingerprint of the code.
    """

    SPEC_CLASS = PusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        model: BaseChannel,
        model_blessing: BaseChannel,
        infra_blessing: BaseChannel,
        cases: BaseChannel,
        push_destination: str,
        histories_destination: str,
        code: str,
    ) -> None:
        super().__init__(
            PusherSpec(
                push_destination=push_destination,
                histories_destination=histories_destination,
                code=code,
                model=model,
                model_blessing=model_blessing,
                infra_blessing=infra_blessing,
                cases=cases,
                pushed_model=Channel(type=standard_artifacts.PushedModel),
            )
        )
