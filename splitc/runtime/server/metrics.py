"""A server's counters, for Prometheus.

Connections that end before a call of theirs was admitted are counted by why the gate closed them.
"""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_MS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


class Metrics:
    """Counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._answers = self._counter("answers", "Requests by how they ended.", ["model", "outcome"])
        self._bytes = self._counter("packet_bytes", "Bytes of packets received.", ["model"])
        self._stage = Histogram(
            "splitc_stage_ms", "Milliseconds by stage.", ["model", "stage"], buckets=_MS, registry=self.registry
        )
        self._batch = Histogram(
            "splitc_batch_size",
            "Requests that ran together.",
            ["model"],
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self.registry,
        )
        self._streams = Gauge("splitc_streams", "Open streams.", registry=self.registry)
        self._stopped = self._counter("stopped_streams", "Streams that stood still for too long.", ["reason"])
        self._refused = self._counter("refused_calls", "Calls refused before any work.", ["reason"])
        self._paced = self._counter("paced_reads", "Times that frames waited for their client's budget.", [])
        self._hung_up = self._counter("closed_connections", "Connections that the server closed.", ["reason"])

    def _counter(self, name: str, text: str, labels: list[str]) -> Counter:
        return Counter(f"splitc_{name}", text, labels, registry=self.registry)

    def answered(self, model: str, packet_bytes: int, ms: Mapping[str, float], batch: int) -> None:
        """One answer went out."""
        self._answers.labels(model, "answered").inc()
        self._bytes.labels(model).inc(packet_bytes)
        self._batch.labels(model).observe(batch)
        for stage, value in ms.items():
            self._stage.labels(model, stage).observe(value)

    def failed(self, model: str, fault: str) -> None:
        """One request was refused."""
        self._answers.labels(model, fault).inc()

    def refused(self, reason: str) -> None:
        """One call was refused before any work."""
        self._refused.labels(reason).inc()

    def hung_up(self, reason: str) -> None:
        """One connection was closed by the gate."""
        self._hung_up.labels(reason).inc()

    def paced(self) -> None:
        """Frames of one connection have to wait: its client began more calls than it may."""
        self._paced.inc()

    def stopped(self, reason: str) -> None:
        """A client neither reads nor sends any more: its stream was ended."""
        self._stopped.labels(reason).inc()

    def totals(self) -> dict[str, int]:
        """Totals so far by name and labels, for the log."""
        return {
            " ".join([sample.name.removeprefix("splitc_").removesuffix("_total"), *sample.labels.values()]): int(
                sample.value
            )
            for family in self.registry.collect()
            if family.type == "counter"
            for sample in family.samples
            if sample.name.endswith("_total") and sample.value
        }

    def stream_opened(self) -> None:
        """One more open stream."""
        self._streams.inc()

    def stream_closed(self) -> None:
        """One fewer."""
        self._streams.dec()

    def page(self) -> bytes:
        """All of them as Prometheus reads them."""
        return bytes(generate_latest(self.registry))
