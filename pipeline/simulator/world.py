"""A simulated shop before anybody visits it: its products, customers and days."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.simulator import effects
from pipeline.simulator.almanac import Almanac, build_almanac, day_of
from pipeline.simulator.arrays import Floats, Ints
from pipeline.simulator.catalogue import Catalogue, build_catalogue
from pipeline.simulator.customers import LIKED_SLOTS, Customers, build_customers
from pipeline.simulator.plan import Plan


@dataclass(frozen=True)
class World:
    """The parts that visits are drawn from.

    Args:
      plan, catalogue, customers, almanac: the parts.
      opened_s: `[categories]`, when the first item of the category is offered; never without one.
      season, weekday, holiday, weather, country: planted effects, `[..., categories]`.
    """

    plan: Plan
    catalogue: Catalogue
    customers: Customers
    almanac: Almanac
    opened_s: Ints
    season: Floats
    weekday: Floats
    holiday: Floats
    weather: Floats
    country: Floats

    def category_scores(self, users: Ints, country: Ints, timestamp: Ints) -> Floats:
        """Returns the log-odds `[visits, categories]` of what each visitor wants, -inf for empty categories."""
        day = day_of(self.plan, timestamp)
        almanac = self.almanac
        scores = (
            effects.base()
            + self.customers.category_taste[users]
            + self.season[almanac.month[day]]
            + self.weekday[almanac.weekday[day]]
            + self.holiday[almanac.holiday[country, day]]
            + self.weather[almanac.weather[country, day]]
            + self.country[country]
        )
        scores[timestamp[:, None] < self.opened_s[None]] = -np.inf
        return scores

    def appeal(self, users: Ints, items: Ints) -> Floats:
        """Returns how much each item appeals to each user by its words and price; shapes as of `users`, broadcast."""
        customers, catalogue = self.customers, self.catalogue
        score = -customers.price_sensitivity[users] * catalogue.relative_price[items]
        for column, slot in enumerate(LIKED_SLOTS):
            liked = customers.liked_words[users, column] == catalogue.words[items, slot]
            score += customers.liked_weights[users, column] * liked
        return score


def build_world(plan: Plan) -> World:
    """Makes the shop that `plan` and its seed describe."""
    catalogue, almanac = build_catalogue(plan), build_almanac(plan)
    never = np.iinfo(np.int64).max
    opened = [
        int(catalogue.offered_s[first:end].min()) if end > first else never
        for first, end in catalogue.category_range.tolist()
    ]
    return World(
        plan=plan,
        catalogue=catalogue,
        customers=build_customers(plan),
        almanac=almanac,
        opened_s=np.array(opened),
        season=effects.season(),
        weekday=effects.weekday(),
        holiday=effects.holiday(almanac.holiday_names),
        weather=effects.weather(),
        country=effects.country(),
    )
