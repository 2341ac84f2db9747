"""What the server computes from raw values is what the training read, feature by feature."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_text  # noqa: F401  # registers the ops of tokenisers, without which no model loads

from pipeline import schema
from pipeline.config import Config, parse_config
from pipeline.raw_features import RawFeature, event_features, item_features
from pipeline.run_folder import RunFolder

pytestmark = pytest.mark.slow

_DTYPES = {"string": tf.string, "int": tf.int64, "float": tf.float32}
Rows = list[tuple[Any, ...]]


@pytest.fixture(scope="module")
def served(pushed_run: Path) -> Any:
    return tf.saved_model.load(RunFolder(pushed_run).account()["pushed"])


@pytest.fixture(scope="module")
def config(pushed_run: Path) -> Config:
    return parse_config(RunFolder(pushed_run).account()["config"])


def _records(run: Path, step: str, output: str) -> list[bytes]:
    files = sorted(str(path) for path in (run / "pipeline" / step / output).glob("*/Split-train/*"))
    return [record.numpy() for record in tf.data.TFRecordDataset(files, compression_type="GZIP")]


def _raw(records: list[bytes], features: tuple[RawFeature, ...]) -> dict[str, tf.Tensor]:
    specs = {feature.name: tf.io.FixedLenFeature([feature.length], _DTYPES[feature.kind]) for feature in features}
    return dict(tf.io.parse_example(records, specs))


def _transformed_rows(records: list[bytes], names: list[str]) -> Rows:
    rows = []
    for record in records:
        features = tf.train.Example.FromString(record).features.feature
        values = (getattr(features[name], str(features[name].WhichOneof("kind"))).value for name in names)
        rows.append(tuple(tuple(value) for value in values))
    return sorted(rows)


def _served_rows(transform: Any, raw: dict[str, tf.Tensor], batch: int) -> tuple[Rows, list[str]]:
    count = len(next(iter(raw.values())))
    parts = [
        transform({name: values[start : start + batch] for name, values in raw.items()})
        for start in range(0, count, batch)
    ]
    names = sorted(parts[0])
    columns = [np.concatenate([part[name].numpy() for part in parts]) for name in names]
    return sorted(tuple(tuple(column[row].tolist()) for column in columns) for row in range(count)), names


@pytest.mark.parametrize("batch", [1000, 64])
def test_a_thousand_events(pushed_run: Path, served: Any, config: Config, batch: int) -> None:
    records = _records(pushed_run, "EventExampleGen", "examples")
    assert len(records) > 1000
    found, names = _served_rows(served._event_transform.transform, _raw(records, event_features(config)), batch)
    assert {schema.FEATURE_QUERY_TOKENS, schema.FEATURE_HISTORY_AGES, schema.FEATURE_HOUR} <= set(names)
    assert found == _transformed_rows(_records(pushed_run, "EventTransform", "transformed_examples"), names)


def test_the_catalogue(pushed_run: Path, served: Any) -> None:
    records = _records(pushed_run, "ItemExampleGen", "examples")
    found, names = _served_rows(served._item_transform.transform, _raw(records, item_features()), batch=7)
    assert {schema.FEATURE_TEXT_TOKENS, schema.FEATURE_PRICE, schema.FEATURE_BRAND} <= set(names)
    assert found == _transformed_rows(_records(pushed_run, "ItemTransform", "transformed_examples"), names)
