"""The pipeline: which steps there are, what flows between them, and what each one's result depends on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import tensorflow_data_validation as tfdv
from tfx.components.statistics_gen.component import StatisticsGen
from tfx.components.transform.component import Transform
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.components.common.importer import Importer
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import transform_pb2
from tfx.types import BaseChannel

from pipeline import fingerprint, run_parameters, step_keys
from pipeline.artifacts import Files
from pipeline.beam_arguments import beam_arguments
from pipeline.components.evaluator import Evaluator
from pipeline.components.event_example_gen import EventExampleGen
from pipeline.components.example_validator import ExampleValidator
from pipeline.components.infra_check import InfraCheck
from pipeline.components.item_example_gen import SPLIT as ITEM_SPLIT
from pipeline.components.item_example_gen import ItemExampleGen
from pipeline.components.pusher import Pusher
from pipeline.components.schema_gen import SchemaGen, Table
from pipeline.components.table_gen import TableGen
from pipeline.components.trainer import Trainer
from pipeline.components.tuner import Tuner
from pipeline.config import Config
from pipeline.examples import SPLITS

TUNER_FN = "trainer.tuning.search.tuner_fn"
RUN_FN = "trainer.run.run_fn"
EVALUATE_FN = "trainer.evaluation.evaluate"
CHECK_FN = "serving.check.check_model"

IMPORTER_ID = "TableFiles"  # only where a cluster brings the tables from an object store

NODE_IDS = (
    "TableGen",
    "EventExampleGen",
    "ItemExampleGen",
    "EventSchemaGen",
    "ItemSchemaGen",
    "EventStatisticsGen",
    "ItemStatisticsGen",
    "EventExampleValidator",
    "ItemExampleValidator",
    "EventTransform",
    "ItemTransform",
    "Trainer",
    "Evaluator",
    "InfraCheck",
    "Pusher",
)


@dataclass(frozen=True)
class Locations:
    """Where a pipeline keeps what outlives a run.

    Args:
      root: the steps' artifacts.
      serving: a folder for each model name, in it one for each version.
      histories: the file of the users' histories.
      checkpoints: the training's checkpoints.
      cache: the encoder's vectors, by content.
    """

    root: str
    serving: str
    histories: str
    checkpoints: str
    cache: str

    @classmethod
    def under(cls, directory: str | PurePath) -> Locations:
        """Places everything in one run folder."""
        base = str(directory).rstrip("/")
        return cls(
            root=f"{base}/pipeline",
            serving=f"{base}/serving",
            histories=f"{base}/histories.parquet",
            checkpoints=f"{base}/checkpoints",
            cache=f"{base}/cache",
        )


@dataclass(frozen=True)
class _Features:
    """The steps from tables to features of one of the two tables."""

    schema_gen: BaseComponent
    statistics: BaseComponent
    validator: BaseComponent
    transform: BaseComponent


def build(
    config: Config, locations: Locations, metadata: Any = None, parameters: Mapping[str, Any] | None = None
) -> Pipeline:
    """Builds the pipeline of a shop.

    Args:
      config: the shop's configuration.
      locations: where things go.
      metadata: ML Metadata's connection; None where the orchestrator brings its own.
      parameters: TFX's RuntimeParameters by name (`pipeline.run_parameters`), where each run of a compiled pipeline
        says them anew; None where the configuration says everything.

    Returns:
      The pipeline, its steps in the order of `NODE_IDS`; with `tuner.trials`, a Tuner comes before the Trainer.
    """
    (*files, table_gen), given = _tables(config, parameters), parameters or {}
    event_examples = EventExampleGen(
        tables=table_gen.outputs["tables"],
        config=fingerprint.narrowed(config, step_keys.EXAMPLES),
        code=fingerprint.of_code("pipeline.components.event_example_gen"),
        parameters=run_parameters.read_by(given, step_keys.EXAMPLES),
    )
    item_examples = ItemExampleGen(
        tables=table_gen.outputs["tables"], code=fingerprint.of_code("pipeline.components.item_example_gen")
    )
    events, items = _features(config, "events", event_examples), _features(config, "items", item_examples)
    inputs = _training_inputs(table_gen, event_examples, events=events, items=items)
    tuner = _tuner(config, locations, inputs, given) if config.tuner.trials else None
    trainer = _trainer(config, locations, inputs, given, tuner)
    judges = _judges(config, locations, table_gen, event_examples, trainer=trainer, parameters=given)
    paired = [step for pair in zip(_steps(events), _steps(items), strict=True) for step in pair]
    learning = [trainer] if tuner is None else [tuner, trainer]
    return Pipeline(
        pipeline_name=config.name,
        pipeline_root=locations.root,
        components=[*files, table_gen, event_examples, item_examples, *paired, *learning, *judges],
        enable_cache=True,
        metadata_connection_config=metadata,
        beam_pipeline_args=beam_arguments(config.beam),
    )


def _tables(config: Config, parameters: Mapping[str, Any] | None) -> list[BaseNode]:
    """TableGen; before it the node that brings the tables from an object store, where a cluster does that."""
    given, before = parameters or {}, list[BaseNode]()
    if run_parameters.DATA in given:
        # What was imported before is taken again only where a run says which state of the tables it means.
        reimport = not config.kubeflow.cache
        importer = Importer(source_uri=given[run_parameters.DATA], artifact_type=Files, reimport=reimport)
        before.append(importer.with_id(IMPORTER_ID))
    table_gen = TableGen(
        config=fingerprint.narrowed(config, step_keys.TABLES),
        sources=fingerprint.of_sources(config) if parameters is None else given.get(run_parameters.DATA_VERSION, ""),
        code=fingerprint.of_code("pipeline.components.table_gen"),
        parameters=run_parameters.read_by(given, step_keys.TABLES),
        files=before[0].outputs["result"] if before else None,
    )
    return [*before, table_gen]


def _steps(features: _Features) -> tuple[BaseComponent, ...]:
    return features.schema_gen, features.statistics, features.validator, features.transform


def _features(config: Config, table: Table, examples: BaseComponent) -> _Features:
    """Schema, statistics, validation and Transform of one table's examples."""
    kind = "Event" if table == "events" else "Item"
    schema_gen = SchemaGen(
        table=table,
        config=fingerprint.narrowed(config, step_keys.SCHEMAS[table]),
        code=fingerprint.of_code("pipeline.components.schema_gen"),
    ).with_id(f"{kind}SchemaGen")
    # The schema needs no data; that it comes after them only gives people the steps in the order they expect.
    schema_gen.add_upstream_node(examples)
    statistics = StatisticsGen(
        examples=examples.outputs["examples"],
        schema=schema_gen.outputs["schema"],
        # Sketches instead of exact counts of distinct values: memory does not grow with users and queries.
        stats_options=tfdv.StatsOptions(use_sketch_based_topk_uniques=True, infer_type_from_schema=True),
    ).with_id(f"{kind}StatisticsGen")
    validator = ExampleValidator(
        statistics=statistics.outputs["statistics"], schema=schema_gen.outputs["schema"]
    ).with_id(f"{kind}ExampleValidator")
    splits = SPLITS if table == "events" else (ITEM_SPLIT,)
    transform = Transform(
        examples=examples.outputs["examples"],
        schema=schema_gen.outputs["schema"],
        preprocessing_fn=f"pipeline.preprocessing.preprocess_{table}",
        splits_config=transform_pb2.SplitsConfig(analyze=[splits[0]], transform=list(splits)),
        disable_statistics=True,
        disable_analyzer_cache=True,
        custom_config={
            "config": fingerprint.narrowed(config, step_keys.FEATURES[table]),
            "code": fingerprint.of_code("pipeline.preprocessing"),
        },
    ).with_id(f"{kind}Transform")
    # No data flows from the validator, but nothing is to be learnt from examples that break the schema.
    transform.add_upstream_node(validator)
    return _Features(schema_gen, statistics, validator, transform)


