"""Numbers of values of any type."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.columns.text import to_text

# What exports write where there is no number.
MISSING = ("", "nan", "NaN", "NAN", "null", "NULL", "None", "none", "N/A", "n/a", "NA", r"\N", "-")

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def to_numbers(array: pa.Array) -> tuple[Floats, Mask]:
    """Makes floats of values.

    Args:
      array: numbers, booleans or text, `[rows]`.

    Returns:
      The numbers `[rows]`, NaN where there is none, and a mask of the values that are no number.
    """
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.int8())
    if pa.types.is_integer(array.type) or pa.types.is_floating(array.type) or pa.types.is_decimal(array.type):
        numbers = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    else:
        numbers, bad = _parse(to_text(array))
        return np.where(np.isinf(numbers), np.nan, numbers), bad | np.isinf(numbers)
    infinite = np.isinf(numbers)
    return np.where(infinite, np.nan, numbers), infinite


def is_missing(texts: pa.Array) -> pa.Array:
    """Marks texts that stand for no value, `[rows]`."""
    return pc.is_in(texts, value_set=pa.array(MISSING))


def _parse(texts: pa.Array) -> tuple[Floats, Mask]:
    missing = is_missing(texts)
    given = pc.if_else(missing, None, texts)
    try:
        numbers = given.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        numbers = pd.to_numeric(given.to_pandas(), errors="coerce").to_numpy(np.float64)
    return numbers, np.isnan(numbers) & ~missing.to_numpy(zero_copy_only=False)
