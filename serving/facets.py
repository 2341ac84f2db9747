"""What a client is told of a whole result set: how many items of each kind it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class ValueCount:
    """How many items have a value."""

    value: str
    count: int


@dataclass(frozen=True)
class RangeCount:
    """How many items have a number from `low` on and below `high`; None sets no end."""

    low: float
    high: float | None
    count: int


@dataclass(frozen=True)
class Facets:
    """All items that are relevant to a query and that the filters allow, counted by kind.

    Args:
      total: how many there are.
      categories: of each category, that of its subcategories included, most items first.
      brands: of each brand, most items first.
      prices: by ranges of price; unknown prices are in none.
      ratings: with at least so many stars.
      in_stock: how many were not out of stock; None where the model does not know.
    """

    total: int
    categories: tuple[ValueCount, ...] = ()
    brands: tuple[ValueCount, ...] = ()
    prices: tuple[RangeCount, ...] = ()
    ratings: tuple[RangeCount, ...] = ()
    in_stock: int | None = None


def read_facets(outputs: Mapping[str, NDArray[Any]]) -> list[Facets]:
    """Reads the outputs of the signature `facets`, one a query."""
    return [
        Facets(
            total=int(total),
            categories=_values(outputs, "category", row),
            brands=_values(outputs, "brand", row),
            prices=_ranges(outputs, "price", row),
            ratings=_at_least(outputs, "rating", row),
            in_stock=int(outputs["in_stock_count"][row]) if "in_stock_count" in outputs else None,
        )
        for row, total in enumerate(outputs["total"])
    ]


def _values(outputs: Mapping[str, NDArray[Any]], name: str, row: int) -> tuple[ValueCount, ...]:
    if f"{name}_values" not in outputs:
        return ()
    pairs = zip(outputs[f"{name}_values"][row], outputs[f"{name}_counts"][row], strict=True)
    return tuple(ValueCount(value.decode(errors="replace"), int(count)) for value, count in pairs if value)


def _ranges(outputs: Mapping[str, NDArray[Any]], name: str, row: int) -> tuple[RangeCount, ...]:
    if f"{name}_from" not in outputs:
        return ()
    starts = outputs[f"{name}_from"][row].tolist()
    counts = outputs[f"{name}_counts"][row].tolist()
    return tuple(RangeCount(*each) for each in zip(starts, [*starts[1:], None], counts, strict=True))


def _at_least(outputs: Mapping[str, NDArray[Any]], name: str, row: int) -> tuple[RangeCount, ...]:
    if f"{name}_from" not in outputs:
        return ()
    pairs = zip(outputs[f"{name}_from"][row].tolist(), outputs[f"{name}_counts"][row].tolist(), strict=True)
    return tuple(RangeCount(low, None, count) for low, count in pairs)
