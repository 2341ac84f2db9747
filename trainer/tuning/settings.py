"""Settings by their dotted keys: how tuned values are read from a configuration and put into one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.config import Config, parse_config

LEARNING_RATE = "training.learning_rate"
DIMENSION = "model.dimension"
TEMPERATURE = "model.temperature"
DROPOUT = "model.dropout"
HISTORY_USED = "features.history.used"


def own_values(config: Config) -> dict[str, Any]:
    """Returns the values that a configuration itself has for everything that is tuned, by dotted key."""
    history = config.features.history
    return {
        LEARNING_RATE: config.training.learning_rate,
        DIMENSION: config.model.dimension,
        TEMPERATURE: config.model.temperature,
        DROPOUT: config.model.dropout,
        HISTORY_USED: history.length if history.used is None else history.used,
    }


def with_values(config: Config, values: Mapping[str, Any]) -> Config:
    """Puts values into a configuration.

    Args:
      config: the shop's.
      values: by dotted key, as in `model.dimension`.

    Returns:
      The configuration, checked again.

    Raises:
      ConfigError: if there is no such key, or a value is not allowed there.
    """
    tree: dict[str, Any] = config.model_dump(mode="json")
    for key, value in values.items():
        *path, last = key.split(".")
        branch = tree
        for part in path:
            branch = branch.setdefault(part, {})
        branch[last] = value
    return parse_config(tree, source="tuned values")


def in_words(values: Mapping[str, Any]) -> str:
    """Writes values as `--set` takes them, one after the other."""
    return " ".join(f"{key}={value:.4g}" for key, value in values.items())
