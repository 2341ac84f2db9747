"""The metrics' page says what the library alone would say."""

import re

import numpy as np
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from serving.errors import Code
from serving.monitoring import Monitor

NAME = "aisle_call_seconds"


def _lines(page: bytes, name: str) -> list[str]:
    return [line for line in page.decode().splitlines() if line.startswith(name) and "_created" not in line]


def test_distributions_are_those_of_the_library() -> None:
    monitor, registry = Monitor(), CollectorRegistry()
    bounds = [float(found) for found in re.findall(r'le="([^+]*?)"', _page_after_one(monitor))]
    library = Histogram(NAME, "any", ["model_name", "signature_name"], buckets=bounds, registry=registry)
    values = [*np.random.default_rng(7).lognormal(-6, 3, 500), *bounds, 0.0, 1e9]
    monitor.observe_call("m", "s", Code.OK, 0.5)  # was read once already, as below
    for value in (0.5, 0.5, *values):
        library.labels("m", "s").observe(value)
    for number, value in enumerate(values):
        monitor.observe_call("m", "s", Code.OK, float(value))
        if number % 100 == 0:
            monitor.flush()
    assert _lines(monitor.page(), NAME) == _lines(generate_latest(registry), NAME)
    assert len(_lines(monitor.page(), NAME)) == len(bounds) + 3


def test_what_is_under_way_is_that_of_the_moment() -> None:
    monitor = Monitor()
    for calls in (1, 2, 1):
        monitor.set_under_way(calls)
    assert _lines(monitor.page(), "aisle_calls_under_way") == ["aisle_calls_under_way 1.0"]


def _page_after_one(monitor: Monitor) -> str:
    monitor.observe_call("m", "s", Code.OK, 0.5)
    return "\n".join(_lines(monitor.page(), f"{NAME}_bucket"))
