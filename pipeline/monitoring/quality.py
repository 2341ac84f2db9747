"""What requests and answers are like: how much is unknown, how often nothing was found, how much is ever shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from pipeline import schema as names
from pipeline.monitoring.requests import Asked

# Inputs that name items of the shop.
_ITEM_INPUTS = (names.RAW_HISTORY_ITEM_IDS, names.RAW_ITEM_ID, "candidate_item_ids")
_ANSWERED = "item_ids"


@dataclass(frozen=True)
class Share:
    """A part of a whole.

    Args:
      part: how many.
      whole: of how many.
    """

    part: int
    whole: int

    @property
    def ratio(self) -> float | None:
        """The part of the whole; None of nothing."""
        return self.part / self.whole if self.whole else None


@dataclass(frozen=True)
class Quality:
    """What a sample of calls is like.

    Args:
      questions: signature: how many rows.
      unknown_users: named users whom the model does not know.
      anonymous: questions that name nobody.
      unknown_items: items that requests name and the catalogue does not have.
      empty_results: signature: answers without a single item.
      coverage: items of the catalogue that were shown to anybody.
    """

    questions: Mapping[str, int] = field(default_factory=dict)
    unknown_users: Share = Share(0, 0)
    anonymous: Share = Share(0, 0)
    unknown_items: Share = Share(0, 0)
    empty_results: Mapping[str, Share] = field(default_factory=dict)
    coverage: Share = Share(0, 0)


def describe(asked: Iterable[Asked], users: Collection[str], items: Collection[str]) -> Quality:
    """Describes calls.

    Args:
      asked: the calls.
      users: whom the model knows.
      items: the catalogue.
    """
    questions: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    empty: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    shown: set[str] = set()
    for call in asked:
        questions[call.signature] += call.rows
        if names.RAW_USER_ID in call.inputs:
            _count_users(call, users, counts)
        _count_items(call, items, counts)
        if _ANSWERED in call.outputs:
            found = np.char.decode(call.outputs[_ANSWERED].astype(bytes), "utf-8", "replace")
            answers[call.signature] += len(found)
            empty[call.signature] += int((found == "").all(axis=1).sum())
            shown.update(found[found != ""].tolist())
    return Quality(
        questions=dict(questions),
        unknown_users=Share(counts["unknown users"], counts["named users"]),
        anonymous=Share(counts["anonymous"], counts["anonymous"] + counts["named users"]),
        unknown_items=Share(counts["unknown items"], counts["items"]),
        empty_results={signature: Share(empty[signature], count) for signature, count in answers.items()},
        coverage=Share(len(shown.intersection(items)), len(items) if shown else 0),
    )


def _count_users(call: Asked, users: Collection[str], counts: Counter[str]) -> None:
    for user in call.input(names.RAW_USER_ID, "")[:, 0].tolist():
        counts["named users" if user else "anonymous"] += 1
        counts["unknown users"] += bool(user) and user not in users


def _count_items(call: Asked, items: Collection[str], counts: Counter[str]) -> None:
    for alias in _ITEM_INPUTS:
        if alias in call.inputs and call.signature != "embed_items":
            named = call.input(alias, "")
            for item in named[named != ""].tolist():
                counts["items"] += 1
                counts["unknown items"] += item not in items
