"""What of the configuration each step reads.

A key that is missing here would let a changed setting go unnoticed: the step sees the default in its place.
"""

from __future__ import annotations

from pipeline.components.schema_gen import Table

TABLES = ("tables", "split.test_start", "features.context", "runner.event_buckets")
EXAMPLES = (
    "split",
    "features.history.length",
    "ranking.enabled",
    "ranking.history_length",
    "ranking.windows",
    "ranking.window_days",
    "features.context",
    "features.holiday_country",
    "training.event_weights",
)
SCHEMAS: dict[Table, tuple[str, ...]] = {
    "events": ("features.history.length", "features.context", "training.event_weights"),
    "items": (),
}
_TOKENS = ("encoder.kind", "encoder.preset", "encoder.sequence_length")
FEATURES: dict[Table, tuple[str, ...]] = {
    "events": (
        "features.history.length",
        "features.time",
        "features.context",
        "features.query",
        "features.user_buckets",
        *_TOKENS,
    ),
    "items": ("features.item", *_TOKENS),
}
_TOWERS = (
    "seed",
    "split",
    "features",
    "encoder",
    "adaptation",
    "model",
    "training",
    "gate.task",
    "gate.metric",
)
TUNING = (*_TOWERS, "search", "tuner")
TRAINING = (*_TOWERS, "tracking", "ranking", "search", "serving")
EVALUATION = (*TRAINING, "gate")
