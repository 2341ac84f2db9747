"""Which steps there are, and which of them a changed setting concerns."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tfx.orchestration.pipeline import Pipeline
from tiny_shop import shop_config, write_shop

from pipeline import dag, fingerprint, tables
from pipeline.components.event_example_gen import read_windows
from pipeline.components.schema_gen import build_schema
from pipeline.config import Config, parse_config
from pipeline.examples import build_bucket

LEARNING = {"Trainer", "Evaluator"}
EVENTS = {"EventExampleGen", "EventSchemaGen", "EventTransform"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    write_shop(folder)
    return folder


def _build(config: Config) -> Pipeline:
    return dag.build(config, dag.Locations.under("/runs/tiny"))


def _with(config: Config, key: str, value: Any) -> Config:
    tree: dict[str, Any] = config.model_dump(mode="json")
    *path, last = key.split(".")
    branch = tree
    for part in path:
        branch = branch[part]
    branch[last] = value
    return parse_config(tree)


def _properties(pipeline: Pipeline) -> dict[str, str]:
    return {node.id: repr(sorted(node.exec_properties.items())) for node in pipeline.components}


def test_the_steps_in_their_order(shop: Path) -> None:
    pipeline = _build(shop_config(shop))
    assert tuple(node.id for node in pipeline.components) == dag.NODE_IDS
    assert pipeline.enable_cache


def test_a_tuner_comes_before_the_training_where_there_are_trials(shop: Path) -> None:
    config = _with(shop_config(shop), "tuner.trials", 2)
    pipeline = _build(config)
    place = dag.NODE_IDS.index("Trainer")
    names = [node.id for node in pipeline.components]
    assert names == [*dag.NODE_IDS[:place], "Tuner", *dag.NODE_IDS[place:]]
    nodes = {node.id: node for node in pipeline.components}
    channels = {name: dict(nodes[name].inputs) for name in ("Tuner", "Trainer")}
    found = channels["Trainer"].pop("hyperparameters")
    assert (found.producer_component.id, found.output_key) == ("Tuner", "best_hyperparameters")
    assert channels["Trainer"] == channels["Tuner"]
    for key, value, concerned in (
        ("tuner.dimensions", [8, 16], {"Tuner"}),
        ("training.learning_rate", 0.5, {"Tuner", *LEARNING}),
        ("features.history.used", 2, {"Tuner", *LEARNING}),
        ("serving.default_k", 5, LEARNING),
    ):
        after = _properties(_build(_with(config, key, value)))
        assert {name for name, found in _properties(pipeline).items() if found != after[name]} == concerned


def test_what_flows_into_the_training_and_the_judges(shop: Path) -> None:
    nodes = {node.id: node for node in _build(shop_config(shop)).components}

    def sources(node: str) -> dict[str, str]:
        return {
            key: f"{channel.producer_component.id}.{channel.output_key}" for key, channel in nodes[node].inputs.items()
        }

    assert sources("Trainer") == {
        "examples": "EventTransform.transformed_examples",
        "transform_graph": "EventTransform.transform_graph",
        "schema": "EventSchemaGen.schema",
        "item_examples": "ItemTransform.transformed_examples",
        "item_transform_graph": "ItemTransform.transform_graph",
        "tables": "TableGen.tables",
        "cases": "EventExampleGen.cases",
    }
    assert sources("Evaluator") == {
        "model": "Trainer.model",
        "tables": "TableGen.tables",
        "cases": "EventExampleGen.cases",
    }
    assert sources("Pusher") == {
        "model": "Trainer.model",
        "model_blessing": "Evaluator.blessing",
        "infra_blessing": "InfraCheck.blessing",
        "cases": "EventExampleGen.cases",
    }


@pytest.mark.parametrize("kind", ["Event", "Item"])
def test_nothing_is_transformed_before_it_is_validated(shop: Path, kind: str) -> None:
    nodes = {node.id: node for node in _build(shop_config(shop)).components}
    assert nodes[f"{kind}ExampleValidator"] in nodes[f"{kind}Transform"].upstream_nodes


@pytest.mark.parametrize(
    ("key", "value", "concerned"),
    [
        ("training.epochs", 3, LEARNING),
        ("seed", 8, LEARNING),
        ("model.dimension", 32, LEARNING),
        ("encoder.mode", "lora", LEARNING),
        ("features.history.encoder", "pooling", LEARNING),
        ("tuner.epochs", 3, set()),
        ("gate.tolerance", 0.5, {"Evaluator"}),
        ("gate.metric", "recall@10", LEARNING),
        ("serving.name", "other", {*LEARNING, "InfraCheck", "Pusher"}),
        ("encoder.sequence_length", 20, {*LEARNING, "EventTransform", "ItemTransform"}),
        ("features.item.brand", False, {*LEARNING, "ItemTransform"}),
        ("features.history.length", 5, {*LEARNING, *EVENTS}),
        ("features.context", ["country", "weather"], {*LEARNING, *EVENTS, "TableGen"}),
        ("training.event_weights", {"purchase": 1.0, "cart": 0.5}, {*LEARNING, "EventExampleGen", "EventSchemaGen"}),
        ("split.validation_days", 7, {*LEARNING, "EventExampleGen"}),
        ("split.test_start", "2024-03-20", {*LEARNING, "EventExampleGen", "TableGen"}),
        ("tables.items.cleaning", [{"rule": "missing", "column": "title"}], {"TableGen"}),
        ("runner.event_buckets", 4, {"TableGen"}),
        ("beam.direct", {"mode": "multi_processing", "workers": 2}, set()),
    ],
)
def test_a_setting_concerns_the_steps_that_read_it(shop: Path, key: str, value: Any, concerned: set[str]) -> None:
    config = shop_config(shop)
    before, after = _properties(_build(config)), _properties(_build(_with(config, key, value)))
    assert {name for name in before if before[name] != after[name]} == concerned


def test_beam_options_come_from_the_configuration(shop: Path) -> None:
    assert _build(shop_config(shop)).beam_pipeline_args == []
    config = _with(shop_config(shop), "beam.direct", {"mode": "multi_processing", "workers": 2})
    assert "--direct_num_workers=2" in _build(config).beam_pipeline_args


def test_narrowed_configurations_hold_all_that_the_import_reads(shop: Path, tmp_path: Path) -> None:
    config = shop_config(
        shop,
        features={"history": {"length": 3}, "context": ["country", "holiday"], "holiday_country": "GB"},
        training={"event_weights": {"cart": 0.5, "purchase": 1.0}},
        split={"test_start": "2024-03-27", "test_days": 7, "validation_days": 10, "truth_events": ["cart"]},
    )
    nodes = {node.id: node for node in _build(config).components}

    def narrowed(node: str) -> Config:
        return parse_config(json.loads(nodes[node].exec_properties["config"]))

    for name, given in {"full": config, "narrowed": narrowed("TableGen")}.items():
        tables.import_tables(given, tmp_path / name)
    for file in ("items.parquet", "report.json"):
        assert (tmp_path / "full" / file).read_bytes() == (tmp_path / "narrowed" / file).read_bytes()
    buckets = sorted((tmp_path / "full" / "events").iterdir())
    assert [path.read_bytes() for path in buckets] == [
        path.read_bytes() for path in sorted((tmp_path / "narrowed" / "events").iterdir())
    ]
    item_ids = pq.read_table(tmp_path / "full" / "items.parquet")["item_id"]
    full, few = (
        build_bucket(pq.read_table(buckets[0]), given, read_windows(given, buckets), item_ids)
        for given in (config, narrowed("EventExampleGen"))
    )
    for split in ("train", "validation"):
        assert list(full.batches(split)) == list(few.batches(split))
    assert full.validation_cases.equals(few.validation_cases)
    assert full.test_cases.equals(few.test_cases)
    assert full.histories.equals(few.histories)
    for table, node in (("events", "EventSchemaGen"), ("items", "ItemSchemaGen")):
        assert build_schema(table, config) == build_schema(table, narrowed(node))


def test_the_code_of_each_step_is_part_of_its_properties(shop: Path) -> None:
    nodes = {node.id: node for node in _build(shop_config(shop)).components}
    assert nodes["Trainer"].exec_properties["code"] == fingerprint.of_code("pipeline.components.trainer", "trainer.run")
    ours = set(dag.NODE_IDS) - {
        "EventStatisticsGen",
        "ItemStatisticsGen",
        "EventExampleValidator",
        "ItemExampleValidator",
    }
    assert {name for name, node in nodes.items() if "code" in repr(node.exec_properties)} == ours
