"""Moments of values of any type: whole seconds since 1970, UTC."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.columns.number import Floats, Mask, is_missing, to_numbers
from pipeline.columns.text import to_text

ACCEPTED = "ISO 8601 such as 2010-12-01T08:26:00Z (no zone means UTC), or seconds or milliseconds since 1970"
LATEST = 4_102_444_800  # 2100-01-01; what lies beyond is a filler such as 9999-12-31

Seconds = npt.NDArray[np.int64]

# Year first, so that day and month cannot be confused; T or space; zone as Z, +01, +0100 or +01:00.
_ISO = r"^\d{4}([-/]?)\d{2}([-/]?)\d{2}([T ]\d{2}(:?\d{2}(:?\d{2}([.,]\d+)?)?)?)?( ?(Z|UTC|GMT|[+-]\d{2}(:?\d{2})?))?$"
_COMPACT_DAY = r"^(19|20)\d{6}$"  # 20101201 is a day, not the seconds of a morning in 1970
_NUMBER = r"^\d+(\.\d*)?$"
_UNITS = ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6), (np.inf, 1e9))  # numbers below the first are in units of 1/second


def to_seconds(array: pa.Array) -> tuple[Seconds, Mask, Mask]:
    """Makes moments of values.

    Args:
      array: timestamps, days, numbers or text, `[rows]`.

    Returns:
      Seconds since 1970 UTC `[rows]`, a mask of missing values and one of values that are no moment
      between 1970 and 2100.
    """
    if pa.types.is_timestamp(array.type) or pa.types.is_date(array.type):
        seconds, missing = _of_moments(array), array.is_null().to_numpy(zero_copy_only=False)
    elif pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        seconds, missing = _of_texts(to_text(array))
    else:
        numbers, _ = to_numbers(array)
        seconds, missing = _of_numbers(numbers), array.is_null().to_numpy(zero_copy_only=False)
        missing = missing | (np.isnan(numbers) & pa.types.is_floating(array.type))
    bad = ~missing & ~((seconds > 0) & (seconds < LATEST))
    return np.where(missing | bad, 0, seconds).astype(np.int64), missing, bad


def _of_moments(array: pa.Array) -> Floats:
    """Seconds of Arrow's own moments; a zone there already means UTC inside."""
    moments = array.cast(pa.timestamp("us", getattr(array.type, "tz", None)), safe=False)
    micros = pc.fill_null(moments.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    return (micros // 1_000_000).astype(np.float64)


def _of_numbers(numbers: Floats) -> Floats:
    seconds = np.full(len(numbers), np.nan)
    lower = 0.0
    for upper, per_second in _UNITS:
        fits = (numbers >= lower) & (numbers < upper)
        seconds[fits] = np.floor(numbers[fits] / per_second)
        lower = upper
    return seconds


def _of_texts(texts: pa.Array) -> tuple[Floats, Mask]:
    missing = is_missing(texts)
    given = pc.if_else(missing, None, texts)
    absent = missing.to_numpy(zero_copy_only=False)
    for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):  # almost every column is one of these throughout
        try:
            return _of_moments(given.cast(kind)), absent
        except pa.ArrowInvalid:
            continue
    return _of_mixed(texts.to_pandas()), absent


def _of_mixed(texts: pd.Series) -> Floats:
    """Seconds of texts in several forms, NaN where no form fits."""
    seconds = np.full(len(texts), np.nan)
    numeric = (texts.str.match(_NUMBER) & ~texts.str.match(_COMPACT_DAY)).to_numpy(bool)
    if numeric.any():
        seconds[numeric] = _of_numbers(texts[numeric].astype(np.float64).to_numpy())
    iso = texts.str.match(_ISO).to_numpy(bool) & ~numeric
    if iso.any():
        # A moment a row, so that rows with a zone may stand beside rows without; each is UTC in the end.
        moments = pd.to_datetime(texts[iso].str.replace(",", "."), errors="coerce", utc=True)
        epoch = pd.Timestamp(0, tz="UTC")
        seconds[iso] = np.floor(((moments - epoch) / pd.Timedelta(seconds=1)).to_numpy())
    return seconds
