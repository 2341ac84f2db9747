"""Names of public holidays by day, for the context column `holiday`."""

from __future__ import annotations

import datetime
from functools import lru_cache

import holidays
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.windows import SECONDS_PER_DAY

_EPOCH = datetime.date(1970, 1, 1)


class CalendarError(ValueError):
    """There is no calendar for the configured country."""


def holiday_names(timestamps: npt.NDArray[np.int64], country: str) -> pa.Array:
    """Returns the holiday of each moment's UTC day, "" on other days.

    Args:
      timestamps: int64 `[n]`, seconds since 1970 UTC.
      country: ISO 3166 code, as `features.holiday_country` has it.

    Returns:
      Strings `[n]`: the name that the `holidays` package gives the day, in the country's own language.

    Raises:
      CalendarError: if the package knows no such country.
    """
    days, positions = np.unique(np.asarray(timestamps, np.int64) // SECONDS_PER_DAY, return_inverse=True)
    names = pa.array([_holiday_of(int(day), country) for day in days], pa.string())
    return names.take(pa.array(positions))


@lru_cache(maxsize=1 << 16)
def _holiday_of(day: int, country: str) -> str:
    return str(_calendar(country).get(_EPOCH + datetime.timedelta(days=day), ""))


@lru_cache(maxsize=16)
def _calendar(country: str) -> holidays.HolidayBase:
    try:
        # Without a language the names follow this machine's locale, and the client would ask with others.
        return holidays.country_holidays(country, language=holidays.country_holidays(country).default_language)
    except NotImplementedError as error:
        known = ", ".join(sorted(holidays.list_supported_countries()))
        raise CalendarError(f"features.holiday_country: no calendar for '{country}'; allowed are {known}") from error
