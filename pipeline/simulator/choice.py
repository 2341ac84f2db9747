"""How a visitor picks a category, and an item in it.

An item is picked with a probability proportional to popularity times exp(appeal), among those on sale.
It is drawn by rejection: by popularity first, then kept with probability exp(appeal - the highest
possible appeal). So the cost does not grow with the catalogue.
"""

from __future__ import annotations

import numpy as np

from pipeline.simulator.arrays import Floats, Ints
from pipeline.simulator.assortment import ASSORTMENTS
from pipeline.simulator.catalogue import vocabulary
from pipeline.simulator.world import World

_PROPOSALS = 8  # per round
_ROUNDS = 16  # after so many rounds, about one in a thousand is still open and takes the fallback


class Chooser:
    """Picks categories and items for visitors of `world`."""

    def __init__(self, world: World) -> None:
        self._world = world
        catalogue = world.catalogue
        self._edges = np.concatenate([[0.0], np.cumsum(catalogue.popularity)])
        self._has_word = np.zeros((len(ASSORTMENTS), len(vocabulary())), np.bool_)
        for slot in range(catalogue.words.shape[1]):
            self._has_word[catalogue.category, catalogue.words[:, slot]] = True
        self._cheapest = np.zeros(len(ASSORTMENTS))
        np.minimum.at(self._cheapest, catalogue.category, catalogue.relative_price)
        # The oldest item of each category, the most popular of them: there is always one to fall back on.
        self._anchor = np.zeros(len(ASSORTMENTS), np.int64)
        order = np.lexsort((-catalogue.popularity, catalogue.offered_s, catalogue.category))
        present, first = np.unique(catalogue.category[order], return_index=True)
        self._anchor[present] = order[first]

    def categories(self, users: Ints, country: Ints, timestamp: Ints, rng: np.random.Generator) -> Ints:
        """Draws one category for each visitor, `[visits]`."""
        scores = self._world.category_scores(users, country, timestamp)
        odds = np.cumsum(np.exp(scores - scores.max(axis=1, keepdims=True)), axis=1)
        return (odds <= (rng.random(len(users)) * odds[:, -1])[:, None]).sum(axis=1)

    def items_of_category(self, users: Ints, category: Ints, timestamp: Ints, rng: np.random.Generator) -> Ints:
        """Draws one item of each given category, `[visits]`."""
        ranges = self._world.catalogue.category_range[category]
        return self._items(users, ranges, timestamp, self._anchor[category], rng)

    def items_like(self, users: Ints, items: Ints, timestamp: Ints, rng: np.random.Generator) -> Ints:
        """Draws one item of the same category and noun as each given one, `[visits]`."""
        return self._items(users, self._world.catalogue.noun_range[items], timestamp, items, rng)

    def _items(self, users: Ints, ranges: Ints, timestamp: Ints, fallback: Ints, rng: np.random.Generator) -> Ints:
        world, chosen = self._world, fallback.copy()
        bound = self._highest_appeal(users, world.catalogue.category[fallback])
        low, high = self._edges[ranges[:, 0]], self._edges[ranges[:, 1]]
        open_rows = np.arange(len(users))
        for _ in range(_ROUNDS):
            if not len(open_rows):
                break
            rows = open_rows[:, None]
            draws = rng.random((2, len(open_rows), _PROPOSALS))
            found = np.searchsorted(self._edges, low[rows] + draws[0] * (high - low)[rows], side="right") - 1
            found = np.clip(found, ranges[rows, 0], ranges[rows, 1] - 1)
            odds = np.exp(world.appeal(users[rows], found) - bound[rows])
            kept = (draws[1] < odds) & (world.catalogue.offered_s[found] <= timestamp[rows])
            done, first = kept.any(axis=1), kept.argmax(axis=1)
            chosen[open_rows[done]] = found[done, first[done]]
            open_rows = open_rows[~done]
        return chosen

    def _highest_appeal(self, users: Ints, category: Ints) -> Floats:
        customers = self._world.customers
        bound = -customers.price_sensitivity[users] * self._cheapest[category]
        for column in range(customers.liked_words.shape[1]):
            weight = np.maximum(customers.liked_weights[users, column], 0.0)
            bound += weight * self._has_word[category, customers.liked_words[users, column]]
        return bound
