"""Transform: each feature against an oracle, and the saved graph against what Transform itself wrote."""

import datetime
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import event_tables as tables
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder
from tfx_bsl.tfxio import tf_example_record

from pipeline import preprocessing, schema
from pipeline.components.schema_gen import build_schema
from pipeline.config import Config
from pipeline.examples import build_bucket, item_batches
from pipeline.raw_features import event_features, item_features

# Ops that the stock server's TF Text lacks, or that call Python.
BANNED_OPS = {"RoundRobinTrim", "RoundRobinGenerateMasks", "Utf8Binarize", "PyFunc", "PyFuncStateless", "EagerPyFunc"}
LABELS = (schema.RAW_ITEM_ID, schema.RAW_EVENT_TYPE, schema.RAW_VALUE, schema.RAW_WEIGHT)


@dataclass(frozen=True)
class Transformed:
    """Raw rows, what Transform made of them, and the folder with the graph."""

    folder: Path
    raw: dict[str, tf.Tensor]
    features: dict[str, np.ndarray]

    @property
    def output(self) -> tft.TFTransformOutput:
        return tft.TFTransformOutput(str(self.folder))


def transform(
    examples: list[bytes], raw_schema: schema_pb2.Schema, function: Callable[..., Any], config: Config, folder: Path
) -> Transformed:
    """Runs Transform on Beam's direct runner, as the TFX component does."""
    records = tf_example_record.TFExampleBeamRecord("inmem", telemetry_descriptors=["test"], schema=raw_schema)
    with beam.Pipeline() as flow, tft_beam.Context(temp_dir=str(folder / "scratch")):
        raw = flow | beam.Create(examples, reshuffle=False) | records.BeamSource()
        settings = {"config": config.model_dump_json()}
        (rows, _), graph = (raw, records.TensorAdapterConfig()) | tft_beam.AnalyzeAndTransformDataset(
            lambda inputs: function(inputs, settings), output_record_batches=True
        )
        _ = graph | tft_beam.WriteTransformFn(str(folder))
        _ = dataset_metadata.DatasetMetadata(raw_schema) | tft_beam.WriteMetadata(
            str(folder / tft.TFTransformOutput.RAW_METADATA_DIR), flow
        )
        _ = (
            rows
            | beam.FlatMap(lambda batch: RecordBatchToExamplesEncoder().encode(batch[0]))
            | beam.io.WriteToTFRecord(str(folder / "rows"), shard_name_template="")
        )
    written = list(tf.data.TFRecordDataset(str(folder / "rows")).as_numpy_iterator())
    spec = schema_utils.schema_as_feature_spec(raw_schema).feature_spec
    features = tf.io.parse_example(written, tft.TFTransformOutput(str(folder)).transformed_feature_spec())
    return Transformed(
        folder, tf.io.parse_example(examples, spec), {name: value.numpy() for name, value in features.items()}
    )


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Transformed:
    rows, config = tables.random_events(3), tables.make_config()
    built = build_bucket(
        tables.events_table(rows), config, tables.make_windows(config, rows), tables.ITEM_IDS, tables.USERS
    )
    examples = [one for batch in built.batches("train") for one in RecordBatchToExamplesEncoder().encode(batch)]
    folder = tmp_path_factory.mktemp("events")
    return transform(examples, build_schema("events", config), preprocessing.preprocess_events, config, folder)


ITEMS = 60
PRICES = [0.0 if number % 6 == 0 else 1.5 * number for number in range(ITEMS)]
CATEGORIES = ["" if number % 7 == 0 else f"top {number % 2} > leaf {number % 5}" for number in range(ITEMS)]
TITLES = [f"Café Crème  mug {number} 日本 😀 (2-pack)" for number in range(ITEMS)]


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> Transformed:
    config = tables.make_config()
    table = pa.table(
        {
            "item_id": [f"i{number}" for number in range(ITEMS)],
            "title": TITLES,
            "description": ["long text"] * ITEMS,
            "brand": [""] * ITEMS,
            "category": CATEGORIES,
            "price": pa.array(PRICES, pa.float32()),
        }
    )
    examples = [one for batch in item_batches(table) for one in RecordBatchToExamplesEncoder().encode(batch)]
    folder = tmp_path_factory.mktemp("items")
    return transform(examples, build_schema("items", config), preprocessing.preprocess_items, config, folder)


def apply(graph: Transformed, raw: dict[str, tf.Tensor]) -> dict[str, np.ndarray]:
    """Applies the saved graph as the served model does, in a function of any batch size."""
    layer = graph.output.transform_features_layer()
    signature = {name: tf.TensorSpec([None, *value.shape[1:]], value.dtype) for name, value in raw.items()}
    function = tf.function(layer, input_signature=[signature])
    return {name: value.numpy() for name, value in function(raw).items()}


def assert_identical(got: dict[str, np.ndarray], want: dict[str, np.ndarray]) -> None:
    assert got.keys() == want.keys()
    for name, value in want.items():
        assert got[name].dtype == value.dtype, name
        assert got[name].tobytes() == value.tobytes() if value.dtype != object else (got[name] == value).all(), name


