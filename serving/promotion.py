"""Which version of a model bears which label, and how that changes: promotions can be taken back."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from serving.model_config import ModelSettings
from serving.versions import specific

# What a label's last version is called, so that it stays loaded and can be had back at once.
BEFORE = "-before"


class PromotionError(ValueError):
    """A label cannot be moved so; the message says why and what would do."""


def promote(settings: ModelSettings, label: str, version: int, on_disk: Collection[int]) -> ModelSettings:
    """Gives a label to a version. From then on exactly the versions with a label are served.

    Args:
      settings: the model as it is served now.
      label: what requests will mean by this version.
      version: its number.
      on_disk: the versions that there are.

    Returns:
      The model as it shall be served.

    Raises:
      PromotionError: if there is no such version.
    """
    _check_label(label)
    if version not in on_disk:
        known = ", ".join(map(str, sorted(on_disk, reverse=True))) or "none"
        raise PromotionError(f"{settings.base_path}: has no version {version}; there are: {known}")
    labels = dict(settings.labels)
    last = labels.get(label)
    labels[label] = version
    if last not in (None, version):
        assert last is not None
        labels[label + BEFORE] = last
    return _served(settings, labels)


def roll_back(settings: ModelSettings, label: str, on_disk: Collection[int]) -> ModelSettings:
    """Gives a label back to the version that bore it before; the other one is served no more, unless by another label.

    Args:
      settings: the model as it is served now.
      label: the one to give back.
      on_disk: the versions that there are.

    Returns:
      The model as it shall be served.

    Raises:
      PromotionError: if no version bore the label before, or it is gone.
    """
    _check_label(label)
    labels = dict(settings.labels)
    last = labels.pop(label + BEFORE, None)
    if last is None:
        raise PromotionError(
            f"{settings.name}: no version bore '{label}' before; name the version you want: promote TARGET VERSION"
        )
    if last not in on_disk:
        raise PromotionError(f"{settings.base_path}: version {last}, which bore '{label}' before, is there no more")
    labels[label] = last
    return _served(settings, labels)


def _check_label(label: str) -> None:
    if label.endswith(BEFORE):
        raise PromotionError(f"'{label}': labels that end in '{BEFORE}' are set by promotions; take another one")


def _served(settings: ModelSettings, labels: dict[str, int]) -> ModelSettings:
    return replace(settings, labels=labels, policy=specific(*labels.values()))
