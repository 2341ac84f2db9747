"""Sessions: what visitors look for, look at, buy and rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.simulator.arrays import Floats, Ints, Mask
from pipeline.simulator.assortment import ASSORTMENTS
from pipeline.simulator.choice import Chooser
from pipeline.simulator.events import CART, PURCHASE, QUERY_FORMS, RATE, SEARCH, Events, Rebuys
from pipeline.simulator.plan import DAY_S
from pipeline.simulator.world import World

ANONYMOUS_SHARE = 0.15
SEARCH_SHARE = 0.45
CLICK_INTERCEPT, CLICK_SLOPE = -0.3, 1.2  # log-odds of a click are linear in the appeal
CART_SHARE = 0.42  # of clicks
PURCHASE_SHARE = 0.65  # of carts
RATE_SHARE = 0.5  # of purchases of known users
REBUY_SHARE = 0.6  # of purchases of things that get used up
REBUY_JITTER = 0.1  # of the cycle, each way
MEAN_EVENTS = 4.5  # per session, about; only the speed depends on it
_VISITS_CONTINUE = 0.5
_MAX_VISITS = 8


@dataclass(frozen=True)
class _Wishes:
    """What visitors come for, one row for each session; `taste` is the customer whose tastes a visitor has."""

    start_s: Ints
    taste: Ints
    known: Mask
    category: Ints
    item: Ints
    query_form: Ints


@dataclass(frozen=True)
class _Visits:
    """One row for each item looked at; `first` marks the first visit of a session, `sure` a re-purchase."""

    session: Ints
    first: Mask
    taste: Ints
    user: Ints
    item: Ints
    start_s: Ints
    query_item: Ints
    query_form: Ints
    sure: bool


class Visitors:
    """Draws the sessions of visitors of `world`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._chooser = Chooser(world)
        self._activity = np.concatenate([[0.0], np.cumsum(world.customers.activity)])
        self._cycle_days = np.array([assortment.cycle_days for assortment in ASSORTMENTS])

    def fresh(self, start_s: Ints, first_session: int, rng: np.random.Generator) -> Events:
        """Draws sessions that begin at `start_s`.

        Args:
          start_s: `[sessions]`, seconds since 1970 UTC.
          first_session: number of the first session.
          rng: source of randomness.

        Returns:
          Their events, session after session.
        """
        wishes = self._wishes(start_s, rng)
        visits = np.minimum(rng.geometric(_VISITS_CONTINUE, len(start_s)), _MAX_VISITS)
        session = np.repeat(np.arange(len(start_s)), visits)
        first = np.concatenate([[True], session[1:] != session[:-1]])
        item = self._items(wishes, session, first, rng)
        searched = wishes.query_form > 0
        return self._funnel(
            _Visits(
                session=first_session + session,
                first=first,
                taste=wishes.taste[session],
                user=np.where(wishes.known, wishes.taste, -1)[session],
                item=item,
                start_s=start_s[session],
                query_item=np.where(searched, wishes.item, -1)[session],
                query_form=wishes.query_form[session],
                sure=False,
            ),
            rng,
        )

    def rebuys(self, rebuys: Rebuys, first_session: int, rng: np.random.Generator) -> Events:
        """Draws the sessions in which customers buy the same again."""
        count = len(rebuys.due_s)
        nothing = np.zeros(count, np.int64)
        return self._funnel(
            _Visits(
                session=first_session + np.arange(count),
                first=np.ones(count, np.bool_),
                taste=rebuys.user,
                user=rebuys.user,
                item=rebuys.item,
                start_s=rebuys.due_s,
                query_item=nothing - 1,
                query_form=nothing,
                sure=True,
            ),
            rng,
        )

    def used_up(self, events: Events, rng: np.random.Generator) -> Rebuys:
        """Draws which purchases will be repeated, and when."""
        bought = events.take((events.stage == PURCHASE) & (events.user >= 0))
        cycle = self._cycle_days[self._world.catalogue.category[bought.item]]
        again = (rng.random(len(bought)) < REBUY_SHARE) & (cycle > 0)
        wait = cycle * DAY_S * (1 + REBUY_JITTER * rng.uniform(-1, 1, len(bought)))
        return Rebuys(bought.timestamp + wait.astype(np.int64), bought.user, bought.item).where(again)

    def _wishes(self, start_s: Ints, rng: np.random.Generator) -> _Wishes:
        """Draws who comes, among those who are customers by then, and for what."""
        count = len(start_s)
        customers = self._world.customers
        here = np.searchsorted(customers.joined_s, start_s, side="right")
        taste = np.searchsorted(self._activity, rng.random(count) * self._activity[here], side="right") - 1
        taste = np.minimum(taste, here - 1)
        known = rng.random(count) >= ANONYMOUS_SHARE
        category = self._chooser.categories(taste, customers.country[taste], start_s, rng)
        wanted = self._chooser.items_of_category(taste, category, start_s, rng)
        searching = rng.random(count) < SEARCH_SHARE
        form = np.where(searching, rng.integers(1, len(QUERY_FORMS), count), 0)
        return _Wishes(start_s, taste, known, category, wanted, form)

    def _items(self, wishes: _Wishes, session: Ints, first: Mask, rng: np.random.Generator) -> Ints:
        """Returns the item of each visit: the wanted one first, then others that the search or the shelf shows."""
        item = wishes.item[session]
        searched = wishes.query_form[session] > 0
        found, browsed = session[~first & searched], session[~first & ~searched]
        start_s, taste = wishes.start_s, wishes.taste
        item[~first & searched] = self._chooser.items_like(taste[found], wishes.item[found], start_s[found], rng)
        item[~first & ~searched] = self._chooser.items_of_category(
            taste[browsed], wishes.category[browsed], start_s[browsed], rng
        )
        return item

    def _funnel(self, visits: _Visits, rng: np.random.Generator) -> Events:
        """Draws how far each visit goes: search, view, click, cart, purchase, rating."""
        count = len(visits.item)
        appeal = self._world.appeal(visits.taste, visits.item)
        draws = rng.random((4, count))
        click = draws[0] < click_odds(appeal)
        cart = click & (draws[1] < CART_SHARE)
        purchase = cart & (draws[2] < PURCHASE_SHARE)
        if visits.sure:
            click[:], cart[:], purchase[:] = True, True, True
        rate = purchase & (visits.user >= 0) & (draws[3] < RATE_SHARE)
        search = visits.first & (visits.query_form > 0)
        happens = np.stack([search, np.ones(count, np.bool_), click, cart, purchase, rate], axis=1)
        timestamp = _clock(visits, happens, rng)
        row, stage = np.nonzero(happens)
        country = self._world.customers.country[visits.taste]
        quantity = 1 + rng.poisson(0.25, count)
        stars = self._stars(visits.taste, visits.item, appeal, rng)
        rated, searched = stage == RATE, stage == SEARCH
        return Events(
            timestamp=timestamp[row, stage],
            stage=stage,
            user=visits.user[row],
            item=np.where(searched, -1, visits.item[row]),
            country=country[row],
            session=np.where(rated, -1, visits.session[row]),
            quantity=np.where((stage == CART) | (stage == PURCHASE), quantity[row], 0),
            stars=np.where(rated, stars[row], 0),
            query_item=np.where(rated, -1, visits.query_item[row]),
            query_form=np.where(rated, 0, visits.query_form[row]),
        )

    def _stars(self, taste: Ints, item: Ints, appeal: Floats, rng: np.random.Generator) -> Ints:
        liking = self._world.customers.category_taste[taste, self._world.catalogue.category[item]]
        stars = 3.0 + 0.7 * appeal + 0.35 * liking + rng.normal(0.0, 0.6, len(item))
        return np.clip(np.rint(stars), 1, 5).astype(np.int64)


def click_odds(appeal: Floats) -> Floats:
    """Returns the probability that a view becomes a click."""
    odds: Floats = 1.0 / (1.0 + np.exp(-(CLICK_INTERCEPT + CLICK_SLOPE * appeal)))
    return odds


def _clock(visits: _Visits, happens: Mask, rng: np.random.Generator) -> Ints:
    """Returns seconds since 1970 UTC `[visits, stages]`: events of a session seconds apart, ratings days later."""
    gaps = rng.integers(4, 90, happens.shape) * happens
    gaps[:, RATE] = 0
    passed = np.cumsum(gaps.ravel()).reshape(gaps.shape)
    # Each session's own clock begins with its first event.
    begin = (passed[:, 0] - gaps[:, 0])[visits.first]
    number = np.cumsum(visits.first) - 1
    timestamp: Ints = visits.start_s[:, None] + passed - begin[number][:, None]
    timestamp[:, RATE] += rng.integers(DAY_S, 7 * DAY_S, len(timestamp))
    return timestamp
