"""Simple rivals that a model must not lose to, by the name that `gate.rivals` uses."""

from collections.abc import Sequence

from trainer.baselines.own_frequency import OwnFrequency
from trainer.baselines.popular import Popular
from trainer.baselines.ranker import PAD, Ranker
from trainer.baselines.recent_popular import RecentPopular

RANKERS: dict[str, type[Ranker]] = {each.name: each for each in (Popular, RecentPopular, OwnFrequency)}

__all__ = ["PAD", "RANKERS", "Ranker", "create_rankers"]


def create_rankers(names: Sequence[str]) -> list[Ranker]:
    """Creates rivals by name, in the order given, each once.

    Raises:
      ValueError: naming the unknown one and those there are.
    """
    for name in names:
        if name not in RANKERS:
            raise ValueError(f"gate.rivals: there is no ranker '{name}'; allowed are {', '.join(RANKERS)}")
    return [RANKERS[name]() for name in dict.fromkeys(names)]
