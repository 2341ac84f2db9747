"""Raw examples: one for each positive event, with the history before it, and one for each item.

Works on one bucket of events at a time (all rows of a visitor are in one bucket), vectorised, and
gives Arrow record batches of the features in `raw_features`. Imports no TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import schema
from pipeline.cases import Bucket, final_histories, window_cases
from pipeline.config import Config
from pipeline.contexts import event_contexts
from pipeline.histories import PAD, Ints, Timelines, ages_days, numbers, plain
from pipeline.raw_features import RawFeature, event_features, item_features
from pipeline.windows import Windows

Split = Literal["train", "validation"]
SPLITS: tuple[Split, ...] = ("train", "validation")
BATCH_ROWS = 4096  # bounds memory: a batch holds rows times history length strings, twice


@dataclass(frozen=True)
class BucketExamples:
    """Everything that one bucket of events gives."""

    bucket: Bucket

    def batches(self, split: Split, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Makes the split's examples in batches, in the order of the bucket's rows.

        Args:
          split: "train" (before the validation window) or "validation"; test events never become examples.
          batch_rows: examples in a batch; the last one may have fewer.

        Yields:
          Record batches with one column of large lists for each feature of `event_features`.
        """
        rows = self._label_rows(split)
        for start in range(0, len(rows), batch_rows):
            yield _examples(self.bucket, rows[start : start + batch_rows])

    def count(self, split: Split) -> int:
        """Returns how many examples `batches` gives."""
        return len(self._label_rows(split))

    @cached_property
    def validation_cases(self) -> pa.Table:
        """The validation window's cases, a table of `cases.cases_schema`."""
        windows = self.bucket.windows
        return window_cases(self.bucket, windows.validation_start, windows.test_start)

    @cached_property
    def test_cases(self) -> pa.Table:
        """The test window's cases; no rows where no event is so late."""
        windows = self.bucket.windows
        return window_cases(self.bucket, windows.test_start, windows.test_end)

    def past_cases(self, number: int) -> pa.Table:
        """Makes the cases of a window before the validation window, from which a ranking stage learns.

        Args:
          number: 1 for the one that ends where the validation window starts, 2 for the one before it.

        Returns:
          A table of `cases.cases_schema`.
        """
        start, end = self.bucket.windows.past(number, self.bucket.config.ranking.window_days)
        return window_cases(self.bucket, start, end)

    @cached_property
    def histories(self) -> pa.Table:
        """The users' histories at the end of all data, a table of `cases.histories_schema`."""
        return final_histories(self.bucket)

    def _label_rows(self, split: Split) -> Ints:
        windows, timestamps = self.bucket.windows, self.bucket.timelines.timestamps
        if split == "train":
            inside = timestamps < windows.validation_start
        else:
            inside = (timestamps >= windows.validation_start) & (timestamps < windows.test_start)
        labels = pa.array(list(self.bucket.config.training.event_weights), pa.string())
        positive = pc.is_in(self.bucket.event_types, value_set=labels).to_numpy(zero_copy_only=False)
        return np.flatnonzero(inside & positive & self.bucket.in_catalogue)


def build_bucket(
    events: pa.Table, config: Config, windows: Windows, item_ids: pa.Array, users: pa.Table | None = None
) -> BucketExamples:
    """Reads one bucket of clean events.

    Args:
      events: the bucket, sorted by (visitor, timestamp), with the canonical columns and `visitor`.
      config: the shop's configuration.
      windows: the split.
      item_ids: strings, the catalogue's items.
      users: the users table; None where the shop has none.

    Returns:
      The bucket's examples, cases and histories, each made when asked for.

    Raises:
      ValueError: if the bucket is not sorted, or a country has no calendar.
    """
    users = users if users is not None else pa.table({"user_id": pa.array([], pa.string())})
    known = pc.is_in(plain(events["item_id"]), value_set=plain(item_ids)).to_numpy(zero_copy_only=False)
    return BucketExamples(
        Bucket(
            events=events,
            config=config,
            windows=windows,
            timelines=Timelines(events),
            contexts=event_contexts(events, config.features, users),
            in_catalogue=known & pc.not_equal(plain(events["item_id"]), "").to_numpy(zero_copy_only=False),
        )
    )


def item_batches(items: pa.Table, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
    """Makes the examples of the catalogue's items, in the table's order.

    Args:
      items: the items table.
      batch_rows: items in a batch.

    Yields:
      Record batches with one column of large lists for each feature of `item_features`.
    """
    for start in range(0, len(items), batch_rows):
        part = items.slice(start, batch_rows)
        columns = {name: plain(part[name]) for name in (schema.RAW_ITEM_ID, *schema.RAW_ITEM_TEXTS)}
        columns[schema.RAW_PRICE] = numbers(part[schema.RAW_PRICE])
        yield _batch(item_features(), columns)


def _examples(bucket: Bucket, rows: Ints) -> pa.RecordBatch:
    config, lines = bucket.config, bucket.timelines
    taken = pa.array(rows)
    length = config.features.history.length
    first, last = lines.newest(lines.visitor_of[rows], lines.moment_starts[rows], length)
    history = lines.padded(first, last, length).ravel()
    is_pad = history == PAD
    moments = np.repeat(lines.timestamps[rows], length)
    history_rows = pa.array(history, mask=is_pad)
    types = bucket.event_types.take(taken)
    weights = np.array([config.training.event_weights[name] for name in types.to_pylist()], np.float32)
    columns = {
        schema.RAW_USER_ID: bucket.user_ids.take(taken),
        schema.RAW_TIMESTAMP: pa.array(lines.timestamps[rows]),
        schema.RAW_HISTORY_ITEM_IDS: bucket.item_ids.take(history_rows).fill_null(""),
        schema.RAW_HISTORY_EVENT_TYPES: bucket.event_types.take(history_rows).fill_null(""),
        schema.RAW_HISTORY_AGES_DAYS: pa.array(
            np.where(is_pad, np.float32(0), ages_days(moments, lines.timestamps[history]))
        ),
        schema.RAW_QUERY: plain(bucket.events["query"]).take(taken),
        schema.RAW_ITEM_ID: bucket.item_ids.take(taken),
        schema.RAW_EVENT_TYPE: types,
        schema.RAW_VALUE: numbers(bucket.events["value"].take(taken)),
        schema.RAW_WEIGHT: pa.array(weights),
        **{name: column.take(taken) for name, column in bucket.contexts.events.items()},
    }
    return _batch(event_features(config), columns)


def _batch(features: tuple[RawFeature, ...], columns: dict[str, pa.Array]) -> pa.RecordBatch:
    """Shapes columns of values into lists of fixed length, in the types that tf.Example encoders take."""
    arrays = []
    for feature in features:
        values = columns[feature.name]
        if feature.kind == "string":
            values = values.cast(pa.binary()).cast(pa.large_binary())
        offsets = np.arange(0, len(values) + 1, feature.length, dtype=np.int64)
        arrays.append(pa.LargeListArray.from_arrays(pa.array(offsets), values))
    return pa.RecordBatch.from_arrays(arrays, [feature.name for feature in features])
