"""What a call asks of its answers beyond the best fit: filters, boosts, variety; and the tensors that these become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FILTER_LISTS = ("include_item_ids", "categories", "exclude_categories", "brands")


@dataclass(frozen=True)
class Rules:
    """Rules for every row of a call. A model offers a rule only where its items have the column that it needs.

    Args:
      include_item_ids: only these items may be answered; none means all.
      categories: only items of these categories: whole paths or their first parts, as in "Home > Kitchen".
      exclude_categories: no items of these categories.
      brands: only items of these brands.
      min_price: only items that cost at least so much; an unknown price does not.
      max_price: only items that cost at most so much.
      in_stock_only: no items that were out of stock when the model was made.
      boosts: item id: by how many standard deviations of the scores it is lifted, or lowered where negative.
      diversity: from 0, the best fit alone, to 1, as different from each other as can be.
      max_per_category: how many items of one category; 0 sets no limit.
      min_rating: only items with at least so many stars on average; an item without ratings has none.
    """

    include_item_ids: Sequence[str] = ()
    categories: Sequence[str] = ()
    exclude_categories: Sequence[str] = ()
    brands: Sequence[str] = ()
    min_price: float = 0.0
    max_price: float = 0.0
    in_stock_only: bool = False
    boosts: Mapping[str, float] = field(default_factory=dict)
    diversity: float = 0.0
    max_per_category: int = 0
    min_rating: float = 0.0

    def filters(self, rows: int) -> dict[str, NDArray[Any]]:
        """Builds the inputs that say which items may be answered; rules that are not used stay away."""
        inputs = {name: _texts(getattr(self, name), rows) for name in _FILTER_LISTS if getattr(self, name)}
        for name in ("min_price", "max_price", "min_rating"):
            if getattr(self, name):
                inputs[name] = np.full(rows, getattr(self, name), np.float32)
        if self.in_stock_only:
            inputs["in_stock_only"] = np.ones(rows, np.int32)
        return inputs

    def inputs(self, rows: int) -> dict[str, NDArray[Any]]:
        """Builds all inputs; rules that are not used stay away."""
        inputs = self.filters(rows)
        if self.boosts:
            inputs["boost_item_ids"] = _texts(list(self.boosts), rows)
            inputs["boosts"] = np.tile(np.array(list(self.boosts.values()), np.float32), (rows, 1))
        if self.diversity:
            inputs["diversity"] = np.full(rows, self.diversity, np.float32)
        if self.max_per_category:
            inputs["max_per_category"] = np.full(rows, self.max_per_category, np.int32)
        return inputs


def _texts(values: Sequence[str], rows: int) -> NDArray[Any]:
    return np.tile(np.array([value.encode() for value in values], dtype=object), (rows, 1))
