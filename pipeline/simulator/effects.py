"""The planted effects of month, weekday, holiday, weather and country on the demand for each category.

All of them are added to the log-odds with which a visitor wants something of a category.
"""

from __future__ import annotations

import math

import numpy as np

from pipeline.simulator.arrays import Floats
from pipeline.simulator.assortment import ASSORTMENTS, COUNTRIES, WEATHERS

# leaf: (month of the peak, 1..12; height of the peak, the trough lies as deep)
_SEASONS = {
    "Candles": (12, 0.9),
    "Planters": (5, 1.1),
    "Running Shoes": (4, 0.5),
    "Rainwear": (10, 0.5),
    "Knitwear": (12, 1.4),
    "Swimwear": (7, 1.5),
    "Board Games": (12, 0.5),
    "Notebooks": (9, 0.7),
    "Coffee and Tea": (1, 0.3),
}
# leaf: on Saturday and Sunday; the negative of a third of it on the other days
_WEEKENDS = {
    "Planters": 0.7,
    "Board Games": 0.6,
    "Blocks and Trains": 0.5,
    "Cookware": 0.4,
    "Notebooks": -0.9,
    "Coffee and Tea": -0.4,
}
# holiday: leaf: lift in the days that lead to it
_HOLIDAYS = {
    "Christmas Day": {"Blocks and Trains": 1.5, "Board Games": 1.2, "Candles": 0.9, "Necklaces": 0.9, "Chocolate": 0.6},
    "Valentine's Day": {"Necklaces": 2.0, "Chocolate": 1.5, "Candles": 0.7},
    "Easter Sunday": {"Chocolate": 1.8, "Planters": 0.5, "Blocks and Trains": 0.4},
    "Mother's Day": {"Necklaces": 1.6, "Planters": 0.8, "Candles": 0.7},
    "Father's Day": {"Cookware": 1.2, "Coffee and Tea": 1.2, "Running Shoes": 0.9, "Notebooks": 0.7},
    "Halloween": {"Candles": 1.3, "Chocolate": 1.0},
}
_PUBLIC_HOLIDAY = {"Board Games": 0.6, "Planters": 0.5, "Cookware": 0.4, "Notebooks": -1.2}
_WEATHERS = {
    "sunny": {"Swimwear": 0.7, "Planters": 0.6, "Running Shoes": 0.4, "Rainwear": -1.0, "Board Games": -0.4},
    "cloudy": {},
    "rain": {"Rainwear": 1.6, "Board Games": 0.8, "Coffee and Tea": 0.3, "Swimwear": -0.8, "Planters": -0.6},
    "snow": {"Knitwear": 1.3, "Candles": 0.6, "Board Games": 0.5, "Swimwear": -1.0, "Running Shoes": -0.6},
}
_COUNTRIES = {
    "GB": {"Coffee and Tea": 0.7, "Rainwear": 0.4, "Dog Food": 0.4},
    "DE": {"Board Games": 0.7, "Blocks and Trains": 0.4, "Notebooks": 0.3},
    "FR": {"Cookware": 0.8, "Chocolate": 0.4},
    "ES": {"Swimwear": 0.7, "Shampoo": 0.5, "Knitwear": -0.6},
    "IT": {"Necklaces": 0.8, "Running Shoes": 0.5, "Coffee and Tea": -0.5},
}

# Holidays that the shop's customers prepare for, and how many days before.
RUN_UP_DAYS = {
    "Christmas Day": 28,
    "Valentine's Day": 12,
    "Easter Sunday": 14,
    "Mother's Day": 10,
    "Father's Day": 10,
    "Halloween": 10,
}


def base() -> Floats:
    """Returns the log of each category's demand, `[categories]`."""
    return np.log([assortment.demand for assortment in ASSORTMENTS])


def season() -> Floats:
    """Returns `[12, categories]`, January first."""
    table = np.zeros((12, len(ASSORTMENTS)))
    for leaf, (peak, height) in _SEASONS.items():
        months = [height * math.cos(2 * math.pi * (month + 1 - peak) / 12) for month in range(12)]
        table[:, _column(leaf)] = np.round(months, 6)
    return table


def weekday() -> Floats:
    """Returns `[7, categories]`, Monday first."""
    table = np.zeros((7, len(ASSORTMENTS)))
    for leaf, lift in _WEEKENDS.items():
        table[:5, _column(leaf)] = round(-lift / 3, 6)
        table[5:, _column(leaf)] = lift
    return table


def holiday(names: tuple[str, ...]) -> Floats:
    """Returns `[names, categories]`; "" has no effect, a day without its own effect that of a day off."""
    return np.stack([_row({} if name == "" else _HOLIDAYS.get(name, _PUBLIC_HOLIDAY)) for name in names])


def weather() -> Floats:
    """Returns `[weathers, categories]`, in the order of `WEATHERS`."""
    return np.stack([_row(_WEATHERS[name]) for name in WEATHERS])


def country() -> Floats:
    """Returns `[countries, categories]`, in the order of `COUNTRIES`."""
    return np.stack([_row(_COUNTRIES[name]) for name in COUNTRIES])


def _row(lifts: dict[str, float]) -> Floats:
    row = np.zeros(len(ASSORTMENTS))
    for leaf, lift in lifts.items():
        row[_column(leaf)] = lift
    return row


def _column(leaf: str) -> int:
    return [assortment.leaf for assortment in ASSORTMENTS].index(leaf)
