"""Counters and latencies of calls, under the names that TensorFlow Serving gives them, and some more by signature."""

from __future__ import annotations

import os
import threading
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from serving.errors import Code

CONTENT_TYPE = "text/plain"
# Where several processes of one server keep their numbers; prometheus_client knows it by this name.
SHARED_FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# TensorFlow Serving's own buckets, in microseconds.
_BUCKETS_US = tuple(10.0 * 1.8**step for step in range(33))
_BUCKETS_S = tuple(1e-4 * 2.0**step for step in range(18))
_BUCKETS_ROWS = tuple(2.0**step for step in range(13))
_PREFIX = ":tensorflow:serving:"


class Monitor:
    """The metrics of one server.

    Distributions and what is under way are added up here, and reach the page when it is read, and with `flush`.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._tallies: list[_Tally] = []
        self._calls_under_way = 0
        self._count = self._counter(f"{_PREFIX}request_count", "The total number of requests.", "model_name", "status")
        self._latency = self._histogram(
            f"{_PREFIX}request_latency",
            "Distribution of wall time (in microseconds) of requests.",
            _BUCKETS_US,
            "model_name",
            "API",
            "entrypoint",
        )
        self._runtime = self._histogram(
            f"{_PREFIX}runtime_latency",
            "Distribution of wall time (in microseconds) of running the graph.",
            _BUCKETS_US,
            "model_name",
            "API",
            "runtime",
        )
        by_signature = ("model_name", "signature_name")
        self._calls = self._counter("aisle_calls", "Calls by signature and outcome.", *by_signature, "status")
        self._seconds = self._histogram(
            "aisle_call_seconds", "Time that calls took which ended well.", _BUCKETS_S, *by_signature
        )
        self._rows = self._histogram("aisle_call_rows", "Rows that a call brought.", _BUCKETS_ROWS, *by_signature)
        self._batch_rows = self._histogram(
            "aisle_batch_rows", "Rows that the graph ran on at once.", _BUCKETS_ROWS, *by_signature
        )
        self._queue = self._histogram(
            "aisle_queue_seconds", "Time that calls waited to be run.", _BUCKETS_S, *by_signature
        )
        self._lost_lines = self._counter("aisle_access_log_lost_lines", "Lines that could not be written.")
        self._lost_records = self._counter("aisle_request_log_lost_records", "Records that could not be written.")
        # Of several processes the one that is ahead: all of them see the same folder.
        self._version = self._gauge("aisle_model_version", "The highest version that answers; 0: none.", "model_name")
        self._failed_loads = self._counter("aisle_failed_loads", "Tries to load a version that failed.", "model_name")
        self._told_failures: dict[str, int] = {}
        self._under_way = self._gauge("aisle_calls_under_way", "Calls at work and waiting.", mode="livesum")

    def count(self, model: str, code: Code) -> None:
        """Counts a request by its status."""
        self._count(model, code.name).inc()

    def observe(self, model: str, api: str, entrypoint: str, seconds: float) -> None:
        """Notes how long a request took that ended well."""
        self._latency(model, api, entrypoint).observe(seconds * 1e6)

    def observe_runtime(self, model: str, api: str, seconds: float) -> None:
        """Notes how long the graph ran."""
        self._runtime(model, api, "TF1").observe(seconds * 1e6)

    def observe_call(self, model: str, signature: str, code: Code, seconds: float) -> None:
        """Notes how a call of a signature ended, and how long it took if well."""
        self._calls(model, signature, code.name).inc()
        if code == Code.OK:
            self._seconds(model, signature).observe(seconds)

    def observe_rows(self, model: str, signature: str, rows: int) -> None:
        """Notes how many rows a call brought."""
        self._rows(model, signature).observe(rows)

    def observe_batch(self, model: str, signature: str, rows: int) -> None:
        """Notes how many rows the graph ran on at once."""
        self._batch_rows(model, signature).observe(rows)

    def observe_queue(self, model: str, signature: str, seconds: float) -> None:
        """Notes how long a call waited to be run."""
        self._queue(model, signature).observe(seconds)

    def count_lost_line(self) -> None:
        """Counts a line of the access log that could not be written."""
        self._lost_lines().inc()

    def count_lost_record(self) -> None:
        """Counts a record of the request log that could not be written."""
        self._lost_records().inc()

    def set_version(self, model: str, newest: int, failed_loads: int) -> None:
        """Notes which version of a model answers, 0 for none, and how many tries to load one have failed so far."""
        self._version(model).set(newest)
        self._failed_loads(model).inc(max(0, failed_loads - self._told_failures.get(model, 0)))
        self._told_failures[model] = failed_loads

    def set_under_way(self, calls: int) -> None:
        """Notes how many calls are at work and waiting."""
        self._calls_under_way = calls

    def flush(self) -> None:
        """Hands to the library what came since the last time; where processes share a page, this is what others see."""
        self._under_way().set(self._calls_under_way)
        for tally in tuple(self._tallies):
            tally.flush()

    def page(self) -> bytes:
        """Returns the metrics as Prometheus reads them, those of all processes of the server together."""
        self.flush()
        registry = self._registry
        if SHARED_FOLDER_VARIABLE in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        text: bytes = generate_latest(registry)
        # The library ends every counter's name in _total and adds the time of creation; the stock server does not.
        lines = [line for line in text.splitlines(keepends=True) if b"_created" not in line]
        return b"".join(lines).replace(b"request_count_total", b"request_count")

    def _counter(self, name: str, text: str, *labels: str) -> Callable[..., Counter]:
        return _remembered(Counter(name, text, labels, registry=self._registry))

    def _gauge(
        self, name: str, text: str, *labels: str, mode: Literal["livemax", "livesum"] = "livemax"
    ) -> Callable[..., Gauge]:
        return _remembered(Gauge(name, text, labels, registry=self._registry, multiprocess_mode=mode))

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Callable[..., _Tally]:
        histogram = Histogram(name, text, labels, buckets=buckets, registry=self._registry)

        @cache
        def find(*values: str) -> _Tally:
            self._tallies.append(_Tally(histogram.labels(*values), buckets))
            return self._tallies[-1]

        return find


class _Tally:
    """Adds up what a histogram observes: with several processes the library writes to a file, at 5 us a time.

    Args:
      histogram: with its labels.
      bounds: the upper bounds of its buckets but the last, which has none.
    """

    def __init__(self, histogram: Histogram, bounds: Sequence[float]) -> None:
        self._histogram, self._bounds = histogram, bounds
        self._lock = threading.Lock()
        self._counts, self._sum = [0] * (len(bounds) + 1), 0.0

    def observe(self, value: float) -> None:
        """Counts a value in its bucket."""
        place = bisect_left(self._bounds, value)
        with self._lock:
            self._counts[place] += 1
            self._sum += value

    def flush(self) -> None:
        """Hands over what was counted, and begins anew."""
        with self._lock:
            counts, total = self._counts, self._sum
            self._counts, self._sum = [0] * len(counts), 0.0
        # The library has no public way to add many at once; a test compares the pages.
        for place, count in enumerate(counts):
            if count:
                self._histogram._buckets[place].inc(count)
        self._histogram._sum.inc(total)


def _remembered(metric: Any) -> Callable[..., Any]:
    """Finds a metric by its labels' values; the library checks all of them anew each time, at a cost per call."""

    @cache
    def find(*values: str) -> Any:
        return metric.labels(*values) if values else metric

    return find
