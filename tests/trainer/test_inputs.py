"""Examples and items as the pipeline writes them become columns and batches."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from planted import planted_config

from trainer.batches import BatchPlan
from trainer.catalogue import Catalogue, read_catalogue
from trainer.columns import ColumnStore, hash_rows
from trainer.inputs import EventExamples, read_examples

CONFIG = planted_config(
    "all-minilm-l6-v2",
    features={"history": {"length": 3}, "context": ["country"], "time": True, "user_buckets": 5},
    encoder={"kind": "keras_nlp", "sequence_length": 4},
)
QUERIES = {"": [101, 102, 0, 0], "shoe": [101, 7, 102, 0], "lamp": [101, 8, 102, 0]}


def feature(value: Any) -> tf.train.Feature:
    values = value if isinstance(value, list) else [value]
    if isinstance(values[0], str):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[text.encode() for text in values]))
    if isinstance(values[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def write(file: Path, rows: list[dict[str, Any]]) -> str:
    with tf.io.TFRecordWriter(str(file), tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
        for row in rows:
            features = tf.train.Features(feature={name: feature(value) for name, value in row.items()})
            writer.write(tf.train.Example(features=features).SerializeToString())
    return str(file)


def item(item_id: str, **changes: Any) -> dict[str, Any]:
    row = {"item_id": item_id, "title": f"title of {item_id}", "text_tokens": [101, ord(item_id[0]), 102, 0]}
    numbers = {"category_index": 1, "category_top_index": 2, "price_bucket": 3, "price_scaled": 0.5}
    return {**row, **numbers, **changes}


def event(**changes: Any) -> dict[str, Any]:
    row = {
        "user_id": "u",
        "timestamp": 10,
        "history_item_ids": ["b", "gone", ""],
        "history_types": [4, 1, 0],
        "history_ages": [2, 31, 0],
        "item_id": "a",
        "event_type": "purchase",
        "value": 1.0,
        "weight": 2.5,
        "query": "",
        "user_bucket": 4,
        "hour": 23,
        "weekday": 6,
        "month": 11,
        "context_country": 9,
    } | changes
    return row | {"query_tokens": QUERIES[row["query"]]}


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    one = write(tmp_path / "items-0.gz", [item("c"), item("a", price_scaled=-1.0)])
    two = write(tmp_path / "items-1.gz", [item("b", category_index=7)])
    return read_catalogue([one, two], CONFIG)


def test_the_catalogue_is_sorted_whatever_the_order_of_the_files(catalogue: Catalogue, tmp_path: Path) -> None:
    assert catalogue.ids.tolist() == ["a", "b", "c"]
    assert catalogue.titles.tolist() == ["title of a", "title of b", "title of c"]
    assert catalogue.texts is not None
    assert catalogue.texts[:, 1].tolist() == [97, 98, 99]
    assert catalogue.features["category_index"].tolist() == [1, 7, 1]
    assert catalogue.features["price_scaled"].tolist() == [-1.0, 0.5, 0.5]
    assert catalogue.rows(["c", "nobody", "a", "zz", ""]).tolist() == [2, -1, 0, -1, -1]
    other = write(tmp_path / "other.gz", [item("b", category_index=7), item("a", price_scaled=-1.0), item("c")])
    assert read_catalogue([other], CONFIG).digest() == catalogue.digest()
    changed = write(tmp_path / "changed.gz", [item("b"), item("a", price_scaled=-1.0), item("c")])
    assert read_catalogue([changed], CONFIG).digest() != catalogue.digest()


def test_an_item_that_is_there_twice_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="item 'a' has several item examples"):
        read_catalogue([write(tmp_path / "items.gz", [item("a"), item("b"), item("a")])], CONFIG)
    with pytest.raises(ValueError, match="the item examples hold no item"):
        read_catalogue([write(tmp_path / "none.gz", [])], CONFIG)


def test_examples_become_rows_of_the_catalogue(catalogue: Catalogue, tmp_path: Path) -> None:
    train = write(tmp_path / "train.gz", [event(timestamp=30, query="shoe"), event(item_id="gone"), event(item_id="c")])
    validation = write(tmp_path / "validation.gz", [event(timestamp=40, query="lamp", item_id="b")])
    examples = read_examples([train], [validation], catalogue, CONFIG)
    assert len(examples) == 3
    columns = examples.take(np.arange(3))
    assert columns["timestamp"].tolist() == [10, 30, 40]
    assert columns["item_row"].tolist() == [3, 1, 2]
    assert columns["history_rows"].tolist() == [[2, 0, 0]] * 3
    assert columns["history_types"].tolist() == [[4, 1, 0]] * 3
    assert columns["history_ages"].tolist() == [[2, 31, 0]] * 3
    assert columns["weight"].tolist() == [2.5] * 3
    assert columns["context_country"].tolist() == [9] * 3
    assert columns["user_bucket"].tolist() == [4] * 3
    assert columns["hour"].tolist() == [23] * 3
    # Texts are in alphabetical order: lamp, shoe.
    assert examples.query_texts.tolist() == [QUERIES["lamp"], QUERIES["shoe"]]
    assert columns["query"].tolist() == [0, 2, 1]
    assert examples.item_counts(3).tolist() == [1, 1, 1]
    assert examples.training_split().item_counts(3).tolist() == [1, 0, 1]
    assert examples.newest(1).item_counts(3).tolist() == [0, 1, 0]


def test_the_order_of_files_and_rows_makes_no_difference(catalogue: Catalogue, tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    rows = [
        event(timestamp=int(time), user_id=f"u{user}", query=str(query), item_id=str(label))
        for time, user, query, label in zip(
            generator.integers(5, size=40),
            generator.integers(9, size=40),
            generator.choice(list(QUERIES), size=40),
            generator.choice(list("abc"), size=40),
            strict=True,
        )
    ]
    shuffled = [rows[place] for place in generator.permutation(40)]
    one = read_examples([write(tmp_path / "1.gz", rows)], [], catalogue, CONFIG)
    parts = [write(tmp_path / "2.gz", shuffled[:15]), write(tmp_path / "3.gz", shuffled[15:])]
    other = read_examples(parts, [], catalogue, CONFIG)
    assert one.digest == other.digest
    for name, values in one.take(np.arange(40)).items():
        assert np.array_equal(values, other.take(np.arange(40))[name]), name
    changed = read_examples([write(tmp_path / "4.gz", [*rows[:-1], event(timestamp=77)])], [], catalogue, CONFIG)
    assert changed.digest != one.digest


def test_columns_that_outgrow_the_memory_limit_are_the_same_from_disk(tmp_path: Path) -> None:
    generator = np.random.default_rng(4)
    chunks = [
        {"rows": generator.integers(9, size=(size, 3)).astype(np.int32), "weight": generator.random(size)}
        for size in (5, 1, 7)
    ]
    small, large = ColumnStore(), ColumnStore(tmp_path / "scratch", limit_bytes=100)
    for chunk in chunks:
        small.append(chunk)
        large.append(chunk)
    on_disk = large.finish()
    assert isinstance(on_disk["rows"], np.memmap)
    for name, values in small.finish().items():
        assert np.array_equal(values, on_disk[name])
        assert values.dtype == on_disk[name].dtype
    with pytest.raises(ValueError, match=r"expected the columns \['rows', 'weight'\], got \['rows'\]"):
        small.append({"rows": np.zeros((1, 3))})
    assert ColumnStore().finish() == {}


def test_hashes_see_every_value() -> None:
    columns = {"a": np.arange(12).reshape(4, 3), "b": np.ones(4, np.float32)}
    hashes = hash_rows(columns)
    assert len(set(hashes.tolist())) == 4
    for name in columns:
        for place in range(columns[name].reshape(4, -1).shape[1]):
            changed = {key: values.copy() for key, values in columns.items()}
            changed[name].reshape(4, -1)[2, place] += 1
            assert np.flatnonzero(hash_rows(changed) != hashes).tolist() == [2]


def plan(count: int, batch_size: int, encodes: bool, seed: int = 1) -> BatchPlan:
    generator = np.random.default_rng(7)
    columns = {
        "item_row": generator.integers(1, 51, size=count).astype(np.int32),
        "history_rows": generator.integers(0, 51, size=(count, 3)).astype(np.int32),
        "query": generator.integers(0, 5, size=count).astype(np.int32),
        "weight": generator.random(count).astype(np.float32),
        "hour": np.arange(count).astype(np.int32),
    }
    examples = EventExamples(columns, np.zeros((4, 2), np.int32), np.arange(count), 0)
    return BatchPlan(examples, batch_size=batch_size, items=50, seed=seed, features=("hour",), encodes=encodes)


def test_batches_number_each_item_once_and_lose_nothing() -> None:
    some = plan(100, 16, encodes=True)
    columns = some.examples.columns
    batches = list(some.numpy_batches(epoch=3))
    assert len(batches) == some.steps == 6
    seen = np.concatenate([batch["hour"] for batch in batches])
    assert len(set(seen.tolist())) == 96
    for batch in batches:
        chosen = batch["hour"]
        assert np.array_equal(batch["distinct_rows"][batch["item_places"]], columns["item_row"][chosen])
        assert np.array_equal(batch["distinct_rows"][batch["history_places"]], columns["history_rows"][chosen])
        assert np.array_equal(batch["history_places"] == 0, columns["history_rows"][chosen] == 0)
        used = batch["distinct_rows"][batch["distinct_rows"] > 0]
        assert len(set(used.tolist())) == len(used)
        assert batch["distinct_rows"][0] == 0
        fresh = batch["distinct_rows"][batch["fresh_places"]]
        assert set(fresh.tolist()) - {0} == set(columns["item_row"][chosen].tolist())
        assert len(fresh) % 8 == 0
        assert np.array_equal(batch["fresh_queries"][batch["query_places"]], columns["query"][chosen])
    assert "fresh_places" not in next(plan(100, 16, encodes=False).numpy_batches(0))


def test_the_data_of_an_epoch_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return [int(hour) for batch in plan(64, 16, False, seed).numpy_batches(epoch) for hour in batch["hour"]]

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_workers_read_the_parts_of_one_batch(workers: int) -> None:
    whole = [batch["hour"] for batch in plan(100, 16, encodes=False).numpy_batches(epoch=2)]
    parted = replace(plan(100, 4, encodes=False), replicas=4)
    assert parted.steps == len(whole) == 6
    own = [[batch["hour"] for batch in parted.numpy_batches(2, worker, workers)] for worker in range(workers)]
    held = 4 // workers
    for step, batch in enumerate(whole):
        parts = [part for parts in own for part in parts[step * held : (step + 1) * held]]
        assert np.array_equal(np.concatenate(parts), batch)
    assert len(parted.dataset(2, workers - 1, workers)) == 6 * held


def test_few_examples_are_one_batch_and_datasets_hold_the_same() -> None:
    some = plan(5, 16, encodes=True)
    assert some.steps == 1
    (batch,) = some.numpy_batches(0)
    (tensors,) = list(some.dataset(0))
    assert some.dataset(0).options().autotune.enabled is False  # else epochs wait for the tuner's thread
    assert tensors.keys() == batch.keys()
    for name, values in batch.items():
        assert np.array_equal(tensors[name].numpy(), values)
