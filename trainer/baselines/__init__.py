"""Simple rivals that a model must not lose to, by the name that `gate.rivals` uses."""

from collections.abc import Sequence

from trainer.baselines.als import Als
from trainer.baselines.bm25 import Bm25
from trainer.baselines.bpr import Bpr
from trainer.baselines.ease import Ease
from trainer.baselines.ease_frequency import EaseFrequency
from trainer.baselines.item_knn import ItemKnn
from trainer.baselines.own_frequency import OwnFrequency
from trainer.baselines.popular import Popular
from trainer.baselines.ranker import PAD, Ranker
from trainer.baselines.recent_popular import RecentPopular
from trainer.baselines.trees import Trees

_ALL: tuple[type[Ranker], ...] = (
    Popular,
    RecentPopular,
    OwnFrequency,
    ItemKnn,
    Ease,
    EaseFrequency,
    Als,
    Bpr,
    Trees,
    Bm25,
)
RANKERS: dict[str, type[Ranker]] = {each.name: each for each in _ALL}
#: those that cost next to nothing, so that every report has them
QUICK: tuple[str, ...] = (Popular.name, RecentPopular.name, OwnFrequency.name)

__all__ = ["PAD", "QUICK", "RANKERS", "Ranker", "create_rankers"]


def create_rankers(names: Sequence[str]) -> list[Ranker]:
    """Creates rivals by name, in the order given, each once.

    Raises:
      ValueError: naming the unknown one and those there are.
    """
    for name in names:
        if name not in RANKERS:
            raise ValueError(f"gate.rivals: there is no ranker '{name}'; allowed are {', '.join(RANKERS)}")
    return [RANKERS[name]() for name in dict.fromkeys(names)]
