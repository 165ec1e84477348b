"""The numbers at `/metrics`, in Prometheus' text format."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

SECONDS = (0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)


class Numbers:
    """What is counted of one server.

    >>> numbers = Numbers()
    >>> numbers.requests.labels("/health", "GET", "200").inc()
    >>> b'unspool_requests_total{method="GET",path="/health",status="200"} 1.0' in numbers.text()
    True
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ["path", "method", "status"]
        self.requests = Counter("unspool_requests", "Requests answered", labels, registry=self.registry)
        self.seconds = Histogram("unspool_request_seconds", "Until the end", ["path"], registry=self.registry,
                                 buckets=SECONDS)  # fmt: skip
        self.first = Histogram("unspool_first_piece_seconds", "Until the first piece of text", ["model"],
                               registry=self.registry, buckets=SECONDS)  # fmt: skip
        self.open = Gauge("unspool_open_requests", "Requests under way", registry=self.registry)
        self.read = Counter("unspool_tokens_read", "Tokens of prompts", ["model"], registry=self.registry)
        self.written = Counter("unspool_tokens_written", "Tokens generated", ["model"], registry=self.registry)

    def watch(self, values: Callable[[], Iterable[tuple[str, str, str, dict[str, float]]]]) -> None:
        """Add numbers that somebody else keeps: (name, what it is, label, {its value: number})."""
        self.registry.register(Watched(values))

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self.registry)


class Watched:
    """A collector that calls a function whenever the numbers are fetched."""

    def __init__(self, values: Callable[[], Iterable[tuple[str, str, str, dict[str, float]]]]) -> None:
        self.values = values

    def collect(self) -> Iterable[Metric]:
        """The numbers now; those whose name ends in _total only grow."""
        for name, what, label, found in self.values():
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            family = kind(name, what, labels=[label])
            for value, number in found.items():
                family.add_metric([value], number)
            yield family
