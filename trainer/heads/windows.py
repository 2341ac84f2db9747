"""The heads of a training's two models."""

from __future__ import annotations

from functools import cached_property

from pipeline.config import Config
from trainer.catalogue import Catalogue
from trainer.days import DAY, midnight
from trainer.event_log import EventLog
from trainer.heads.diary import ITEM_EVENTS
from trainer.heads.goods import describe_goods
from trainer.heads.head import LearnedHead
from trainer.heads.training import HeadTraining
from trainer.rules.attributes import read_attributes
from trainer.texts import Vectors


def wants_heads(config: Config) -> bool:
    """Tells whether a shop has heads beside the purchase's."""
    return config.ranking.enabled and len(config.ranking.heads) > 1


class HeadTrainer:
    """Makes heads from the tables.

    Args:
      config: of the shop.
      catalogue: the items.
      tables_dir: the tables.
      item_texts: [items, width] text vectors; None where the towers read no item text.
    """

    def __init__(self, config: Config, catalogue: Catalogue, tables_dir: str, item_texts: Vectors | None) -> None:
        self._config, self._catalogue, self._tables, self._item_texts = config, catalogue, tables_dir, item_texts

    def final(self) -> dict[str, LearnedHead]:
        """Makes the heads that have learned from everything before the test window."""
        times = self._training.events.timestamps if wants_heads(self._config) else ()
        return self._learn(min(self._test_start, 1 + int(max(times, default=self._test_start))))

    def judged(self) -> dict[str, LearnedHead]:
        """Makes the heads that have not seen the validation window."""
        return self._learn(self._test_start - self._config.split.validation_days * DAY)

    def _learn(self, end: int) -> dict[str, LearnedHead]:
        return self._training.learn(end) if wants_heads(self._config) else {}

    @property
    def _test_start(self) -> int:
        return midnight(self._config.split.test_start)

    @cached_property
    def _training(self) -> HeadTraining:
        tables, ids = self._tables, list(self._catalogue.ids)
        goods = describe_goods(read_attributes(tables, ids), self._item_texts)
        log = EventLog(tables, ids, end=self._test_start, event_types=ITEM_EVENTS)
        return HeadTraining(self._config, goods, log.interactions)
