"""The simulated shop's customers and what they like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.simulator.arrays import Floats, Ints
from pipeline.simulator.assortment import ASSORTMENTS, COUNTRY_SHARES
from pipeline.simulator.catalogue import SLOTS, vocabulary
from pipeline.simulator.plan import Plan

PERSONAS = 8
LATE_SHARE = 0.3  # of the customers come only after the first day
LIKES = ("tone", "material", "style", "tone")  # slots of the words liked; the last one is disliked
LIKED_SLOTS = tuple(SLOTS.index(slot) for slot in LIKES)

_STREAM = 2  # of the seed


@dataclass(frozen=True)
class Customers:
    """Customers in the order in which they come, so that those of any day are the first rows.

    Args:
      user_ids: `[users]`.
      country: `[users]`, index into `COUNTRIES`.
      joined_s: `[users]`, first second as a customer, rising.
      activity: `[users]`, relative number of visits.
      category_taste: `[users, categories]`, added to the log-odds of a category.
      liked_words: `[users, 4]`, word numbers, one for each of `LIKES`.
      liked_weights: `[users, 4]`, added to the appeal of an item with that word; the last is negative.
      price_sensitivity: `[users]`, subtracted from the appeal per unit of relative price.
    """

    user_ids: tuple[str, ...]
    country: Ints
    joined_s: Ints
    activity: Floats
    category_taste: Floats
    liked_words: Ints
    liked_weights: Floats
    price_sensitivity: Floats

    def __len__(self) -> int:
        return len(self.user_ids)


def build_customers(plan: Plan) -> Customers:
    """Makes `plan.users` customers; the first is there from the start."""
    rng = np.random.default_rng([plan.seed, _STREAM])
    users = plan.users
    joined = np.where(rng.random(users) < LATE_SHARE, rng.integers(plan.start_s, plan.end_s, users), plan.start_s)
    joined[0] = plan.start_s
    weights = rng.uniform(0.8, 1.5, (users, len(LIKES)))
    weights[:, -1] *= -1.0
    personas = rng.normal(0.0, 1.3, (PERSONAS, len(ASSORTMENTS)))
    taste = personas[rng.integers(0, PERSONAS, users)] + rng.normal(0.0, 0.6, (users, len(ASSORTMENTS)))
    return Customers(
        user_ids=tuple(f"U{number + 1:07d}" for number in range(users)),
        country=np.searchsorted(np.cumsum(COUNTRY_SHARES)[:-1], rng.random(users), side="right"),
        joined_s=np.sort(joined),
        activity=rng.lognormal(0.0, 0.8, users),
        category_taste=taste,
        liked_words=_liked_words(users, rng),
        liked_weights=weights,
        price_sensitivity=rng.uniform(0.0, 1.2, users),
    )


def _liked_words(users: int, rng: np.random.Generator) -> Ints:
    """Draws words, those that stand in many categories more often; the disliked one differs from the liked."""
    words = vocabulary()
    columns = []
    for slot in LIKES:
        share = np.array([_categories_with(slot, word) if kind == slot else 0 for kind, word in words], np.float64)
        columns.append(rng.choice(len(words), users, p=share / share.sum()))
    liked, disliked = columns[LIKES.index("tone")], columns[-1]
    tones = np.array([number for number, (kind, _) in enumerate(words) if kind == "tone"])
    columns[-1] = np.where(liked == disliked, tones[(np.searchsorted(tones, disliked) + 1) % len(tones)], disliked)
    return np.stack(columns, axis=1)


def _categories_with(slot: str, word: str) -> int:
    assert slot in SLOTS
    return sum(word in getattr(assortment, slot + "s") for assortment in ASSORTMENTS)
