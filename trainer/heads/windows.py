"""The heads of a training's two models."""

from __future__ import annotations

from functools import cached_property

from trainer.days import DAY, midnight
from trainer.event_log import EventLog
from trainer.heads.diary import ITEM_EVENTS
from trainer.heads.goods import describe_goods
from trainer.heads.head import LearnedHead
from trainer.heads.training import HeadTraining
from trainer.job import TrainingJob
from trainer.rules.attributes import read_attributes
from trainer.texts import Vectors


class HeadTrainer:
    """Makes heads from the tables.

    Args:
      job: the training.
      item_texts: [items, width] text vectors; None where the towers read no item text.
    """

    def __init__(self, job: TrainingJob, item_texts: Vectors | None) -> None:
        self._job, self._item_texts = job, item_texts

    def final(self) -> dict[str, LearnedHead]:
        """Makes the heads that have learned from everything before the test window."""
        times = self._training.events.timestamps if self._wanted else ()
        return self._learn(min(self._test_start, 1 + int(max(times, default=self._test_start))))

    def judged(self) -> dict[str, LearnedHead]:
        """Makes the heads that have not seen the validation window."""
        return self._learn(self._test_start - self._job.config.split.validation_days * DAY)

    def _learn(self, end: int) -> dict[str, LearnedHead]:
        return self._training.learn(end) if self._wanted else {}

    @property
    def _wanted(self) -> bool:
        ranking = self._job.config.ranking
        return ranking.enabled and len(ranking.heads) > 1

    @property
    def _test_start(self) -> int:
        return midnight(self._job.config.split.test_start)

    @cached_property
    def _training(self) -> HeadTraining:
        tables, ids = self._job.fn_args.custom_config["tables"], list(self._job.catalogue.ids)
        goods = describe_goods(read_attributes(tables, ids), self._item_texts)
        log = EventLog(tables, ids, end=self._test_start, event_types=ITEM_EVENTS)
        return HeadTraining(self._job.config, goods, log.interactions)
