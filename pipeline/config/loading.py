"""Reads a shop's YAML: environment variables, paths, overrides, and errors that name the key."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pydantic
import yaml

from pipeline.config.model import Config, EncoderConfig
from pipeline.config.tables import Section


class ConfigError(ValueError):
    """The configuration cannot be used; the message names the key, what came and what is allowed."""


_PATH_KEYS = ("path", "queries_path")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def load_config(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Config:
    """Reads a shop's YAML.

    `${NAME}` and `${NAME:-default}` in values are filled from the environment. Relative table paths are
    taken from the YAML's folder; those given by an override from the current one.

    Args:
      path: the YAML file.
      overrides: `KEY.SUBKEY=VALUE` texts, later ones win; VALUE is read as YAML.

    Returns:
      The validated configuration, with absolute table paths.

    Raises:
      ConfigError: naming the key, what came and what is allowed.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read as a UTF-8 text file: {error}") from error
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: is not valid YAML: {error}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{file}: expected keys and values at the top, got {type(tree).__name__}")
    tree = _fill_variables(tree, str(file))
    _resolve_paths(tree, file.resolve().parent)
    for override in overrides:
        _apply_override(tree, override)
    return parse_config(tree, source=str(file))


def parse_config(tree: Mapping[str, Any], source: str = "configuration") -> Config:
    """Validates a tree of plain values as `load_config` does, for configurations that travel as JSON.

    Raises:
      ConfigError: as `load_config`; `source` begins each line of the message.
    """
    try:
        return Config.model_validate(tree)
    except pydantic.ValidationError as error:
        lines = [_describe(source, detail) for detail in error.errors(include_url=False)]
        raise ConfigError("\n".join(lines)) from error


def models_folder() -> Path:
    """The folder with the encoders that `make setup` brought: $AISLE_MODELS, or `.models` beside the packages."""
    return Path(os.environ.get("AISLE_MODELS") or Path(__file__).resolve().parents[2] / ".models")


def encoder_source(encoder: EncoderConfig) -> str:
    """Resolves `encoder.preset`: a name in `models_folder()` or a folder becomes its path, else it stays a name."""
    bundled = models_folder() / encoder.preset
    if bundled.is_dir():
        return str(bundled)
    if encoder.preset == EncoderConfig().preset:
        raise ConfigError(f"encoder.preset: '{encoder.preset}' is not in {models_folder()}; run `make setup`")
    folder = Path(encoder.preset).expanduser()
    return str(folder.resolve()) if folder.is_dir() else encoder.preset


def _describe(source: str, detail: Any) -> str:
    key = ".".join(str(part) for part in detail["loc"]) or "the file"
    message = str(detail["msg"]).removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        return f"{source}: {key}: unknown key; {_allowed_keys(detail['loc'])}"
    if detail["type"] == "missing":
        return f"{source}: {key}: is missing"
    return f"{source}: {key}: {message}; got {_shorten(detail.get('input'))}"


def _allowed_keys(location: tuple[Any, ...]) -> str:
    model: Any = Config
    for part in location[:-1]:
        if isinstance(part, int):
            continue  # a place in a list, whose section is known by now
        model = _section_of(model.model_fields[part].annotation)
    return f"allowed are {', '.join(model.model_fields)}"


def _section_of(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if isinstance(argument, type) and issubclass(argument, Section):
            return argument
    return Config


def _shorten(value: Any, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[:limit] + "..."


def _fill_variables(value: Any, source: str) -> Any:
    if isinstance(value, dict):
        return {key: _fill_variables(inner, source) for key, inner in value.items()}
    if isinstance(value, list):
        return [_fill_variables(inner, source) for inner in value]
    if not isinstance(value, str):
        return value

    def fill(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        found = os.environ.get(name, default)
        if found is None:
            raise ConfigError(f"{source}: '{value}' needs the environment variable {name}, which is not set")
        return found

    return _VARIABLE.sub(fill, value)


def _resolve_paths(tree: dict[str, Any], folder: Path) -> None:
    tables = tree.get("tables")
    for table in tables.values() if isinstance(tables, dict) else ():
        for key in _PATH_KEYS if isinstance(table, dict) else ():
            if isinstance(table.get(key), str):
                table[key] = os.path.normpath(folder / Path(table[key]).expanduser())


def _apply_override(tree: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    parts = key.strip().split(".")
    if not separator or not all(parts):
        raise ConfigError(f"--set {override}: expected KEY.SUBKEY=VALUE")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override}: the value is not valid YAML: {error}") from error
    if parts[-1] in _PATH_KEYS and isinstance(value, str):
        value = str(Path(value).expanduser().resolve())
    branch = tree
    for part in parts[:-1]:
        inner = branch.setdefault(part, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {override}: '{part}' holds a value, not keys")
        branch = inner
    branch[parts[-1]] = value
