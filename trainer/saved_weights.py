"""The variables of a SavedModel, read without its graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

_IDS = "item_ids"


class SavedWeights:
    """The variables of a SavedModel.

    Args:
      version: the SavedModel's folder.
    """

    def __init__(self, version: Path) -> None:
        self._reader = tf.train.load_checkpoint(str(version / "variables" / "variables"))
        self._names = set(self._reader.get_variable_to_shape_map())

    def weights(self, name: str) -> list[npt.NDArray[Any]]:
        """Reads a list of variables; none where there is no such list."""
        found: list[npt.NDArray[Any]] = []
        while (key := f"{name}/{len(found)}/.ATTRIBUTES/VARIABLE_VALUE") in self._names:
            found.append(np.asarray(self._reader.get_tensor(key)))
        return found

    def item_ids(self) -> list[str]:
        """Reads the ids of the items, without the pad before them."""
        return [each.decode() for each in self._reader.get_tensor(f"{_IDS}/.ATTRIBUTES/VARIABLE_VALUE")[1:]]
