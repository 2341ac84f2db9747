"""The models that a server shall serve, as TensorFlow Serving's configuration files name them. No TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from serving.errors import Code, ServingError
from serving.messages import ModelServerConfig
from serving.versions import VersionPolicy, every, latest, specific

PLATFORM = "tensorflow"
# Beside a model's versions: which of them are served, and their labels. `aisle models` writes it.
CONFIG_BESIDE = "model.config"
ONLY_LISTS = (
    "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported"
)


@dataclass(frozen=True)
class ModelSettings:
    """One model of a configuration.

    Args:
      name: its name in requests.
      base_path: the folder that holds one folder a version.
      policy: which versions are served.
      labels: label: the version that requests mean by it.
    """

    name: str
    base_path: Path
    policy: VersionPolicy = field(default_factory=latest)
    labels: Mapping[str, int] = field(default_factory=dict)


def read_config(file: Path) -> list[ModelSettings]:
    """Reads a model_config_file.

    Raises:
      OSError: if the file cannot be read.
      ServingError: INVALID_ARGUMENT, naming the file and what is wrong in it.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ServingError(Code.INVALID_ARGUMENT, f"{file}: is no text in UTF-8: {error.reason}") from error
    try:
        return parse_config(text)
    except ServingError as error:
        raise ServingError(error.code, f"{file}: {error.message}") from error


def settings_beside(settings: ModelSettings) -> ModelSettings:
    """Takes policy and labels from the file beside a model's versions, if there is one.

    Args:
      settings: name and folder, which stay as they are, and what holds where there is no such file.

    Raises:
      OSError: if the file cannot be read.
      ServingError: INVALID_ARGUMENT, naming the file and what is wrong in it.
    """
    file = settings.base_path / CONFIG_BESIDE
    if not file.is_file():
        return settings
    models = read_config(file)
    if len(models) != 1:
        raise _invalid(f"{file}: expected one model, the one of this folder, got {len(models)}")
    return replace(settings, policy=models[0].policy, labels=models[0].labels)


def parse_config(text: str) -> list[ModelSettings]:
    """Reads the text of a ModelServerConfig.

    Raises:
      ServingError: INVALID_ARGUMENT, naming the line and what is wrong in it.
    """
    try:
        config = text_format.Parse(text, ModelServerConfig())
    except (text_format.ParseError, RecursionError) as error:
        raise ServingError(
            Code.INVALID_ARGUMENT,
            f"is no ModelServerConfig: {error}; expected model_config_list {{ config {{ name: .. base_path: .. }} }}",
        ) from error
    return settings_of(config)


def settings_of(config: Any) -> list[ModelSettings]:
    """Turns a ModelServerConfig into settings.

    Raises:
      ServingError: INVALID_ARGUMENT, in the stock server's words where it has some.
    """
    if config.WhichOneof("config") == "custom_model_config":
        raise _invalid(ONLY_LISTS)
    made: dict[str, ModelSettings] = {}
    for model in config.model_config_list.config:
        if model.name in made:
            raise _invalid(f"Illegal to list model {model.name} multiple times in config list")
        made[model.name] = _model(model)
    return list(made.values())


def config_text(models: Sequence[ModelSettings]) -> str:
    """Writes settings as a configuration file that the stock server reads too."""
    config = ModelServerConfig()
    for settings in models:
        model = config.model_config_list.config.add(
            name=settings.name, base_path=str(settings.base_path), model_platform=PLATFORM
        )
        policy = model.model_version_policy
        if settings.policy.only:
            policy.specific.versions.extend(sorted(settings.policy.only))
        elif settings.policy.count is None:
            policy.all.SetInParent()
        else:
            policy.latest.num_versions = settings.policy.count
        for label, version in sorted(settings.labels.items()):
            model.version_labels[label] = version
    text: str = text_format.MessageToString(config)
    return text


def write_config(file: Path, models: Sequence[ModelSettings]) -> None:
    """Writes a configuration file; a reader sees the old one or the new one, never a part.

    Raises:
      OSError: if it cannot be written.
    """
    part = file.with_name(f".{file.name}.{os.getpid()}")
    part.write_text(config_text(models), encoding="utf-8")
    part.replace(file)


def _model(model: Any) -> ModelSettings:
    if not model.name:
        raise _invalid("a model of the config list has no name")
    if model.model_platform not in ("", PLATFORM):
        raise _invalid(f"Model {model.name} requests unsupported platform {model.model_platform}")
    if not Path(model.base_path).is_absolute() or "\0" in model.base_path:
        raise _invalid(
            f"Expected model {model.name} to have an absolute path or URI; got base_path()={model.base_path}"
        )
    choice = model.model_version_policy.WhichOneof("policy_choice")
    if choice == "specific":
        if not model.model_version_policy.specific.versions:
            raise _invalid(f"model {model.name}: the policy 'specific' names no version")
        policy = specific(*model.model_version_policy.specific.versions)
    else:
        policy = every() if choice == "all" else latest(model.model_version_policy.latest.num_versions)
    return ModelSettings(model.name, Path(model.base_path), policy, dict(model.version_labels))


def _invalid(message: str) -> ServingError:
    return ServingError(Code.INVALID_ARGUMENT, message)
