"""The days of a simulation: months, weekdays, holidays and weather of each country, and how busy they are."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

import holidays
import numpy as np

from pipeline.simulator.arrays import Floats, Ints
from pipeline.simulator.assortment import COUNTRIES, WEATHERS
from pipeline.simulator.effects import RUN_UP_DAYS
from pipeline.simulator.plan import DAY_S, Plan

_STREAM = 3  # of the seed
_PERSISTENCE = 0.55  # chance that today's weather is yesterday's
_WINTER_ODDS = (0.20, 0.37, 0.28, 0.15)  # of WEATHERS in January
_SUMMER_ODDS = (0.52, 0.28, 0.20, 0.00)  # of WEATHERS in July
_WEEKDAY_VOLUME = (1.0, 0.95, 0.95, 1.0, 1.05, 1.25, 1.4)  # Monday first
_HOUR_VOLUME = (2, 1, 1, 1, 1, 2, 3, 5, 6, 6, 6, 6, 7, 6, 6, 6, 7, 8, 9, 11, 12, 11, 8, 4)
_CHRISTMAS_VOLUME = 1.6


@dataclass(frozen=True)
class Almanac:
    """What a day is like.

    Args:
      month: `[days]`, 0 is January.
      weekday: `[days]`, 0 is Monday.
      holiday_names: names; the first is "", for days without one.
      holiday: `[countries, days]`, index into `holiday_names`: the public holiday of the day, else
        the one that customers prepare for.
      weather: `[countries, days]`, index into `WEATHERS`.
      volume: `[days * 24]`, relative number of events in each hour.
    """

    month: Ints
    weekday: Ints
    holiday_names: tuple[str, ...]
    holiday: Ints
    weather: Ints
    volume: Floats


def build_almanac(plan: Plan) -> Almanac:
    """Looks up the holidays and draws the weather of each day of `plan`."""
    days = [plan.start + datetime.timedelta(days=number) for number in range(plan.days)]
    month = np.array([day.month - 1 for day in days])
    weekday = np.array([day.weekday() for day in days])
    names = [_holidays_of(country, days) for country in COUNTRIES]
    holiday_names = ("", *sorted({name for row in names for name in row} - {""}))
    numbers = {name: number for number, name in enumerate(holiday_names)}
    holiday = np.array([[numbers[name] for name in row] for row in names])
    volume = np.array(_WEEKDAY_VOLUME)[weekday] * np.linspace(0.8, 1.2, plan.days)
    christmas = [numbers["Christmas Day"]] if "Christmas Day" in numbers else []
    volume = volume * np.where(np.isin(holiday[0], christmas), _CHRISTMAS_VOLUME, 1.0)
    return Almanac(
        month=month,
        weekday=weekday,
        holiday_names=holiday_names,
        holiday=holiday,
        weather=_weather(plan.seed, month),
        volume=np.outer(volume, _HOUR_VOLUME).ravel(),
    )


def day_of(plan: Plan, timestamp: Ints) -> Ints:
    """Returns the number of the day, 0 for `plan.start`, of each timestamp."""
    return (timestamp - plan.start_s) // DAY_S


def _holidays_of(country: str, days: list[datetime.date]) -> list[str]:
    # The years around, for run-ups that cross New Year and holidays after the last day.
    years = range(days[0].year, days[-1].year + 2)
    # The language is named: by default the package follows the machine's locale.
    public = holidays.country_holidays(country, years=years, language="en_US")
    gifts = holidays.country_holidays("US", years=years, categories=("public", "unofficial"), language="en_US")
    found = dict.fromkeys(days, "")
    # Later ones win: the nearest holiday to prepare for, then the day itself. Names of one day come joined.
    named = [(day, name) for day, joined in sorted(gifts.items(), reverse=True) for name in joined.split("; ")]
    for day, name in named:
        for ahead in range(RUN_UP_DAYS.get(name, -1) + 1):
            before = day - datetime.timedelta(days=ahead)
            if before in found:
                found[before] = name
    for day, name in public.items():
        if day in found and found[day] != "Easter Sunday":
            found[day] = name
    return [found[day] for day in days]


def _weather(seed: int, month: Ints) -> Ints:
    """Draws `[countries, days]`: mostly as yesterday, else by the season's odds."""
    rng = np.random.default_rng([seed, _STREAM])
    draws = rng.random((len(COUNTRIES), len(month), 2))
    summer = (1 - np.cos(2 * np.pi * month / 12)) / 2
    odds = np.outer(1 - summer, _WINTER_ODDS) + np.outer(summer, _SUMMER_ODDS)
    edges = np.cumsum(odds, axis=1)[:, : len(WEATHERS) - 1]
    fresh = (draws[:, :, 1, None] >= edges[None]).sum(axis=2)
    weather = fresh.copy()
    for day in range(1, len(month)):
        stay = draws[:, day, 0] < _PERSISTENCE
        weather[:, day] = np.where(stay, weather[:, day - 1], fresh[:, day])
    return weather
