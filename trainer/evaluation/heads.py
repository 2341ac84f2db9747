"""What the model predicts of customer and item, beside the trivial rival of each prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline import schema
from pipeline.config import Config
from trainer import contract, metrics
from trainer.cases import RECOMMEND, Cases, case_inputs, padded
from trainer.contract import PRICE, PURCHASE, RATING
from trainer.event_log import EventLog
from trainer.exported_model import ExportedModel
from trainer.heads.diary import ITEM_EVENTS, Diary
from trainer.heads.goods import Goods, describe_goods, medians_of_others
from trainer.heads.stars import ratings, star_biases
from trainer.heads.training import Targets, targets_of
from trainer.interactions import Interactions
from trainer.rules.attributes import read_attributes

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_USERS = 128
_MOST_CASES = 512  # asked for purchases; where there are more, they are thinned out evenly
_CANDIDATES = 100
_FEW = 30


@dataclass(frozen=True)
class HeadJudge:
    """Measures heads in a window.

    Args:
      model: is asked.
      item_ids: str [items], the catalogue, sorted.
      tables_dir: the tables.
      config: of the shop.
      window: first second and the one after the last, seconds since 1970 UTC.
      level: of the intervals.
    """

    model: ExportedModel
    item_ids: list[str]
    tables_dir: str
    config: Config
    window: tuple[int, int]
    level: float

    def judge(self, cases: Cases) -> list[dict[str, Any]]:
        """Measures every head that the model has.

        Args:
          cases: of the judged window.

        Returns:
          One entry for each: `head`, `rival`, `measure`, `pairs`, `customers`, and the intervals `model`, `trivial` and
          `gain`, which is how much smaller the model's error is.
        """
        found: list[dict[str, Any] | None] = []
        heads = self.model.contract.get("heads", [])
        if PURCHASE in heads:
            found.append(self._purchases(cases.of_task(RECOMMEND)))
        if {RATING, PRICE} & set(heads):
            log = EventLog(self.tables_dir, self.item_ids, end=self.window[1], event_types=ITEM_EVENTS)
            goods = describe_goods(read_attributes(self.tables_dir, self.item_ids), None)
            if RATING in heads:
                found.append(self._ratings(log.interactions, goods))
            if PRICE in heads:
                found += self._prices(log.interactions, goods)
        return [entry for entry in found if entry is not None]

    def _purchases(self, cases: Cases) -> dict[str, Any] | None:
        """Cross-entropy of the scores as log-odds that the best candidates are bought; the rival knows their share."""
        kept = cases.select(np.arange(len(cases)) % (1 + len(cases) // _MOST_CASES) == 0)
        hits, odds, owners = [], [], []
        for first in range(0, len(kept), _USERS):
            inputs = case_inputs(kept.table.slice(first, _USERS), self.model.contract["context"])
            answers = self.model.ask(contract.RECOMMEND, inputs | {contract.K: [min(_CANDIDATES, len(self.item_ids))]})
            ids = np.array([each.decode() for each in answers["item_ids"].ravel()], object)
            rows = np.searchsorted(np.array(self.item_ids, object), ids).reshape(answers["item_ids"].shape)
            for line, place in enumerate(range(first, first + len(rows))):
                there = np.isfinite(answers["scores"][line])
                hits.append(np.isin(rows[line][there], kept.truth[place]))
                odds.append(answers["scores"][line][there].astype(np.float64))
                owners.append(np.full(int(there.sum()), place))
        if not hits or not any(each.any() for each in hits):
            return None
        bought, scores = np.concatenate(hits).astype(np.float64), np.concatenate(odds)
        share = bought.mean()
        ours = np.logaddexp(0.0, scores) - bought * scores
        usual = -(bought * np.log(share) + (1 - bought) * np.log1p(-share)) if share < 1 else np.zeros(len(bought))
        losses = _Errors(np.concatenate(owners), ours, usual)
        return self._entry(PURCHASE, "base rate", "log loss", losses, lambda mean: mean)

    def _ratings(self, events: Interactions, goods: Goods) -> dict[str, Any] | None:
        past, targets = events.before(self.window[0]), self._happened(RATING, events, goods)
        if not len(targets.rows) or not len(ratings(past)):
            return None
        rival = star_biases(ratings(past)).of(targets.users, targets.rows)
        errors = _squares(targets, self._asked(RATING, events, targets), rival)
        return self._entry(RATING, "user bias + item bias", "RMSE in stars", errors, np.sqrt)

    def _prices(self, events: Interactions, goods: Goods) -> list[dict[str, Any]]:
        """Judges all purchases, and those of items that nobody had bought before."""
        past, targets = events.before(self.window[0]), self._happened(PRICE, events, goods)
        if not len(targets.rows):
            return []
        usual = medians_of_others(goods.levels.astype(np.float64), goods.categories)
        usual = np.where(np.isfinite(usual), usual, np.nanmedian(goods.levels))
        errors = _squares(targets, np.log(self._asked(PRICE, events, targets)), usual[targets.rows])
        new = ~np.isin(targets.rows, targets_of(PRICE, past, goods, self.config).rows)
        found = [self._entry(PRICE, "median of the category's other items", "RMSE of log price", errors, np.sqrt)]
        if new.sum() >= _FEW:
            name = f"{PRICE}, items not sold before"
            found.append(
                self._entry(
                    name, "median of the category's other items", "RMSE of log price", errors.where(new), np.sqrt
                )
            )
        return found

    def _happened(self, name: str, events: Interactions, goods: Goods) -> Targets:
        return targets_of(name, events.since(self.window[0]), goods, self.config)

    def _asked(self, output: str, events: Interactions, targets: Targets) -> Floats:
        """Asks the model at the start of the window for what happened in it, [targets]."""
        diary = Diary(events)
        answers = np.zeros(len(targets.rows))
        for users, places in _by_user(targets.users):
            rows, types, ages = diary.histories(users, self.window[0], self.model.contract["history_length"])
            candidates = [[self.item_ids[row] for row in targets.rows[each]] for each in places]
            inputs = {
                schema.RAW_USER_ID: events.user_ids.take(users).to_pylist(),
                schema.RAW_TIMESTAMP: np.full(len(users), self.window[0]),
                schema.RAW_HISTORY_ITEM_IDS: np.array([*self.item_ids, ""], object)[rows],
                schema.RAW_HISTORY_EVENT_TYPES: np.array([*schema.EVENT_TYPES, ""], object)[types],
                schema.RAW_HISTORY_AGES_DAYS: ages.astype(np.float32),
                contract.CANDIDATES: padded(candidates, ""),
            }
            found = self.model.ask(contract.RANK, inputs)[output]
            for line, each in zip(found, places, strict=True):
                answers[each] = line[: len(each)]
        return answers

    def _entry(
        self, head: str, rival: str, measure: str, errors: _Errors, finish: Callable[[Floats], Floats]
    ) -> dict[str, Any]:
        exact, means = errors.means(self.config.seed)
        exact, means = finish(exact), finish(means)
        gain = means[:, 1] - means[:, 0]
        columns = np.column_stack([means, gain])
        lows, highs = metrics.percentile_interval(columns, self.level)
        values = (exact[0], exact[1], exact[1] - exact[0])
        intervals = {
            name: {"value": float(value), "low": float(low), "high": float(high)}
            for name, value, low, high in zip(("model", "trivial", "gain"), values, lows, highs, strict=True)
        }
        counts = {"pairs": len(errors.owners), "customers": len(np.unique(errors.owners))}
        return {"head": head, "rival": rival, "measure": measure, **counts, **intervals}


@dataclass(frozen=True)
class _Errors:
    """Errors of pairs: whose they are, the model's and the rival's, [pairs] each."""

    owners: Rows
    ours: Floats
    rival: Floats

    def where(self, keep: npt.NDArray[np.bool_]) -> _Errors:
        return _Errors(self.owners[keep], self.ours[keep], self.rival[keep])

    def means(self, seed: int) -> tuple[Floats, Floats]:
        """Means of both over pairs, [2], and over resampled customers, [samples, 2]: their pairs stay together."""
        users = np.unique(self.owners, return_inverse=True)[1]
        sums = np.stack(
            [np.bincount(users, each).astype(np.float64) for each in (self.ours, self.rival, np.ones(len(users)))],
            axis=1,
        )
        drawn = metrics.resampled_means(sums, seed)
        return np.array([self.ours.mean(), self.rival.mean()]), drawn[:, :2] / drawn[:, 2:]


def _squares(targets: Targets, ours: Floats, rival: Floats) -> _Errors:
    return _Errors(targets.users, np.square(ours - targets.values), np.square(rival - targets.values))


def _by_user(owners: Rows) -> Iterator[tuple[Rows, list[Rows]]]:
    """Yields some users at a time, and the places of each."""
    users, starts = np.unique(np.sort(owners), return_index=True)
    places = np.split(np.argsort(owners, kind="stable"), starts[1:])
    for first in range(0, len(users), _USERS):
        part = slice(first, first + _USERS)
        yield users[part], places[part]
