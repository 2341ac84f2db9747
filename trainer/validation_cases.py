"""The requests of a validation window, as the query tower reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import pyarrow.parquet as pq
import tensorflow as tf

from pipeline import schema
from pipeline.config import Config
from trainer.catalogue import Catalogue
from trainer.columns import Columns
from trainer.encoders.text import Texts
from trainer.inputs import query_feature_names

Transform = Callable[[Mapping[str, tf.Tensor]], Mapping[str, tf.Tensor]]
MOST_CASES = 20_000
_BATCH = 1024


@dataclass(frozen=True)
class ValidationCases:
    """Requests and what followed them.

    Args:
      features: transformed features by name, [n, 1] or [n, H].
      history_rows: int32 [n, H], 1 + row, 0 pads.
      texts: queries as the text encoder reads them, [n] or [n, tokens]; None where the shop has no search.
      searched: bool [n], whether there is a query.
      truth: for each the rows that followed.
    """

    features: Columns
    history_rows: npt.NDArray[np.int32]
    texts: Texts | None
    searched: npt.NDArray[np.bool_]
    truth: list[npt.NDArray[np.int64]]

    def __len__(self) -> int:
        return len(self.truth)


def read_validation_cases(
    file: Path, catalogue: Catalogue, config: Config, transform: Transform, most: int = MOST_CASES
) -> ValidationCases | None:
    """Reads the cases of the task that the gate judges.

    Args:
      file: Parquet file of cases.
      catalogue: gives items their rows.
      config: says task and features.
      transform: from raw to transformed features, in batches.
      most: where there are more cases, they are thinned out evenly: they are asked after every epoch.

    Returns:
      The cases with a truth in the catalogue, or None if there are none.
    """
    table = pq.read_table(file)
    table = table.filter(pc.equal(table["task"], config.gate.task))
    truth = [known[known >= 0] for known in map(catalogue.rows, table["truth"].to_pylist())]
    kept = [place for place, items in enumerate(truth) if len(items)]
    kept = kept[:: 1 + len(kept) // (most + 1)]
    if not kept:
        return None
    raw = raw_requests(table.take(kept).to_pydict(), config)
    parts: dict[str, list[npt.NDArray[Any]]] = {}
    for start in range(0, len(kept), _BATCH):
        batch = {name: tf.constant(values[start : start + _BATCH]) for name, values in raw.items()}
        for name, values in transform(batch).items():
            parts.setdefault(name, []).append(values.numpy())
    columns = {name: np.concatenate(chunks) for name, chunks in parts.items()}
    history = raw[schema.RAW_HISTORY_ITEM_IDS]
    return ValidationCases(
        features={name: columns[name] for name in query_feature_names(config)},
        history_rows=(catalogue.rows(history.ravel()).reshape(history.shape) + 1).astype(np.int32),
        texts=_query_texts(columns, raw, config),
        searched=raw[schema.RAW_QUERY][:, 0] != "",
        truth=[truth[place] for place in kept],
    )


def raw_requests(rows: Mapping[str, Sequence[Any]], config: Config) -> Columns:
    """Lays requests out as raw examples: fixed lengths, labels left empty.

    Args:
      rows: columns of cases.
      config: says the history's length and the context.

    Returns:
      Raw features by name, [n, 1] or [n, H].
    """
    length, count = config.features.history.length, len(rows["user_id"])
    raw: Columns = {
        schema.RAW_TIMESTAMP: np.array(rows["timestamp"], np.int64).reshape(-1, 1),
        schema.RAW_HISTORY_ITEM_IDS: _padded(rows["history_item_ids"], length, ""),
        schema.RAW_HISTORY_EVENT_TYPES: _padded(rows["history_event_types"], length, ""),
        schema.RAW_HISTORY_AGES_DAYS: _padded(rows["history_ages_days"], length, 0.0).astype(np.float32),
    }
    for name in (schema.RAW_USER_ID, schema.RAW_QUERY, *config.features.context):
        raw[name] = np.array(rows[name], object).reshape(-1, 1)
    for name in (schema.RAW_ITEM_ID, schema.RAW_EVENT_TYPE):
        raw[name] = np.full((count, 1), "", object)
    for name in (schema.RAW_VALUE, schema.RAW_WEIGHT):
        raw[name] = np.zeros((count, 1), np.float32)
    return raw


def _query_texts(columns: Columns, raw: Columns, config: Config) -> Texts | None:
    if not config.features.query:
        return None
    if config.encoder.kind == "keras_nlp":
        return columns[schema.FEATURE_QUERY_TOKENS].astype(np.int32)
    return raw[schema.RAW_QUERY][:, 0]


def _padded(lists: Sequence[Sequence[Any]], length: int, padding: Any) -> npt.NDArray[np.object_]:
    padded = np.full((len(lists), length), padding, object)
    for place, values in enumerate(lists):
        padded[place, : len(values)] = values[:length]
    return padded