@pytest.mark.parametrize("table", ["events", "items"])
def test_the_saved_graph_gives_what_transform_wrote(table: str, request: pytest.FixtureRequest) -> None:
    made: Transformed = request.getfixturevalue(table)
    assert len(made.features["item_id"]) >= 60
    assert_identical(apply(made, made.raw), made.features)
    untraced = tf.function(made.output.transform_raw_features)(made.raw)
    assert_identical({name: value.numpy() for name, value in untraced.items()}, made.features)


@pytest.mark.parametrize("table", ["events", "items"])
def test_a_feature_does_not_depend_on_the_batch_it_is_in(table: str, request: pytest.FixtureRequest) -> None:
    made: Transformed = request.getfixturevalue(table)
    layer = made.output.transform_features_layer()
    function = tf.function(layer, reduce_retracing=True)
    for size in (1, 7):
        parts = [
            function({name: value[start : start + size] for name, value in made.raw.items()})
            for start in range(0, 50, size)
        ]
        joined = {name: np.concatenate([part[name] for part in parts])[:50] for name in made.features}
        assert_identical(joined, {name: value[:50] for name, value in made.features.items()})


def test_a_request_without_labels_gets_the_same_features(events: Transformed) -> None:
    request = {name: value for name, value in events.raw.items() if name not in LABELS}
    assert_identical(
        apply(events, request), {name: value for name, value in events.features.items() if name not in LABELS}
    )


def test_event_features_equal_their_oracles(events: Transformed) -> None:
    raw, got = {name: value.numpy() for name, value in events.raw.items()}, events.features
    for row in range(len(raw["timestamp"])):
        moment = datetime.datetime.fromtimestamp(int(raw["timestamp"][row, 0]), datetime.UTC)
        clock = (got["hour"][row, 0], got["weekday"][row, 0], got["month"][row, 0])
        assert clock == (moment.hour, moment.weekday(), moment.month - 1)
        types = [name.decode() for name in raw["history_event_types"][row]]
        assert got["history_types"][row].tolist() == [
            schema.EVENT_TYPES.index(name) + 1 if name else 0 for name in types
        ]
        pads = raw["history_item_ids"][row] == b""
        assert got["history_ages"][row].tolist() == [
            0 if pad else expected_age(age) for pad, age in zip(pads, raw["history_ages_days"][row], strict=True)
        ]
    anonymous = raw["user_id"] == b""
    assert anonymous.any()
    assert (got["user_bucket"][anonymous] == 0).all()
    assert got["user_bucket"][~anonymous].min() >= 1
    assert got["user_bucket"].max() <= 50
    assert len(np.unique(got["user_bucket"])) > 15
    assert (got["weight"] == raw["weight"]).all()
    assert (got["query"] == raw["query"]).all()


def expected_age(days: float) -> int:
    return 1 + min(schema.AGE_BUCKETS - 2, math.floor(3 * math.log1p(float(days) * 24) + 1e-9))


@pytest.mark.parametrize("column", ["country", "holiday", "weather", "place"])
def test_context_is_numbered_by_frequency_and_zero_is_missing(events: Transformed, column: str) -> None:
    feature = schema.FEATURE_CONTEXT_PREFIX + column
    values, numbers = events.raw[column].numpy().ravel(), events.features[feature].ravel()
    names, counts = np.unique(values[values != b""], return_counts=True)
    assert (numbers[values == b""] == 0).all()
    assert {(int(numbers[values == name][0])) for name in names} == set(range(1, len(names) + 1))
    for name, count in zip(names, counts, strict=True):
        (number,) = np.unique(numbers[values == name])
        assert all(count >= counts[names == other] for other in names if number < numbers[values == other][0])
    unknown = {**events.raw, column: tf.fill(events.raw[column].shape, "never seen")}
    assert not apply(events, unknown)[feature].any()


def test_item_features_equal_their_oracles(items: Transformed) -> None:
    got = items.features
    prices = np.array(PRICES)
    known = prices > 0
    logs = np.log1p(prices[known])
    np.testing.assert_allclose(got["price_scaled"].ravel()[known], (logs - logs.mean()) / logs.std(), atol=1e-5)
    assert not got["price_scaled"].ravel()[~known].any()
    assert not got["price_bucket"].ravel()[~known].any()
    buckets, counts = np.unique(got["price_bucket"].ravel()[known], return_counts=True)
    assert buckets.tolist() == list(range(1, 11))
    assert abs(counts - known.sum() / 10).max() <= 1
    assert not got["brand_index"].any()
    category, top = got["category_index"].ravel(), got["category_top_index"].ravel()
    missing = np.array([name == "" for name in CATEGORIES])
    assert not category[missing].any()
    assert not top[missing].any()
    assert len(np.unique(category[~missing])) == len(set(CATEGORIES)) - 1
    assert set(top[~missing]) == {1, 2}
    assert got["text"][1, 0].decode() == "Café Crème mug 1 日本 😀 (2-pack) top 1 leaf 1"
    assert got["title"][1, 0].decode() == TITLES[1]


