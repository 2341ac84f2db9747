"""The past windows that a ranking stage learns from, and the towers of each."""

from __future__ import annotations

import logging
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.config.ranking import past_name
from trainer.cases import RECOMMEND
from trainer.days import day_of
from trainer.event_log import learned_purchases
from trainer.interactions import Interactions
from trainer.job import TrainingJob
from trainer.phase import TrainedModel
from trainer.ranking.knowledge import Wares
from trainer.ranking.stage import TwoStage
from trainer.ranking.training import PastWindow, RankingTraining, price_levels

_LOG = logging.getLogger(__name__)
_VALIDATION = "validation"


class StageTrainer:
    """Makes ranking stages, each from windows that lie before it.

    For each window there are towers that end where it starts: those that were stopped by the validation window for
    that one, and others, trained for as many epochs, for the windows before it.

    Args:
      job: the training.
      judged: the towers that have not seen the validation window.
    """

    def __init__(self, job: TrainingJob, judged: TrainedModel) -> None:
        self._job, self._judged = job, judged
        self._past: dict[int, PastWindow | None] = {}

    def final(self) -> TwoStage | None:
        """Makes the stage of towers that have learned from everything; None without `ranking.enabled`."""
        cases = self._cases(_VALIDATION)
        newest = [PastWindow(cases, self._judged)] if len(cases) else []
        return self._learn(newest, self._bought.end)

    def judged(self) -> TwoStage | None:
        """Makes the stage of the towers that have not seen the validation window."""
        cases = self._cases(_VALIDATION)
        end = int(cases["timestamp"][0].as_py()) if len(cases) else self._bought.end
        return self._learn([], end)

    def _learn(self, newest: list[PastWindow], end: int) -> TwoStage | None:
        ranking = self._job.config.ranking
        if not ranking.enabled:
            return None
        older = [self._window(number) for number in range(1, 1 + ranking.windows - len(newest))]
        windows = [*newest, *(window for window in older if window is not None)]
        training = RankingTraining(
            config=self._job.config,
            catalogue=self._job.catalogue,
            wares=self._wares,
            bought=self._bought,
            transform_graph=self._job.fn_args.transform_output,
        )
        return training.learn(windows, end)

    def _window(self, number: int) -> PastWindow | None:
        """Trains the towers of a window, once; None where nobody bought in it or nothing lies before it."""
        if number not in self._past:
            name = past_name(number)
            cases = self._cases(name)
            start = int(cases["timestamp"][0].as_py()) if len(cases) else 0
            usable = len(cases) > 0 and len(self._job.examples.before(start)) > 0
            self._past[number] = None
            if usable:
                _LOG.info("ranking: towers as they would have been on %s", day_of(start))
                epochs = max(1, self._judged.progress.best_epoch)
                self._past[number] = PastWindow(cases, self._job.train(name, epochs, before=start))
        return self._past[number]

    def _cases(self, name: str) -> pa.Table:
        cases = pq.read_table(Path(self._job.fn_args.custom_config["cases"], f"{name}.parquet"))
        return cases.filter(pc.equal(cases["task"], RECOMMEND))

    @cached_property
    def _wares(self) -> Wares:
        """The items as any towers find them: their texts are from before the training."""
        return Wares(price_levels(self._job.catalogue), self._judged.item_texts)

    @cached_property
    def _bought(self) -> Interactions:
        """All truth events that the final towers learn from; they end with the last of them."""
        tables, ids = self._job.fn_args.custom_config["tables"], list(self._job.catalogue.ids)
        return learned_purchases(tables, ids, self._job.config)
