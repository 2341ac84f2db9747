"""Checkpoints of a training, so that a killed one goes on where it was and ends as if nothing had happened."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.array_file import write_arrays

Arrays = list[npt.NDArray[Any]]


@dataclass
class Progress:
    """How far a training is.

    Args:
      epoch: epochs that are done.
      best_epoch: the one with the best validation metric; 0 is before the first.
      best_metric: that metric, None where nothing is validated.
      logs: what was measured after each epoch, that before the first included.
      finished: whether the training has ended.
    """

    epoch: int = 0
    best_epoch: int = 0
    best_metric: float | None = None
    logs: list[dict[str, float]] = field(default_factory=list)
    finished: bool = False


class Checkpoint:
    """One file with the state of one training, replaced as a whole.

    Args:
      folder: of this training alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "checkpoint.npz"

    def save(self, progress: Progress, state: Arrays, best: Arrays) -> None:
        """Writes the state beside the last one, then puts it in its place."""
        for left_over in self._folder.glob(".checkpoint-*"):
            left_over.unlink()
        named = {f"state/{place:05}": array for place, array in enumerate(state)}
        named |= {f"best/{place:05}": array for place, array in enumerate(best)}
        write_arrays(self._file, {"progress": np.array(json.dumps(asdict(progress))), **named})

    def load(self) -> tuple[Progress, Arrays, Arrays] | None:
        """Reads what `save` wrote last; None if nothing did."""
        if not self._file.exists():
            return None
        with np.load(self._file) as stored:
            progress = Progress(**json.loads(str(stored["progress"])))
            names = sorted(stored.files)
            state = [stored[name] for name in names if name.startswith("state/")]
            best = [stored[name] for name in names if name.startswith("best/")]
        return progress, state, best

    def remove(self) -> None:
        """Removes the folder and all that is in it."""
        shutil.rmtree(self._folder, ignore_errors=True)


def read_variables(variables: Sequence[Any]) -> Arrays:
    """Returns the values of Keras variables."""
    return [np.array(variable.numpy()) for variable in variables]


def assign_variables(variables: Sequence[Any], values: Arrays) -> None:
    """Gives Keras variables their values back.

    Raises:
      ValueError: if there are more or fewer values than variables, or a shape is another.
    """
    if len(variables) != len(values):
        raise ValueError(f"the checkpoint holds {len(values)} values, the training has {len(variables)} variables")
    for variable, value in zip(variables, values, strict=True):
        if tuple(variable.shape) != value.shape:
            raise ValueError(
                f"{variable.path}: expected the shape {tuple(variable.shape)}, the checkpoint has {value.shape}"
            )
        variable.assign(value)
