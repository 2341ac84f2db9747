"""What a run on a cluster may say for itself, without a new compilation: where the tables are, the day, the epochs.

A parameter replaces one key of the configuration. It reaches each step that reads this key as an execution property
of that step, beside the property `config`, and takes the place of what stands there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pipeline.config import Config, parse_config

Value = TypeVar("Value")

KEYS = {
    "events_path": "tables.events.path",
    "events_queries_path": "tables.events.queries_path",
    "items_path": "tables.items.path",
    "users_path": "tables.users.path",
    "test_start": "split.test_start",
    "epochs": "training.epochs",
}
PATHS = tuple(name for name, key in KEYS.items() if key.startswith("tables."))
TYPES: dict[str, type] = {name: int if name == "epochs" else str for name in KEYS}

# These replace no key of the configuration.
DATA = "data"  # the URI of the tables' folder in an object store
DATA_VERSION = "data_version"  # names the state of the tables, where results of earlier runs are taken


def defaults(config: Config) -> dict[str, str | int]:
    """Returns what each parameter is where a run does not say; keys that the configuration leaves empty have none."""
    tree: dict[str, Any] = config.model_dump(mode="json")
    found = {name: _get(tree, key) for name, key in KEYS.items()}
    return {name: value for name, value in found.items() if value is not None}


def read_by(parameters: Mapping[str, Value], keys: Iterable[str]) -> dict[str, Value]:
    """Returns those of the parameters whose key a step reads.

    Args:
      parameters: by name.
      keys: what the step reads of the configuration, such as `split` or `training.epochs`.
    """
    read = tuple(keys)
    return {
        name: value
        for name, value in parameters.items()
        if name in KEYS and any(KEYS[name] == key or KEYS[name].startswith(f"{key}.") for key in read)
    }


def applied(tree: Mapping[str, Any], values: Mapping[str, Any], source: str) -> Config:
    """Puts the values of parameters into a configuration.

    Args:
      tree: the configuration as plain values.
      values: by name; other names, and None, are passed over.
      source: begins each line of an error.

    Returns:
      The validated configuration.

    Raises:
      ConfigError: if a value cannot be used, naming its key.
    """
    result: dict[str, Any] = {**tree}
    for name, key in KEYS.items():
        if values.get(name) is not None:
            _put(result, key.split("."), values[name])
    return parse_config(result, source=source)


def check(values: Mapping[str, Any]) -> None:
    """Finds values that no configuration could have.

    Raises:
      ConfigError: naming the key, what came and what is allowed.
    """
    tree = {
        "name": "any",
        "tables": {"events": {"path": "-"}, "items": {"path": "-"}},
        "split": {"test_start": "1970-01-01"},
    }
    applied(tree, values, source="parameters")


def relative_paths(config: Config) -> dict[str, str]:
    """Returns the tables' paths below the folder that they have in common, as they lie in an object store."""
    absolute = {name: str(value) for name, value in defaults(config).items() if name in PATHS}
    folder = os.path.commonpath([Path(path).parent for path in absolute.values()])
    return {name: os.path.relpath(path, folder) for name, path in absolute.items()}


def _get(tree: Mapping[str, Any], key: str) -> Any:
    value: Any = tree
    for part in key.split("."):
        value = value.get(part) if value is not None else None
    return value


def _put(tree: dict[str, Any], parts: list[str], value: Any) -> None:
    head, *rest = parts
    if not rest:
        tree[head] = value
        return
    tree[head] = {**(tree.get(head) or {})}
    _put(tree[head], rest, value)
