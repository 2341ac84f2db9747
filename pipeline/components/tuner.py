"""Tuner: TFX's executor for KerasTuner, which besides hands over what the training reads, and tells what was best."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from tfx.components.tuner import executor as stock
from tfx.dsl.components.base import base_component, executor_spec
from tfx.proto import trainer_pb2
from tfx.types import BaseChannel, Channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import json_utils
from typing_extensions import override

from pipeline.components import payload
from pipeline.components.trainer import MORE_INPUTS, TrainerSpec
from pipeline.examples import SPLITS

BOARD = "board"  # in the folder of results: the trials, for TensorBoard
REPORT = "report.json"  # beside it: every trial, and which is the best
_TRIALS = "tuner_results.json"  # as TFX's executor calls it


class TunerSpec(ComponentSpec):
    """What Tuner reads and writes; the names that TFX's executor knows are TFX's."""

    PARAMETERS: ClassVar = {
        "train_args": ExecutionParameter(type=trainer_pb2.TrainArgs),
        "eval_args": ExecutionParameter(type=trainer_pb2.EvalArgs),
        "tuner_fn": ExecutionParameter(type=str),
        "custom_config": ExecutionParameter(type=str),
        "code": ExecutionParameter(type=str),
        **payload.RUN_PARAMETERS,
    }
    INPUTS: ClassVar = {name: kind for name, kind in TrainerSpec.INPUTS.items() if name != "hyperparameters"}
    OUTPUTS: ClassVar = {
        "best_hyperparameters": ChannelParameter(type=standard_artifacts.HyperParameters),
        "tuner_results": ChannelParameter(type=standard_artifacts.TunerResults),
    }


class Executor(stock.Executor):
    """Calls tuner_fn with the URIs of all inputs, searches, and writes the report."""

    @override
    def Do(
        self,
        input_dict: payload.ArtifactsByKey,
        output_dict: payload.ArtifactsByKey,
        exec_properties: dict[str, Any],
    ) -> None:
        """Searches by TFX's executor."""
        results = payload.folder(output_dict, "tuner_results")
        given = json_utils.loads(exec_properties["custom_config"])
        more = {name: payload.single(input_dict, name).uri for name in MORE_INPUTS}
        config = payload.configuration({**exec_properties, **given})
        told = json_utils.dumps({**given, **more, "config": config.model_dump_json(), "board": str(results / BOARD)})
        super().Do(input_dict, output_dict, {**exec_properties, "custom_config": told})
        metric = config.gate.metric
        report = report_of(json.loads((results / _TRIALS).read_text(encoding="utf-8")), metric)
        (results / REPORT).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        gained = f"{metric} {report['score']:.3f}, {report['default_score']:.3f} without tuning"
        payload.describe(
            payload.single(output_dict, "best_hyperparameters"), f"{len(report['trials'])} trials, {gained}"
        )


def report_of(trials: list[dict[str, Any]], metric: str) -> dict[str, Any]:
    """Says what the trials have shown.

    Args:
      trials: as TFX writes them, best first: `trial_id`, `score`, and the values by dotted key.
      metric: what the score is.

    Returns:
      `metric`, `chosen` (values by key), `score` (of the chosen), `default_score` (of the configuration as it is, the
      first trial) and `trials` in the order in which they ran.
    """
    best, *_ = trials
    ran = sorted(trials, key=lambda trial: str(trial["trial_id"]))
    return {
        "metric": metric,
        "chosen": {key: value for key, value in best.items() if key not in {"trial_id", "score"}},
        "score": best["score"],
        "default_score": ran[0]["score"],
        "trials": ran,
    }


class Tuner(base_component.BaseComponent):
    """Looks for better settings before the training.

    Args:
      inputs: the channels that Trainer reads, by name.
      tuner_fn: dotted path of the function that makes the KerasTuner.
      settings: what tuner_fn finds in fn_args.custom_config beside the URIs: the configuration as JSON
        under "config", and the folders "checkpoints" and "cache".
      code: fingerprint of the code.
      parameters: what a run on a cluster says for itself, by name.
    """

    SPEC_CLASS = TunerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        inputs: dict[str, BaseChannel],
        tuner_fn: str,
        settings: dict[str, str],
        code: str,
        parameters: Mapping[str, Any] = payload.NO_PARAMETERS,
    ) -> None:
        super().__init__(
            TunerSpec(
                train_args=trainer_pb2.TrainArgs(splits=[SPLITS[0]]),
                eval_args=trainer_pb2.EvalArgs(splits=[SPLITS[1]]),
                tuner_fn=tuner_fn,
                custom_config=json_utils.dumps(settings),
                code=code,
                best_hyperparameters=Channel(type=standard_artifacts.HyperParameters),
                tuner_results=Channel(type=standard_artifacts.TunerResults),
                **inputs,
                **parameters,
            )
        )
