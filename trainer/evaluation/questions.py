"""What the model and its rivals are asked: the cases of the judged window, in tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.cases import RECOMMEND, SEARCH, Cases
from trainer.gate import COLD, NEW, SEARCHES, WARM

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Question:
    """Cases that make one table.

    Args:
      cases: of one task.
      excluded: for each case the rows that its answer must leave out.
    """

    cases: Cases
    excluded: Sequence[Rows]


def make_questions(cases: Cases, *, searches: bool) -> dict[str, Question]:
    """Splits the cases into the tables of the report; those without cases are left out.

    Args:
      cases: of the judged window.
      searches: whether the model answers searches.
    """
    users = cases.of_task(RECOMMEND)
    warm, cold = users.select(users.warm()), users.select(~users.warm())
    unseen = warm.unseen()
    found = {
        WARM: Question(warm, _nothing(warm)),
        COLD: Question(cold, _nothing(cold)),
        NEW: Question(unseen, unseen.seen),
    }
    if searches:
        asked = cases.of_task(SEARCH)
        found[SEARCHES] = Question(asked, _nothing(asked))
    return {name: question for name, question in found.items() if len(question.cases)}


def _nothing(cases: Cases) -> list[Rows]:
    return [np.zeros(0, np.int64)] * len(cases)
