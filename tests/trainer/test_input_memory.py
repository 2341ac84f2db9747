"""The training's examples are read shard by shard, and what outgrows the limit lies on disk and not in memory."""

import functools
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from planted import planted_config
from test_inputs import event, feature, item, write

from trainer.catalogue import read_catalogue
from trainer.columns import ColumnStore
from trainer.inputs import EventExamples, read_examples

HISTORY, SHARD_ROWS, LIMIT_BYTES = 128, 4_096, 1 << 20
CONFIG = planted_config(
    "all-minilm-l6-v2",
    features={"history": {"length": HISTORY}, "context": ["country"], "time": True, "user_buckets": 5},
    encoder={"kind": "keras_nlp", "sequence_length": 4},
)
# The order of the examples, the numbers of their queries, and what sorting them takes for a moment.
KEPT_BYTES_A_ROW = 64


def _shard(file: Path, seed: int) -> str:
    history = {"history_item_ids": ["b"] * HISTORY, "history_types": [1] * HISTORY, "history_ages": [2] * HISTORY}
    values = {name: feature(value) for name, value in event(**history).items()}
    example = tf.train.Example(features=tf.train.Features(feature=values))
    with tf.io.TFRecordWriter(str(file), tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
        for timestamp in np.random.default_rng(seed).integers(1_000_000, size=SHARD_ROWS):
            example.features.feature["timestamp"].int64_list.value[0] = timestamp
            writer.write(example.SerializeToString())
    return str(file)


def _read(shards: list[str], folder: Path) -> tuple[EventExamples, int]:
    """The examples, and the most that Python and NumPy held while they were read, bytes."""
    catalogue = read_catalogue([write(folder / "items.gz", [item("a"), item("b")])], CONFIG)
    read_examples(shards[:1], [], catalogue, CONFIG)  # what TensorFlow keeps of a graph is not counted
    tracemalloc.start()
    try:
        examples = read_examples(shards, [], catalogue, CONFIG, folder / "scratch")
        return examples, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards = [_shard(tmp_path / f"{number}.gz", number) for number in range(4)]
    in_memory, all_bytes = _read(shards, tmp_path)
    monkeypatch.setattr("trainer.inputs.ColumnStore", functools.partial(ColumnStore, limit_bytes=LIMIT_BYTES))
    two, two_bytes = _read(shards[:2], tmp_path)
    four, four_bytes = _read(shards, tmp_path)
    more = len(four) - len(two)
    assert (len(two), len(four)) == (2 * SHARD_ROWS, 4 * SHARD_ROWS)
    assert four_bytes - two_bytes < KEPT_BYTES_A_ROW * more
    assert all_bytes > 3 * four_bytes
    assert isinstance(four.columns["history_rows"], np.memmap)
    batch = four.take(np.arange(100))
    assert not any(isinstance(values, np.memmap) for values in batch.values())
    for name, values in in_memory.take(np.arange(100)).items():
        assert np.array_equal(batch[name], values), name
