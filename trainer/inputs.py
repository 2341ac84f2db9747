"""The training examples as compact columns: strings become rows of the catalogue while they are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline import schema
from pipeline.config import Config
from trainer.catalogue import Catalogue
from trainer.columns import Columns, ColumnStore, hash_rows
from trainer.encoders.text import Texts

TIME_SIZES = {schema.FEATURE_HOUR: 24, schema.FEATURE_WEEKDAY: 7, schema.FEATURE_MONTH: 12}
ITEM_ROW, HISTORY_ROWS, QUERY, WEIGHT = "item_row", "history_rows", "query", "weight"
TIMESTAMP, SPLIT = "timestamp", "split"
_WHO_AND_WHAT, _ROW_HASH = "who_and_what", "row_hash"
_PARSE_BATCH = 2048


@dataclass(frozen=True)
class EventExamples:
    """Positive events, in an order that depends only on their content.

    Args:
      columns: `item_row` int32 [n], the label, 1 + its row; `history_rows` int32 [n, H], 0 pads and stands for
        items that are not in the catalogue; `query` int32 [n], 0 or 1 + the place in `query_texts`; `weight`
        float32 [n]; `timestamp` int64 [n]; `split` int8 [n], 1 in the validation window; and the transformed
        features by name.
      query_texts: distinct texts, as the text encoder reads them, [q] or [q, tokens].
      order: int64, the places in `columns` that are in use, oldest event first.
      digest: says the content of the columns.
    """

    columns: Columns
    query_texts: Texts
    order: npt.NDArray[np.int64]
    digest: int

    def __len__(self) -> int:
        return len(self.order)

    def take(self, places: npt.NDArray[np.int64]) -> Columns:
        """Returns the columns of the examples at `places` of the order."""
        chosen = self.order[places]
        return {name: values[chosen] for name, values in self.columns.items()}

    def newest(self, count: int | None) -> EventExamples:
        """Keeps the newest `count` examples, or all."""
        return self if count is None else replace(self, order=self.order[max(0, len(self.order) - count) :])

    def before(self, timestamp: int) -> EventExamples:
        """Keeps the examples before a moment, seconds since 1970 UTC."""
        return replace(self, order=self.order[self.columns[TIMESTAMP][self.order] < timestamp])

    def training_split(self) -> EventExamples:
        """Keeps the examples before the validation window."""
        if not len(self):
            return self
        return replace(self, order=self.order[self.columns[SPLIT][self.order] == 0])

    def item_counts(self, items: int) -> npt.NDArray[np.int64]:
        """Counts the examples of each item of a catalogue of `items`, [items]."""
        if not len(self):
            return np.zeros(items, np.int64)
        return np.bincount(self.columns[ITEM_ROW][self.order], minlength=items + 1)[1:]


def context_features(config: Config) -> tuple[str, ...]:
    """The transformed context features that the query tower reads, each [n] int."""
    times = tuple(TIME_SIZES) if config.features.time else ()
    return times + tuple(schema.FEATURE_CONTEXT_PREFIX + name for name in config.features.context)


def query_feature_names(config: Config) -> tuple[str, ...]:
    """All transformed features that the query tower reads, the query's text apart."""
    user = (schema.FEATURE_USER_BUCKET,) if config.features.user_buckets else ()
    return (schema.FEATURE_HISTORY_TYPES, schema.FEATURE_HISTORY_AGES, *user, *context_features(config))


def read_examples(
    train_files: Sequence[str | Path],
    validation_files: Sequence[str | Path],
    catalogue: Catalogue,
    config: Config,
    scratch: Path | None = None,
) -> EventExamples:
    """Reads transformed event examples.

    Args:
      train_files: gzipped TFRecords of the split "train".
      validation_files: those of the split "validation".
      catalogue: gives items their rows; an example whose label is not in it is left out.
      config: says which features the query tower reads.
      scratch: folder for examples that do not fit in memory.

    Returns:
      The examples of both splits.
    """
    store, queries, parse = ColumnStore(scratch), _Queries(), _parser(catalogue, config)
    for split, files in enumerate((train_files, validation_files)):
        records = tf.data.TFRecordDataset([str(file) for file in files], compression_type="GZIP")
        for batch in records.batch(_PARSE_BATCH).map(parse, num_parallel_calls=2).prefetch(2):
            columns = {name: values.numpy() for name, values in batch.items()}
            texts, tokens = columns.pop(schema.RAW_QUERY, None), columns.pop(schema.FEATURE_QUERY_TOKENS, None)
            columns[_ROW_HASH] = hash_rows(columns)
            del columns[_WHO_AND_WHAT]
            columns[QUERY] = queries.numbers(texts, tokens, len(columns[ITEM_ROW]))
            columns[SPLIT] = np.full(len(columns[ITEM_ROW]), split, np.int8)
            known = columns[ITEM_ROW] > 0
            store.append({name: values[known] for name, values in columns.items()})
    columns = store.finish()
    query_texts, renumbered = queries.sorted(config)
    if not columns:
        return EventExamples({}, query_texts, np.zeros(0, np.int64), 0)
    columns[QUERY] = renumbered[columns[QUERY]]
    row_hashes = columns.pop(_ROW_HASH)
    digest = int(row_hashes.sum(dtype=np.uint64))
    return EventExamples(columns, query_texts, np.lexsort((row_hashes, columns[TIMESTAMP])), digest)


