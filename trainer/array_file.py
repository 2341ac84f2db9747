"""Arrays in one file."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def write_arrays(file: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Writes arrays, by name, as `numpy.load` reads them; the file appears when all of it is written.

    Args:
      file: of them; its folder is made if it is not there.
      arrays: of any shape and type but objects.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.stem}-", delete=False) as scratch:
        np.savez(scratch, **arrays)
    Path(scratch.name).replace(file)
