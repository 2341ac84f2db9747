"""Days and moments: seconds since 1970 UTC, and the midnights between them."""

from __future__ import annotations

import datetime

DAY = 86_400  # seconds


def midnight(day: datetime.date) -> int:
    """Returns the midnight UTC with which a day begins, seconds since 1970 UTC."""
    return int(datetime.datetime.combine(day, datetime.time(), datetime.UTC).timestamp())


def day_of(timestamp: int) -> str:
    """Writes the UTC day of a moment, as in 2011-10-14."""
    return datetime.datetime.fromtimestamp(timestamp, datetime.UTC).date().isoformat()