class _Queries:
    """Numbers distinct query texts from 1 while they are met; 0 is no query."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {b"": 0}
        self._tokens: list[npt.NDArray[np.int64]] = []

    def numbers(
        self, texts: npt.NDArray[Any] | None, tokens: npt.NDArray[np.int64] | None, count: int
    ) -> npt.NDArray[np.int32]:
        found = np.zeros(count, np.int32)
        if texts is None:
            return found
        for place in np.flatnonzero(texts != b""):
            text = texts[place]
            if text not in self._numbers:
                self._numbers[text] = len(self._numbers)
                if tokens is not None:
                    self._tokens.append(tokens[place])
            found[place] = self._numbers[text]
        return found

    def sorted(self, config: Config) -> tuple[Texts, npt.NDArray[np.int32]]:
        """Returns the texts in alphabetical order, and for each number so far its new one."""
        texts = list(self._numbers)[1:]
        order = sorted(range(len(texts)), key=lambda place: texts[place])
        renumbered = np.zeros(len(texts) + 1, np.int32)
        renumbered[np.array(order, np.int64) + 1] = np.arange(1, len(texts) + 1)
        if config.encoder.kind == "keras_nlp":
            width = config.encoder.sequence_length
            tokens = np.array([self._tokens[place] for place in order], np.int32).reshape(-1, width)
            return tokens, renumbered
        return np.array([texts[place].decode() for place in order], object), renumbered


def _parser(catalogue: Catalogue, config: Config) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    spec = _event_spec(config)
    rows = tf.range(1, len(catalogue) + 1)
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(tf.constant(catalogue.ids, tf.string), rows), default_value=0
    )

    def parse(serialised: tf.Tensor) -> dict[str, tf.Tensor]:
        example = tf.io.parse_example(serialised, spec)
        history = table.lookup(example.pop(schema.RAW_HISTORY_ITEM_IDS))
        # Who and what was typed tells apart rows that are otherwise equal.
        who_and_what = tf.strings.join([example.pop(schema.RAW_USER_ID), example.get(schema.RAW_QUERY, "")], "\n")
        parsed = {
            ITEM_ROW: table.lookup(example.pop(schema.RAW_ITEM_ID))[:, 0],
            HISTORY_ROWS: history,
            _WHO_AND_WHAT: tf.strings.to_hash_bucket_fast(who_and_what, 2**62)[:, 0],
        }
        for name in (schema.FEATURE_HISTORY_TYPES, schema.FEATURE_HISTORY_AGES):
            parsed[name] = tf.cast(example.pop(name), tf.int8)
        for name, values in example.items():
            column = values if name == schema.FEATURE_QUERY_TOKENS else values[:, 0]
            narrows = values.dtype == tf.int64 and name != TIMESTAMP
            parsed[name] = tf.cast(column, tf.int32) if narrows else column
        return parsed

    return parse


def _event_spec(config: Config) -> dict[str, tf.io.FixedLenFeature]:
    length = config.features.history.length
    spec = {
        schema.RAW_USER_ID: tf.io.FixedLenFeature([1], tf.string),
        schema.RAW_ITEM_ID: tf.io.FixedLenFeature([1], tf.string),
        schema.RAW_HISTORY_ITEM_IDS: tf.io.FixedLenFeature([length], tf.string),
        schema.RAW_TIMESTAMP: tf.io.FixedLenFeature([1], tf.int64),
        schema.RAW_WEIGHT: tf.io.FixedLenFeature([1], tf.float32),
    }
    if config.features.query:
        spec[schema.RAW_QUERY] = tf.io.FixedLenFeature([1], tf.string)
        if config.encoder.kind == "keras_nlp":
            spec[schema.FEATURE_QUERY_TOKENS] = tf.io.FixedLenFeature([config.encoder.sequence_length], tf.int64)
    for name in query_feature_names(config):
        wide = name in (schema.FEATURE_HISTORY_TYPES, schema.FEATURE_HISTORY_AGES)
        spec[name] = tf.io.FixedLenFeature([length if wide else 1], tf.int64)
    return spec
