"""The context that the moment of a request brings by itself: the holiday of its day."""

from __future__ import annotations

import datetime
from functools import lru_cache
from typing import Any


class CalendarError(ValueError):
    """There is no calendar for a country."""


def holiday_name(timestamp: int, country: str) -> str:
    """Returns the holiday of a moment's UTC day, "" on other days, under the name that training used.

    Args:
      timestamp: seconds since 1970 UTC.
      country: ISO 3166 code.

    Raises:
      CalendarError: if the `holidays` package knows no such country.
    """
    day = datetime.datetime.fromtimestamp(timestamp, datetime.UTC).date()
    return str(_calendar(country).get(day, ""))


@lru_cache(maxsize=16)
def _calendar(country: str) -> Any:
    import holidays

    try:
        # Without a language the names follow this machine's locale, and would not be those of training.
        return holidays.country_holidays(country, language=holidays.country_holidays(country).default_language)
    except NotImplementedError as error:
        raise CalendarError(f"no calendar for '{country}'; expected an ISO 3166 country code") from error