def _training_inputs(
    table_gen: BaseComponent, event_examples: BaseComponent, *, events: _Features, items: _Features
) -> dict[str, BaseChannel]:
    return {
        "examples": events.transform.outputs["transformed_examples"],
        "transform_graph": events.transform.outputs["transform_graph"],
        "schema": events.schema_gen.outputs["schema"],
        "item_examples": items.transform.outputs["transformed_examples"],
        "item_transform_graph": items.transform.outputs["transform_graph"],
        "tables": table_gen.outputs["tables"],
        "cases": event_examples.outputs["cases"],
    }


def _tuner(
    config: Config, locations: Locations, inputs: dict[str, BaseChannel], parameters: Mapping[str, Any]
) -> BaseComponent:
    return Tuner(
        inputs=inputs,
        tuner_fn=TUNER_FN,
        settings=_training_settings(config, locations, step_keys.TUNING),
        code=fingerprint.of_code("pipeline.components.tuner", TUNER_FN.rpartition(".")[0]),
        parameters=run_parameters.read_by(parameters, step_keys.TUNING),
    )


def _trainer(
    config: Config,
    locations: Locations,
    inputs: dict[str, BaseChannel],
    parameters: Mapping[str, Any],
    tuner: BaseComponent | None,
) -> BaseComponent:
    return Trainer(
        inputs=inputs,
        hyperparameters=None if tuner is None else tuner.outputs["best_hyperparameters"],
        run_fn=RUN_FN,
        settings=_training_settings(config, locations, step_keys.TRAINING),
        code=fingerprint.of_code("pipeline.components.trainer", RUN_FN.rpartition(".")[0]),
        parameters=run_parameters.read_by(parameters, step_keys.TRAINING),
    )


