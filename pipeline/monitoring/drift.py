"""How far requests are from the examples of the training, measured by TensorFlow Data Validation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.statistics import stats_impl
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2

from pipeline import schema as names
from pipeline.monitoring.requests import Asked

# Signatures whose inputs are an event's: who, when, after what. The others ask about items.
SIGNATURES = frozenset({"recommend", "search", "rank"})
# Labels of the training, which no request has; ids, of which `quality` tells; and time, which always moves on.
_NOT_COMPARED = frozenset(
    {names.RAW_ITEM_ID, names.RAW_EVENT_TYPE, names.RAW_VALUE, names.RAW_WEIGHT, names.RAW_TIMESTAMP}
)
_COMPARATORS = frozenset(
    {
        anomalies_pb2.AnomalyInfo.COMPARATOR_L_INFTY_HIGH,
        anomalies_pb2.AnomalyInfo.COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH,
        anomalies_pb2.AnomalyInfo.COMPARATOR_LOW_NUM_EXAMPLES,
        anomalies_pb2.AnomalyInfo.COMPARATOR_HIGH_NUM_EXAMPLES,
    }
)


@dataclass(frozen=True)
class Distance:
    """How far one input is from the training: 0 the same, 1 nothing in common.

    Args:
      feature: the input.
      kind: `l_infinity`, the largest change of a value's share, or `jensen_shannon`, of the distribution of a number.
      value: the distance.
    """

    feature: str
    kind: str
    value: float


@dataclass(frozen=True)
class Drift:
    """What the comparison gave.

    Args:
      rows: how many questions were compared.
      distances: by feature.
      anomalies: (feature, what): values that the schema of the training does not allow.
    """

    rows: int
    distances: tuple[Distance, ...] = ()
    anomalies: tuple[tuple[str, str], ...] = ()


def compare(asked: Sequence[Asked], statistics: Path, schema_file: Path) -> Drift:
    """Compares requests with the training split.

    Args:
      asked: calls; those of other signatures than `SIGNATURES` are left out.
      statistics: FeatureStats.pb of the training split.
      schema_file: schema.pbtxt of the examples.

    Returns:
      The distances; none where nobody asked.
    """
    events = [call for call in asked if call.signature in SIGNATURES]
    rows = sum(call.rows for call in events)
    if not rows:
        return Drift(0)
    before = tfdv.load_stats_binary(str(statistics))
    schema = _narrowed(tfdv.load_schema_text(str(schema_file)), before)
    batch = pa.RecordBatch.from_arrays(
        [_column(events, feature) for feature in schema.feature], names=[feature.name for feature in schema.feature]
    )
    options = tfdv.StatsOptions(schema=schema, infer_type_from_schema=True)
    now = stats_impl.generate_statistics_in_memory(batch, options)
    found = tfdv.validate_statistics(now, schema, previous_statistics=before)
    return Drift(rows, tuple(_distances(found)), tuple(_anomalies(found)))


def _narrowed(schema: schema_pb2.Schema, before: Any) -> schema_pb2.Schema:
    """Keeps the features that are compared, each with the measure that fits its kind."""
    counted = {
        feature.path.step[0]
        for feature in before.datasets[0].features
        if feature.WhichOneof("stats") == "num_stats" or feature.string_stats.unique
    }
    narrowed = schema_pb2.Schema()
    for feature in schema.feature:
        if feature.name in _NOT_COMPARED or feature.name not in counted:
            continue
        kept = narrowed.feature.add()
        kept.CopyFrom(feature)
        comparator = kept.drift_comparator
        measure = comparator.infinity_norm if feature.type == schema_pb2.BYTES else comparator.jensen_shannon_divergence
        measure.threshold = 1.0  # rules decide what is too far; here it is only measured
    return narrowed


def _column(events: Iterable[Asked], feature: schema_pb2.Feature) -> pa.Array:
    """Makes a column as the training has it: a history is cut or padded to the length of the examples."""
    is_text = feature.type == schema_pb2.BYTES
    pad: str | float = "" if is_text else 0.0
    length = feature.shape.dim[0].size if feature.shape.dim else 1
    values = []
    for call in events:
        for row in call.input(feature.name, pad):
            kept = row[:length].tolist()
            values.append(kept + [pad] * (length - len(kept)))
    return pa.array(values, pa.large_list(pa.large_string() if is_text else pa.float32()))


def _distances(found: anomalies_pb2.Anomalies) -> Iterable[Distance]:
    kinds = anomalies_pb2.DriftSkewInfo.Measurement
    for info in found.drift_skew_info:
        for measured in info.drift_measurements:
            kind = "l_infinity" if measured.type == kinds.L_INFTY else "jensen_shannon"
            yield Distance(info.path.step[0], kind, measured.value)


def _anomalies(found: anomalies_pb2.Anomalies) -> Iterable[tuple[str, str]]:
    for feature, info in sorted(found.anomaly_info.items()):
        for reason in info.reason:
            if reason.type not in _COMPARATORS:
                yield feature, reason.short_description
