"""The last blessed model: the one that is served now, and that the judged model must not lose to."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from trainer import contract
from trainer.days import day_of
from trainer.exported_model import ExportedModel

_LOG = logging.getLogger(__name__)

# What an export of another version of ours may do: not load, or not know a signature or an input.
UNUSABLE = (ValueError, KeyError, OSError, tf.errors.OpError)


@dataclass(frozen=True)
class Predecessor:
    """The last blessed model, or why it takes no part.

    Args:
      version: its name among the pushed models.
      model: None where the comparison is skipped.
      reason: why it is skipped.
    """

    version: str
    model: ExportedModel | None = None
    reason: str = ""


def open_predecessor(folders: Sequence[str], start: int) -> Predecessor | None:
    """Opens the last blessed model, or its twin, if it has not learned from the judged window.

    Args:
      folders: the pushed SavedModel, then, where it is another model, its twin that the validation window stopped;
        nothing before the first push.
      start: of the judged window, seconds since 1970 UTC.
    """
    if not folders:
        return None
    version, reasons = Path(folders[0]).name, []
    for folder, bound in zip(folders, ("learned_before", "stopped_before"), strict=False):
        try:
            reason = _unfair(folder, bound, start)
            if not reason:
                return Predecessor(version, ExportedModel(folder))
        except UNUSABLE as error:
            reason = unusable(error)
        reasons.append(reason)
    if len(folders) == 1:
        reasons.append("no twin of it that stopped earlier is left in the run folder")
    _LOG.warning("the last blessed model %s takes no part: %s", version, "; ".join(reasons))
    return Predecessor(version, reason="; ".join(reasons))


def unusable(error: Exception) -> str:
    """Says in one line why a model cannot be asked."""
    return f"it cannot be asked: {str(error).splitlines()[0] if str(error) else type(error).__name__}"


def _unfair(folder: str, bound: str, start: int) -> str:
    """Says why it would be unfair to ask a model about the window; "" where it is fair."""
    described = json.loads(Path(folder, contract.CONTRACT_FILE).read_text(encoding="utf-8"))
    data = described["data"]
    # Contracts of before say only which events the tables held.
    learned = int(data.get(bound, data["last_event"] + 1))
    if learned <= start:
        return ""
    return (
        f"it may have learned from events until {day_of(learned - 1)}, but the judged window starts on {day_of(start)}"
    )
