"""Request logs of a run's own training examples: what a server would have kept if they had been asked."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from serving.request_log import RequestLog

# No more than the log lets wait.
MOST = 900
_TEXTS = ("user_id", "country", "holiday", "weather", "history_item_ids", "history_event_types")
Row = dict[str, list[Any]]


def training_rows(run: Path) -> Iterator[Row]:
    """Yields training examples of a run."""
    files = [str(path) for path in sorted(run.glob("pipeline/EventExampleGen/examples/*/Split-train/*.gz"))]
    assert files
    records = tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator()
    for record in itertools.islice(records, MOST):
        features = tf.train.Example.FromString(record).features.feature
        row: Row = {name: list(features[name].bytes_list.value) for name in _TEXTS}
        yield row | {"history_ages_days": list(features["history_ages_days"].float_list.value)}


def write_log(
    folder: Path, rows: Iterable[Row], answer: list[str], change: Callable[[Row], Row] = lambda row: row
) -> int:
    """Writes each row as a call of `recommend`, changed, and what it was answered; returns how many there were."""
    lost: list[int] = []
    log = RequestLog(folder, 1.0, 3600.0, on_loss=lambda: lost.append(1))
    changed = [change(row) for row in rows]
    for row in changed:
        # A request sends no pads.
        length = max(1, sum(1 for item in row["history_item_ids"] if item))
        inputs = {
            name: np.array(
                [values[:length]] if name.startswith("history") else values,
                np.float32 if name == "history_ages_days" else object,
            )
            for name, values in row.items()
        }
        log.offer("aisle", 1, "recommend", inputs, {"item_ids": np.array([[item.encode() for item in answer]], object)})
    log.close()
    assert not lost
    return len(changed)
