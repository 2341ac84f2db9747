"""DIR/serving/NAME: a model's versions and what is known of it beside them. Loads no TensorFlow."""

from __future__ import annotations

from pathlib import Path

from serving.contract import ContractError, read_contract
from serving.model_config import ModelSettings, settings_beside
from serving.versions import list_versions


def find_model(folder: Path) -> ModelSettings:
    """Reads how the model of a folder shall be served.

    Args:
      folder: the base path, which holds one folder a version.

    Raises:
      OSError: if something cannot be read.
      ServingError: INVALID_ARGUMENT if the configuration beside the versions is wrong.
    """
    return settings_beside(ModelSettings(model_name(folder), folder.resolve()))


def model_name(folder: Path) -> str:
    """Returns the name in the contract of a folder's newest model, else the folder's own.

    Raises:
      OSError: if the folder cannot be listed.
    """
    for version in list_versions(folder).values():
        try:
            contract = read_contract(version)
        except ContractError:
            continue  # the store says what is wrong with a version; here another one may know the name
        if contract is not None:
            return contract.name
    return folder.resolve().name
