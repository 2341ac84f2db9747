"""From past windows to heads: who rated or bought what, and what was known when the window began."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline import schema
from pipeline.config import Config
from trainer.contract import PRICE, RATING
from trainer.days import DAY
from trainer.device import deterministic_ops
from trainer.heads.diary import Diary
from trainer.heads.goods import Goods
from trainer.heads.head import Head, LearnedHead, Newcomers
from trainer.heads.price import PriceHead
from trainer.heads.rating import RatingHead
from trainer.heads.regression import Pairs, Recipe, Regression, choose, fit, join
from trainer.heads.stars import ratings
from trainer.heads.taste import Taste
from trainer.interactions import Interactions

_LOG = logging.getLogger(__name__)

_USERS = 128
_HELD_OUT_SHARE = 0.25
_FEW = 4  # pairs of an item, where all items shall count alike

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class HeadTraining:
    """What heads are made of.

    Args:
      config: of the shop.
      goods: the items.
      events: of all types that name an item; of each window only those before it are looked at.
    """

    config: Config
    goods: Goods
    events: Interactions

    def learn(self, end: int) -> dict[str, LearnedHead]:
        """Makes the heads that the configuration names.

        Args:
          end: events at or after it are not looked at, seconds since 1970 UTC.

        Returns:
          The heads by name; without those that the shop's events cannot teach.
        """
        found = {}
        for name in (RATING, PRICE):
            head = self._learn(name, end) if name in self.config.ranking.heads else None
            if head is not None:
                found[name] = head
        return found

    def pairs(self, name: str, start: int, end: int) -> Pairs | None:
        """Describes what happened in a window by what was known when it began.

        Args:
          name: of the head.
          start: of the window, seconds since 1970 UTC.
          end: of the window.

        Returns:
          The pairs; None without any, or if nothing before the window says what to expect.
        """
        head = self._head(name, start)
        happened = targets_of(name, self.events.before(end).since(start), self.goods, self.config)
        if head is None or not len(happened.rows):
            return None
        length, parts = self.config.ranking.history_length, []
        for users in _chunks(np.unique(happened.users)[: self.config.ranking.max_requests]):
            request = self._diary.request(users, start, length)
            rows, values = happened.of(users)
            there, items = rows >= 0, tf.constant(np.maximum(rows, 0))
            read = (
                head.features(request, head.taste.look(request), items),
                head.start(items),
                head.rival(request, items),
            )
            features, starts, rivals = (column.numpy()[there] for column in read)
            parts.append(Pairs(features, starts, rivals, values[there].astype(np.float32), rows[there]))
        return join(parts)

    def _learn(self, name: str, end: int) -> LearnedHead | None:
        ranking, training = self.config.ranking, self.config.training
        edges = [end - number * ranking.window_days * DAY for number in range(ranking.head_windows + 1)]
        found = [self.pairs(name, start, stop) for stop, start in itertools.pairwise(edges)]
        windows = [window for window in found if window is not None]
        head = self._head(name, end)
        if head is None or not windows:
            _LOG.warning("the %s head is left out: no past window has anything for it to learn from", name)
            return None
        pairs = join(windows)  # the newest first
        newest = sum(map(len, windows[: max(1, round(_HELD_OUT_SHARE * len(windows)))]))
        with deterministic_ops(training.deterministic and not training.xla):
            regression = self._fit(name, pairs, np.arange(len(pairs)) < newest)
            if name != PRICE:
                return LearnedHead(head, regression)
            # What was paid for an item may be learned by heart; where nothing was, it has to be told by the others.
            few = pairs.few_of_each_item(_FEW)
            some = np.random.default_rng(self.config.seed).random(len(self.goods)) < _HELD_OUT_SHARE
            unsold = self._fit(f"{name} (of items not sold yet)", few, some[few.rows], by_item=True)
        return LearnedHead(head, regression, Newcomers(np.isin(np.arange(len(self.goods)), pairs.rows), unsold))

    def _fit(self, name: str, pairs: Pairs, held_out: npt.NDArray[np.bool_], *, by_item: bool = False) -> Regression:
        """Chooses by the pairs that are held out, then learns from all."""
        ranking, seed, recipe = self.config.ranking, self.config.seed, Recipe()
        if held_out.any() and not held_out.all():
            recipe = choose(pairs.where(~held_out), pairs.where(held_out), ranking, seed, by_item=by_item)
        _LOG.info(
            "the %s head: %d pairs, %d of them held out: penalty %g, %d epochs, error %.4g, rival's %.4g",
            *(name, len(pairs), held_out.sum(), recipe.penalty, recipe.epochs, recipe.error, recipe.rival_error),
        )
        return fit(pairs, recipe, ranking, seed)

    @cached_property
    def _diary(self) -> Diary:
        return Diary(self.events)

    def _head(self, name: str, moment: int) -> Head | None:
        """Makes a head as of a moment; None if nothing is known then."""
        past = self.events.before(moment)
        taste = Taste(self.goods, past, self.config.ranking.history_length)
        if name == PRICE:
            return PriceHead(taste, self.goods) if np.isfinite(self.goods.levels).any() else None
        return RatingHead(taste, past) if len(ratings(past)) else None


@dataclass(frozen=True)
class Targets:
    """What happened in a window.

    Args:
      users: int64 [n], places in the events' `user_ids`.
      rows: int64 [n], of the catalogue.
      values: [n], stars, or logarithms of prices.
    """

    users: Rows
    rows: Rows
    values: npt.NDArray[np.float64]

    def of(self, users: Rows) -> tuple[Rows, npt.NDArray[np.float64]]:
        """Lays out what happened to users, ascending, as rows and values [users, n]; rows are padded with -1."""
        order = np.argsort(self.users, kind="stable")
        starts = np.searchsorted(self.users[order], users)
        counts = np.searchsorted(self.users[order], users, side="right") - starts
        step = np.arange(max(1, int(counts.max(initial=0))))
        there = step < counts[:, np.newaxis]
        places = order[np.where(there, starts[:, np.newaxis] + step, 0)]
        return np.where(there, self.rows[places], -1), np.where(there, self.values[places], 0.0)


def targets_of(name: str, happened: Interactions, goods: Goods, config: Config) -> Targets:
    """Finds what a head has to predict among the events of a window.

    Args:
      name: of the head.
      happened: the events.
      goods: the items, whose prices count where an event has none.
      config: says which events are purchases.
    """
    if name == RATING:
        rated = ratings(happened)
        return Targets(rated.users, rated.item_rows, rated.values)
    truth = [schema.EVENT_TYPES.index(each) for each in config.split.truth_events]
    bought = happened.where(np.isin(happened.types, truth))
    paid = bought.prices > 0
    levels = np.where(paid, np.log(np.where(paid, bought.prices, 1.0)), goods.levels[bought.item_rows])
    known = np.isfinite(levels)
    return Targets(bought.users[known], bought.item_rows[known], levels[known])


def _chunks(users: Rows) -> Sequence[Rows]:
    return np.array_split(users, max(1, -(-len(users) // _USERS)))
