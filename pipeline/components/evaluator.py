"""Evaluator: asks the exported model the cases, and blesses it or not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import BaseChannel, Channel, standard_artifacts, system_executions
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import path_utils
from typing_extensions import override

from pipeline.artifacts import Cases, Tables
from pipeline.components import payload
from pipeline.pushed_models import last_blessed

# File and property names as TFX's own evaluator has them, so that TFX's pusher understands the blessing.
BLESSED_FILE = "BLESSED"
NOT_BLESSED_FILE = "NOT_BLESSED"
BLESSED_PROPERTY = "blessed"
# What a verdict was found beside, so that it is found anew when another model is the last blessed one.
MODEL_PROPERTY = "judged_model"
DESTINATION_PROPERTY = "push_destination"
LAST_BLESSED_PROPERTY = "last_blessed"


class EvaluatorSpec(ComponentSpec):
    """What Evaluator reads and writes."""

    PARAMETERS: ClassVar = {
        "evaluate_fn": ExecutionParameter(type=str),
        "config": ExecutionParameter(type=str),
        "push_destination": ExecutionParameter(type=str),
        "code": ExecutionParameter(type=str),
        **payload.RUN_PARAMETERS,
    }
    INPUTS: ClassVar = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "tables": ChannelParameter(type=Tables),
        "cases": ChannelParameter(type=Cases),
    }
    OUTPUTS: ClassVar = {
        "blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
        "evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation),
    }
    TYPE_ANNOTATION = system_executions.Evaluate


class Executor(base_executor.BaseExecutor):
    """Calls evaluate_fn on the model to be judged and writes the blessing."""

    @override
    def Do(
        self,
        input_dict: payload.ArtifactsByKey,
        output_dict: payload.ArtifactsByKey,
        exec_properties: dict[str, Any],
    ) -> None:
        """Judges the model that was trained without the judged window."""
        model = payload.folder(input_dict, "model")
        before = last_blessed(Path(exec_properties["push_destination"]), model)
        evaluate = payload.function(exec_properties["evaluate_fn"])
        with payload.scratch(payload.folder(output_dict, "evaluation")) as report:
            verdict = evaluate(
                model_dir=path_utils.eval_model_path(str(model)),
                tables_dir=payload.single(input_dict, "tables").uri,
                cases_dir=payload.single(input_dict, "cases").uri,
                config_json=payload.configuration(exec_properties).model_dump_json(),
                report_dir=str(report),
                last_blessed_dirs=[str(folder) for folder in before],
            )
        blessing = payload.single(output_dict, "blessing")
        blessing.set_int_custom_property(BLESSED_PROPERTY, int(verdict["blessed"]))
        blessing.set_string_custom_property(MODEL_PROPERTY, str(model))
        blessing.set_string_custom_property(DESTINATION_PROPERTY, exec_properties["push_destination"])
        blessing.set_string_custom_property(LAST_BLESSED_PROPERTY, str(before[0]) if before else "")
        write_blessing(Path(blessing.uri), bool(verdict["blessed"]), list(verdict["failures"]))
        payload.describe(blessing, "blessed" if verdict["blessed"] else "not blessed")


def write_blessing(folder: Path, blessed: bool, failures: list[str]) -> None:
    """Writes the marker file, which holds the failures, one a line."""
    folder.mkdir(parents=True, exist_ok=True)
    name = BLESSED_FILE if blessed else NOT_BLESSED_FILE
    (folder / name).write_text("".join(f"{line}\n" for line in failures), encoding="utf-8")


def read_blessing(folder: Path) -> tuple[bool, list[str]]:
    """Reads what `write_blessing` wrote.

    Returns:
      (blessed, failures); a folder without a marker is not blessed.
    """
    if (folder / BLESSED_FILE).exists():
        return True, []
    marker = folder / NOT_BLESSED_FILE
    return False, marker.read_text(encoding="utf-8").splitlines() if marker.exists() else []


class Evaluator(base_component.BaseComponent):
    """Judges a model by its own signatures over the whole catalogue.

    Args:
      model: channel of Model.
      tables: channel of Tables.
      cases: channel of Cases.
      evaluate_fn: dotted path of the function that measures.
      config: configuration as JSON.
      push_destination: the folder that holds a folder for each version of the model, the last blessed one among them.
      code: fingerprint of the code.
      parameters: what a run on a cluster says for itself, by name.
    """

    SPEC_CLASS = EvaluatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        model: BaseChannel,
        tables: BaseChannel,
        cases: BaseChannel,
        evaluate_fn: str,
        config: str,
        push_destination: str,
        code: str,
        parameters: Mapping[str, Any] = payload.NO_PARAMETERS,
    ) -> None:
        super().__init__(
            EvaluatorSpec(
                evaluate_fn=evaluate_fn,
                config=config,
                push_destination=push_destination,
                code=code,
                model=model,
                tables=tables,
                cases=cases,
                blessing=Channel(type=standard_artifacts.ModelBlessing),
                evaluation=Channel(type=standard_artifacts.ModelEvaluation),
                **parameters,
            )
        )