def test_vocabularies_have_their_names(events: Transformed, items: Transformed) -> None:
    for column in ("country", "holiday", "weather", "place"):
        assert events.output.vocabulary_size_by_name(f"context_{column}") >= 1
    assert items.output.vocabulary_size_by_name(schema.VOCABULARY_CATEGORY) == len(set(CATEGORIES)) - 1
    assert items.output.vocabulary_size_by_name(schema.VOCABULARY_CATEGORY_TOP) == 2
    assert items.output.vocabulary_size_by_name(schema.VOCABULARY_BRAND) >= 1


@pytest.mark.parametrize("table", ["events", "items"])
def test_the_graph_has_no_op_that_the_stock_server_lacks(table: str, request: pytest.FixtureRequest) -> None:
    made: Transformed = request.getfixturevalue(table)
    saved = SavedModel.FromString((made.folder / "transform_fn" / "saved_model.pb").read_bytes())
    ops = set(graph_ops(saved.meta_graphs[0].graph_def))
    assert not {op for op in ops if op.removeprefix("TFText>") in BANNED_OPS}
    assert "TFText>FastWordpieceTokenizeWithOffsets" in {op if ">" in op else f"TFText>{op}" for op in ops}


def graph_ops(graph: tf.compat.v1.GraphDef) -> Iterator[str]:
    yield from (node.op for node in graph.node)
    for function in graph.library.function:
        yield from (node.op for node in function.node_def)


def test_the_clock_equals_datetime_over_five_centuries() -> None:
    random = np.random.default_rng(0)
    years = [datetime.datetime(year, 1, 1, tzinfo=datetime.UTC).timestamp() for year in (1800, 2300)]
    turns = [
        int(datetime.datetime(year, month, 1, tzinfo=datetime.UTC).timestamp()) + offset
        for year in (1900, 1968, 1970, 2000, 2023, 2024, 2100)
        for month in range(1, 13)
        for offset in (-1, 0)
    ]
    seconds = [*turns, *random.integers(int(years[0]), int(years[1]), 20_000).tolist()]
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    moments = [epoch + datetime.timedelta(seconds=second) for second in seconds]
    hour, weekday, month = preprocessing.clock(tf.constant(seconds, tf.int64))
    assert hour.numpy().tolist() == [moment.hour for moment in moments]
    assert weekday.numpy().tolist() == [moment.weekday() for moment in moments]
    assert month.numpy().tolist() == [moment.month - 1 for moment in moments]


def test_ages_fill_all_buckets_in_order() -> None:
    days = np.concatenate([[0.0, 1e9], np.geomspace(1e-3, 5_000, 2_000)]).astype(np.float32)
    pads = np.zeros(len(days), bool)
    got = preprocessing.age_buckets(tf.constant(days), tf.constant(pads)).numpy()
    assert got.tolist() == [expected_age(day) for day in days]
    assert set(got) == set(range(1, schema.AGE_BUCKETS))
    assert not preprocessing.age_buckets(tf.constant(days), tf.constant(~pads)).numpy().any()


def test_event_types_are_numbered_and_unknown_ones_are_zero() -> None:
    names = [[*schema.EVENT_TYPES], ["", "wishlist", "VIEW", "", "", "search"]]
    assert preprocessing.event_type_ids(tf.constant(names)).numpy().tolist() == [[1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 0, 6]]


def test_texts_join_without_gaps() -> None:
    parts = [tf.constant([[text]]) for text in ("  Blue\n\tshirt ", "", "Clothes > Shirts > Blue")]
    assert preprocessing.joined_text(parts).numpy().tolist() == [[b"Blue shirt Clothes Shirts Blue"]]
    assert preprocessing.joined_text([tf.constant([[""]])] * 2).numpy().tolist() == [[b""]]


def test_what_the_configuration_switches_off_is_not_there() -> None:
    config = tables.make_config(
        features={"time": False, "query": False, "item": {"brand": False, "category": False, "price": False}},
        encoder={"kind": "tensorflow_hub", "preset": "any"},
    )
    settings = {"config": config.model_dump_json()}
    zeros = {"string": tf.constant([[""]]), "int": tf.constant([[0]], tf.int64), "float": tf.constant([[0.0]])}
    events = {raw.name: tf.repeat(zeros[raw.kind], raw.length, axis=1) for raw in event_features(config)}
    items = {raw.name: zeros[raw.kind] for raw in item_features()}
    made = set(preprocessing.preprocess_events(events, settings))
    history = {"history_item_ids", "history_types", "history_ages"}
    assert made == history | {"user_id", "timestamp", "query", *LABELS}
    assert set(preprocessing.preprocess_items(items, settings)) == {"item_id", "title", "text"}
    silent = {"item": {"brand": False, "category": False, "price": False, "text": []}}
    settings = {"config": tables.make_config(features=silent).model_dump_json()}
    assert set(preprocessing.preprocess_items(items, settings)) == {"item_id", "title"}
