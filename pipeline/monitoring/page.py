"""A look at a model as Prometheus reads it: a file for its textfile collector, or a page of an endpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from pipeline.monitoring.drift import Drift
    from pipeline.monitoring.quality import Quality, Share
    from pipeline.monitoring.watch import Look

# name: (what it says, its labels beside `model`). docs/operations.md tells what to do about each.
METRICS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "aisle_monitor_last_look_seconds": ("When `aisle monitor` looked, seconds since 1970 UTC.", ()),
    "aisle_model_newest_version": ("The newest version that lies where servers look.", ()),
    "aisle_model_created_seconds": ("When that version was exported, seconds since 1970 UTC.", ()),
    "aisle_model_learned_before_seconds": ("The moment up to which it has learned, seconds since 1970 UTC.", ()),
    "aisle_model_items": ("Items that it knows.", ()),
    "aisle_evaluation_blessed": ("1 if the last evaluation let its model pass.", ()),
    "aisle_evaluation_metric": ("What the last evaluation measured of its model.", ("metric", "cases")),
    "aisle_monitor_questions": ("Questions in the sample, by signature.", ("signature",)),
    "aisle_monitor_broken_files": ("Files of the request log that cannot be read to their end.", ()),
    "aisle_monitor_compared_questions": ("Questions that were compared with the training.", ()),
    "aisle_monitor_drift": ("Distance of an input from the training, 0 to 1.", ("feature", "distance")),
    "aisle_monitor_anomaly": (
        "1 for each input whose values the training's schema does not allow.",
        ("feature", "what"),
    ),
    "aisle_monitor_unknown_users_ratio": ("Share of named users whom the model does not know.", ()),
    "aisle_monitor_anonymous_ratio": ("Share of questions that name no user.", ()),
    "aisle_monitor_unknown_items_ratio": ("Share of items in requests that the catalogue does not have.", ()),
    "aisle_monitor_empty_results_ratio": ("Share of answers without an item.", ("signature",)),
    "aisle_monitor_coverage_ratio": ("Share of the catalogue that was shown to anybody.", ()),
}
Value = tuple[str, tuple[str, ...], float]


class Page(Collector):
    """The newest look, for a registry: a reader sees one look or the next, never half of each."""

    def __init__(self) -> None:
        self._families: list[GaugeMetricFamily] = []

    def show(self, look: Look) -> None:
        """Shows a look from now on."""
        self._families = _families(look)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Returns the metrics of the newest look; none before the first."""
        return self._families


def text_of(look: Look) -> bytes:
    """Writes a look in Prometheus' text format."""
    page = Page()
    page.show(look)
    registry = CollectorRegistry()
    registry.register(page)
    text: bytes = generate_latest(registry)
    return text


def write_page(file: Path, look: Look) -> None:
    """Writes a look to a file; a reader sees the old one or the whole new one.

    Raises:
      OSError: if it cannot be written.
    """
    # The textfile collector reads only *.prom.
    incoming = file.with_name(f".{file.name}.incoming")
    incoming.write_bytes(text_of(look))
    incoming.replace(file)


def _families(look: Look) -> list[GaugeMetricFamily]:
    families: dict[str, GaugeMetricFamily] = {}
    for name, labels, value in values_of(look):
        text, label_names = METRICS[name]
        family = families.setdefault(name, GaugeMetricFamily(name, text, labels=("model", *label_names)))
        family.add_metric((look.model.name, *labels), value)
    return list(families.values())


def values_of(look: Look) -> Iterable[Value]:
    """Yields (name of `METRICS`, values of its labels, value) for everything that was seen."""
    yield "aisle_monitor_last_look_seconds", (), look.at_s
    yield "aisle_model_newest_version", (), look.model.version
    yield "aisle_model_created_seconds", (), look.model.created_s
    yield "aisle_model_learned_before_seconds", (), look.model.learned_before_s
    yield "aisle_model_items", (), look.model.items
    if look.verdict is not None:
        yield "aisle_evaluation_blessed", (), float(look.verdict.blessed)
        for labels, value in look.verdict.metrics.items():
            yield "aisle_evaluation_metric", labels, value
    if look.sample is not None:
        yield "aisle_monitor_broken_files", (), look.sample.broken_files
    if look.quality is not None:
        yield from _quality(look.quality)
    if look.drift is not None:
        yield from _drift(look.drift)


def _quality(quality: Quality) -> Iterable[Value]:
    for signature, count in quality.questions.items():
        yield "aisle_monitor_questions", (signature,), count
    shares: list[tuple[str, tuple[str, ...], Share]] = [
        ("aisle_monitor_unknown_users_ratio", (), quality.unknown_users),
        ("aisle_monitor_anonymous_ratio", (), quality.anonymous),
        ("aisle_monitor_unknown_items_ratio", (), quality.unknown_items),
        ("aisle_monitor_coverage_ratio", (), quality.coverage),
        *(
            ("aisle_monitor_empty_results_ratio", (signature,), share)
            for signature, share in quality.empty_results.items()
        ),
    ]
    for name, labels, share in shares:
        if share.ratio is not None:
            yield name, labels, share.ratio


def _drift(drift: Drift) -> Iterable[Value]:
    yield "aisle_monitor_compared_questions", (), drift.rows
    for distance in drift.distances:
        yield "aisle_monitor_drift", (distance.feature, distance.kind), distance.value
    for labels in drift.anomalies:
        yield "aisle_monitor_anomaly", labels, 1.0
