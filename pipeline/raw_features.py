"""The features of the raw examples, with kind and fixed length: what schema.py names, for one configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline import schema
from pipeline.config import Config


@dataclass(frozen=True)
class RawFeature:
    """One feature of a raw example.

    Args:
      name: its name in the `tf.Example`.
      kind: the type of its values.
      length: how many values every example has.
    """

    name: str
    kind: Literal["string", "int", "float"]
    length: int = 1


def event_features(config: Config) -> tuple[RawFeature, ...]:
    """Returns the features of the examples of positive events; the context columns come last."""
    length = config.features.history.length
    return (
        RawFeature(schema.RAW_USER_ID, "string"),
        RawFeature(schema.RAW_TIMESTAMP, "int"),
        RawFeature(schema.RAW_HISTORY_ITEM_IDS, "string", length),
        RawFeature(schema.RAW_HISTORY_EVENT_TYPES, "string", length),
        RawFeature(schema.RAW_HISTORY_AGES_DAYS, "float", length),
        RawFeature(schema.RAW_QUERY, "string"),
        RawFeature(schema.RAW_ITEM_ID, "string"),
        RawFeature(schema.RAW_EVENT_TYPE, "string"),
        RawFeature(schema.RAW_VALUE, "float"),
        RawFeature(schema.RAW_WEIGHT, "float"),
        *(RawFeature(name, "string") for name in config.features.context),
    )


def item_features() -> tuple[RawFeature, ...]:
    """Returns the features of the examples of items."""
    texts = (RawFeature(name, "string") for name in schema.RAW_ITEM_TEXTS)
    return (RawFeature(schema.RAW_ITEM_ID, "string"), *texts, RawFeature(schema.RAW_PRICE, "float"))
