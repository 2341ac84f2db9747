"""InfraCheck: loads the model in a server and asks it its warm-up requests before anybody else does."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import BaseChannel, Channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import path_utils
from typing_extensions import override

from pipeline.components import payload

# As TFX's own InfraValidator names them.
BLESSED_FILE = "INFRA_BLESSED"
BLESSED_PROPERTY = "blessed"


class InfraCheckSpec(ComponentSpec):
    """What InfraCheck reads and writes."""

    PARAMETERS: ClassVar = {
        "check_fn": ExecutionParameter(type=str),
        "model_name": ExecutionParameter(type=str),
        "code": ExecutionParameter(type=str),
    }
    INPUTS: ClassVar = {"model": ChannelParameter(type=standard_artifacts.Model)}
    OUTPUTS: ClassVar = {"blessing": ChannelParameter(type=standard_artifacts.InfraBlessing)}


class Executor(base_executor.BaseExecutor):
    """Calls check_fn on the model to be pushed."""

    @override
    def Do(
        self,
        input_dict: payload.ArtifactsByKey,
        output_dict: payload.ArtifactsByKey,
        exec_properties: dict[str, Any],
    ) -> None:
        """Checks the model; what check_fn raises fails the step, so that it is tried again in the next run."""
        check = payload.function(exec_properties["check_fn"])
        check(path_utils.serving_model_path(payload.single(input_dict, "model").uri), exec_properties["model_name"])
        blessing = payload.single(output_dict, "blessing")
        blessing.set_int_custom_property(BLESSED_PROPERTY, 1)
        folder = Path(blessing.uri)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / BLESSED_FILE).touch()
        payload.describe(blessing, "loads and answers")


class InfraCheck(base_component.BaseComponent):
    """Proves that a server can load the model and that it answers.

    Args:
      model: channel of Model.
      check_fn: dotted path of the function that checks.
      model_name: the model's name on the server.
      code: fingerprint of the code.
    """

    SPEC_CLASS = InfraCheckSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, *, model: BaseChannel, check_fn: str, model_name: str, code: str) -> None:
        super().__init__(
            InfraCheckSpec(
                check_fn=check_fn,
                model_name=model_name,
                code=code,
                model=model,
                blessing=Channel(type=standard_artifacts.InfraBlessing),
            )
        )