def _training_settings(config: Config, locations: Locations, keys: Sequence[str]) -> dict[str, str]:
    return {
        "config": fingerprint.narrowed(config, keys),
        "checkpoints": locations.checkpoints,
        "cache": locations.cache,
    }


def _judges(
    config: Config,
    locations: Locations,
    table_gen: BaseComponent,
    event_examples: BaseComponent,
    *,
    trainer: BaseComponent,
    parameters: Mapping[str, Any],
) -> tuple[BaseComponent, ...]:
    """The steps that decide about the model: Evaluator, InfraCheck and Pusher."""
    evaluator = Evaluator(
        model=trainer.outputs["model"],
        tables=table_gen.outputs["tables"],
        cases=event_examples.outputs["cases"],
        evaluate_fn=EVALUATE_FN,
        config=fingerprint.narrowed(config, step_keys.EVALUATION),
        push_destination=f"{locations.serving}/{config.serving.name}",
        code=fingerprint.of_code("pipeline.components.evaluator", EVALUATE_FN.rpartition(".")[0]),
        parameters=run_parameters.read_by(parameters, step_keys.EVALUATION),
    )
    infra_check = InfraCheck(
        model=trainer.outputs["model"],
        check_fn=CHECK_FN,
        model_name=config.serving.name,
        code=fingerprint.of_code("pipeline.components.infra_check", CHECK_FN.rpartition(".")[0]),
    )
    # The evaluator's word comes first, so that a run says why a model is not good before it says that it loads.
    infra_check.add_upstream_node(evaluator)
    pusher = Pusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        infra_blessing=infra_check.outputs["blessing"],
        cases=event_examples.outputs["cases"],
        push_destination=f"{locations.serving}/{config.serving.name}",
        histories_destination=locations.histories,
        code=fingerprint.of_code("pipeline.components.pusher"),
    )
    return evaluator, infra_check, pusher
