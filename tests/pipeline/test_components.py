"""Artifact types, the payload of components, and the components that describe and validate examples."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import tensorflow_data_validation as tfdv
from executors import artifact, execute
from tensorflow_data_validation.statistics import stats_impl, stats_options
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2
from tfx.types import standard_artifacts
from tfx.utils import import_utils
from tiny_shop import shop_config

import pipeline
from pipeline import artifacts, schema
from pipeline.components import payload, schema_gen
from pipeline.components.example_validator import AnomalyError, describe_anomalies
from pipeline.components.example_validator import Executor as ValidatorExecutor
from pipeline.config import Config


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return shop_config(tmp_path)


# --- artifact types and payload -------------------------------------------------------------------


@pytest.mark.parametrize("kind", [artifacts.Tables, artifacts.Cases])
def test_kubeflow_can_import_an_artifact_type_by_its_name(kind: type[Any]) -> None:
    assert import_utils.import_class_by_path(kind.TYPE_NAME) is kind


def test_the_package_has_no_other_late_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Table'"):
        _ = pipeline.Table


def test_scratch_moves_what_was_written_and_forgets_an_interrupted_attempt(tmp_path: Path) -> None:
    target = tmp_path / "1"
    (target / "half").mkdir(parents=True)
    with payload.scratch(target) as work:
        (work / "whole").write_text("x")
        assert [path.name for path in target.iterdir()] == [work.name]
    assert [path.name for path in target.iterdir()] == ["whole"]


def test_scratch_moves_nothing_after_an_error(tmp_path: Path) -> None:
    def fail() -> None:
        with payload.scratch(tmp_path / "1") as work:
            (work / "whole").write_text("x")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert not (tmp_path / "1" / "whole").exists()


def test_one_artifact_is_expected() -> None:
    with pytest.raises(ValueError, match="expected one artifact 'tables', got 0"):
        payload.single({}, "tables")


# --- schema and validator -------------------------------------------------------------------------


def test_the_event_schema_fixes_shapes_domains_and_ranges(config: Config) -> None:
    features = {feature.name: feature for feature in schema_gen.build_schema("events", config).feature}
    assert [dim.size for dim in features[schema.RAW_HISTORY_ITEM_IDS].shape.dim] == [4]
    assert [dim.size for dim in features["country"].shape.dim] == [1]
    assert list(features[schema.RAW_EVENT_TYPE].string_domain.value) == ["purchase"]
    assert "" in features[schema.RAW_HISTORY_EVENT_TYPES].string_domain.value
    assert features[schema.RAW_HISTORY_AGES_DAYS].float_domain.min == 0
    assert features[schema.RAW_TIMESTAMP].type == schema_pb2.INT
    assert all(feature.presence.min_fraction == 1 for feature in features.values())


def test_the_schema_is_written_for_both_tables(config: Config, tmp_path: Path) -> None:
    for table, count in (("events", 11), ("items", 6)):
        outputs = {"schema": artifact(standard_artifacts.Schema, tmp_path / table)}
        execute(schema_gen.Executor, {}, outputs, tmp_path, table=table, config=config.model_dump_json(), code="")
        read = tfdv.load_schema_text(str(tmp_path / table / schema_gen.SCHEMA_FILE))
        assert len(read.feature) == count


def _validate(config: Config, tmp_path: Path, prices: list[float]) -> None:
    """Runs the validator on items with these prices, through TFDV's own statistics."""
    columns = {name: [["x"]] * len(prices) for name in (schema.RAW_ITEM_ID, *schema.RAW_ITEM_TEXTS)}
    columns[schema.RAW_PRICE] = [[price] for price in prices]
    built = schema_gen.build_schema("items", config)
    statistics = _statistics(columns)
    (tmp_path / "schema").mkdir()
    tfdv.write_schema_text(built, str(tmp_path / "schema" / "schema.pbtxt"))
    split = tmp_path / "statistics" / "Split-train"
    split.mkdir(parents=True)
    (split / "FeatureStats.pb").write_bytes(statistics.SerializeToString())
    inputs = {
        "statistics": artifact(standard_artifacts.ExampleStatistics, tmp_path / "statistics"),
        "schema": artifact(standard_artifacts.Schema, tmp_path / "schema"),
    }
    inputs["statistics"][0].split_names = '["train"]'
    outputs = {"anomalies": artifact(standard_artifacts.ExampleAnomalies, tmp_path / "anomalies")}
    execute(ValidatorExecutor, inputs, outputs, tmp_path, exclude_splits="[]")


def _statistics(columns: dict[str, list[Any]]) -> statistics_pb2.DatasetFeatureStatisticsList:
    kinds = {schema.RAW_PRICE: pa.large_list(pa.float32())}
    arrays = [pa.array(values, kinds.get(name, pa.large_list(pa.large_binary()))) for name, values in columns.items()]
    batch = pa.RecordBatch.from_arrays(arrays, list(columns))
    return stats_impl.generate_statistics_in_memory(batch, stats_options.StatsOptions())


def test_sound_items_pass(config: Config, tmp_path: Path) -> None:
    _validate(config, tmp_path, [1.0, 2.5, 0.0])


def test_an_anomaly_stops_the_run_and_is_named(config: Config, tmp_path: Path) -> None:
    with pytest.raises(AnomalyError, match=r"break the schema:\n  price: .*-3"):
        _validate(config, tmp_path, [1.0, -3.0])


def test_every_reason_is_described() -> None:
    anomalies = anomalies_pb2.Anomalies()
    anomalies.dataset_anomaly_info.reason.add(short_description="few", description="too few examples")
    for feature in ("b", "a"):
        anomalies.anomaly_info[feature].reason.add(short_description="Column dropped", description="is gone")
    assert list(describe_anomalies(anomalies)) == [
        "all examples: too few examples",
        "a: Column dropped: is gone",
        "b: Column dropped: is gone",
    ]
