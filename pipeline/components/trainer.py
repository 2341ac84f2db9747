"""Trainer: TFX's generic executor, which besides hands over the items, the tables and the cases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from tfx.components.trainer import executor as stock
from tfx.components.trainer import fn_args_utils
from tfx.dsl.components.base import base_component, executor_spec
from tfx.proto import trainer_pb2
from tfx.types import BaseChannel, Channel, standard_artifacts, system_executions
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import json_utils
from typing_extensions import override

from pipeline.artifacts import Cases, Tables
from pipeline.components import payload
from pipeline.examples import SPLITS

# Inputs beside TFX's own: run_fn finds their URIs in fn_args.custom_config, under these names.
MORE_INPUTS = ("item_examples", "item_transform_graph", "tables", "cases")


class TrainerSpec(ComponentSpec):
    """What Trainer reads and writes; the names that TFX's executor knows are TFX's."""

    PARAMETERS: ClassVar = {
        "train_args": ExecutionParameter(type=trainer_pb2.TrainArgs),
        "eval_args": ExecutionParameter(type=trainer_pb2.EvalArgs),
        "run_fn": ExecutionParameter(type=str),
        "custom_config": ExecutionParameter(type=str),
        "code": ExecutionParameter(type=str),
        **payload.RUN_PARAMETERS,
    }
    INPUTS: ClassVar = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "transform_graph": ChannelParameter(type=standard_artifacts.TransformGraph),
        "schema": ChannelParameter(type=standard_artifacts.Schema),
        "item_examples": ChannelParameter(type=standard_artifacts.Examples),
        "item_transform_graph": ChannelParameter(type=standard_artifacts.TransformGraph),
        "tables": ChannelParameter(type=Tables),
        "cases": ChannelParameter(type=Cases),
        "hyperparameters": ChannelParameter(type=standard_artifacts.HyperParameters, optional=True),
    }
    OUTPUTS: ClassVar = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "model_run": ChannelParameter(type=standard_artifacts.ModelRun),
    }
    TYPE_ANNOTATION = system_executions.Train


class Executor(stock.GenericExecutor):
    """Calls run_fn with the URIs of all inputs."""

    @override
    def _GetFnArgs(
        self,
        input_dict: payload.ArtifactsByKey,
        output_dict: payload.ArtifactsByKey,
        exec_properties: dict[str, Any],
    ) -> fn_args_utils.FnArgs:
        arguments = super()._GetFnArgs(input_dict, output_dict, exec_properties)
        more = {name: payload.single(input_dict, name).uri for name in MORE_INPUTS}
        settings = arguments.custom_config or {}
        config = payload.configuration({**exec_properties, **settings})
        arguments.custom_config = {**settings, **more, "config": config.model_dump_json()}
        return arguments


class Trainer(base_component.BaseComponent):
    """Trains the towers.

    Args:
      inputs: by name the channels of transformed event examples (splits "train" and "validation"), the events'
        TransformGraph, their raw Schema, transformed item examples (split "train"), the items' TransformGraph, Tables
        and Cases.
      hyperparameters: channel of the tuner's best HyperParameters; None where nothing is tuned.
      run_fn: dotted path of the function that trains.
      settings: what run_fn finds in fn_args.custom_config beside the URIs: the configuration as JSON
        under "config", and the folders "checkpoints" and "cache".
      code: fingerprint of the code.
      parameters: what a run on a cluster says for itself, by name.
    """

    SPEC_CLASS = TrainerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        inputs: dict[str, BaseChannel],
        hyperparameters: BaseChannel | None,
        run_fn: str,
        settings: dict[str, str],
        code: str,
        parameters: Mapping[str, Any] = payload.NO_PARAMETERS,
    ) -> None:
        super().__init__(
            TrainerSpec(
                train_args=trainer_pb2.TrainArgs(splits=[SPLITS[0]]),
                eval_args=trainer_pb2.EvalArgs(splits=[SPLITS[1]]),
                run_fn=run_fn,
                custom_config=json_utils.dumps(settings),
                code=code,
                hyperparameters=hyperparameters,
                model=Channel(type=standard_artifacts.Model),
                model_run=Channel(type=standard_artifacts.ModelRun),
                **inputs,
                **parameters,
            )
        )
