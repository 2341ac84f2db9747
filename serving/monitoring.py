"""Counters and latencies of calls, under the names that TensorFlow Serving gives them."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from serving.errors import Code

METRICS_PATH = "/monitoring/prometheus/metrics"
CONTENT_TYPE = "text/plain"
# TensorFlow Serving's own buckets, in microseconds.
_BUCKETS_US = tuple(10.0 * 1.8**step for step in range(33))
_PREFIX = ":tensorflow:serving:"


class Monitor:
    """The metrics of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._count = Counter(
            f"{_PREFIX}request_count",
            "The total number of requests.",
            ["model_name", "status"],
            registry=self._registry,
        )
        self._latency = Histogram(
            f"{_PREFIX}request_latency",
            "Distribution of wall time (in microseconds) of requests.",
            ["model_name", "API", "entrypoint"],
            buckets=_BUCKETS_US,
            registry=self._registry,
        )
        self._runtime = Histogram(
            f"{_PREFIX}runtime_latency",
            "Distribution of wall time (in microseconds) of running the graph.",
            ["model_name", "API", "runtime"],
            buckets=_BUCKETS_US,
            registry=self._registry,
        )

    def count(self, model: str, code: Code) -> None:
        """Counts a request by its status."""
        self._count.labels(model, code.name).inc()

    def observe(self, model: str, api: str, entrypoint: str, seconds: float) -> None:
        """Notes how long a request took that ended well."""
        self._latency.labels(model, api, entrypoint).observe(seconds * 1e6)

    def observe_runtime(self, model: str, api: str, seconds: float) -> None:
        """Notes how long the graph ran."""
        self._runtime.labels(model, api, "TF1").observe(seconds * 1e6)

    def page(self) -> bytes:
        """Returns the metrics as Prometheus reads them."""
        text: bytes = generate_latest(self._registry)
        # The library ends every counter's name in _total and adds the time of creation; the stock server does not.
        lines = [line for line in text.splitlines(keepends=True) if b"_created" not in line]
        return b"".join(lines).replace(b"request_count_total", b"request_count")
