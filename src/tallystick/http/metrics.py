"""What Prometheus scrapes: ingest, commits, queue, follower lag, checkpoint age, requests."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from tallystick.clock import Clock
from tallystick.http.outgoing_metrics import OutgoingMetrics
from tallystick.log.sequencer import CommitStats
from tallystick.node.node import Node
from tallystick.store.base import LogHead

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_EVENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 10_000)


class Metrics:
    """The metrics of one server, in a registry of their own."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self, node: Node) -> None:
        registry = self._registry = CollectorRegistry()
        self._clock: Clock = node.clock
        self._latest_ms = 0
        self._events = Counter("tallystick_events", "Entries made durable.", registry=registry)
        self._commit_events = Histogram(
            "tallystick_commit_events", "Entries in a commit.", buckets=_EVENTS, registry=registry
        )
        self._commit_seconds = Histogram(
            "tallystick_commit_seconds", "Duration of a commit.", buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self._requests = Counter(
            "tallystick_requests", "Requests answered.", ("dialect", "status"), registry=registry
        )
        # Counted by the event loop's thread alone: a counter with a lock costs every request.
        self._answered: Counts[tuple[str, int]] = Counts()
        self._answered_told: Counts[tuple[str, int]] = Counts()
        self._gauge("tallystick_queue_events", "Drafts waiting.", lambda: node.sequencer.queued[0])
        self._gauge("tallystick_queue_bytes", "Bytes waiting.", lambda: node.sequencer.queued[1])
        self._gauge("tallystick_checkpoint_age_seconds", "Since the latest checkpoint.", self._age)
        self._lag = Gauge(
            "tallystick_follower_lag_entries", "Entries a follower is behind.", ("follower",),
            registry=registry,
        )  # fmt: skip
        self._remade = Gauge(
            "tallystick_index_remade", "How often an index was wrong and made again.",
            ("follower",), registry=registry,
        )  # fmt: skip
        self._set_back = Gauge(
            "tallystick_log_set_back",
            "How often acknowledged entries that a follower had read were gone from a log.",
            ("follower",), registry=registry,
        )  # fmt: skip
        self._witness_lag = Gauge(
            "tallystick_witness_lag_entries", "Entries a witness has not cosigned.", ("witness",),
            registry=registry,
        )  # fmt: skip
        self._gauge(
            "tallystick_witness_conflicts", "How often a witness knew another history of a log.",
            lambda: 0 if node.witnesses is None else node.witnesses.conflicts,
        )  # fmt: skip
        self._away = Gauge(
            "tallystick_store_node_away", "Machines of the database that do not answer.", ("node",),
            registry=registry,
        )  # fmt: skip
        self.outgoing: OutgoingMetrics | None = None
        """What is asked to look before the metrics are rendered."""
        self._node = node
        node.commit_listeners.append(self._committed)

    def add(self, collector: OutgoingMetrics) -> None:
        """Show the metrics of what leaves the store."""
        collector.register(self._registry)
        self.outgoing = collector

    def count_request(self, dialect: str, status: int) -> None:
        """Count an answered request."""
        self._answered[dialect, status] += 1

    def render(self, nodes_away: Sequence[str] = ()) -> bytes:
        """Return everything in the text format."""
        for (dialect, status), count in list(self._answered.items()):
            new = count - self._answered_told[dialect, status]
            self._answered_told[dialect, status] = count
            self._requests.labels(dialect, str(status)).inc(new)
        self._away.clear()
        for name in nodes_away:
            self._away.labels(name).set(1)
        for follower, behind in self._node.lag().items():
            self._lag.labels(follower).set(behind)
        for follower, health in self._node.index.health().items():
            self._remade.labels(follower).set(health.remade)
            self._set_back.labels(follower).set(health.set_back)
        if self._node.witnesses is not None:
            for witness, behind in self._node.witnesses.lag().items():
                self._witness_lag.labels(witness).set(behind)
        return generate_latest(self._registry)

    def _gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        Gauge(name, text, registry=self._registry).set_function(value)

    def _age(self) -> float:
        return max(0, self._clock.now_ms() - self._latest_ms) / 1000 if self._latest_ms else 0.0

    def _committed(self, heads: Sequence[LogHead], stats: CommitStats) -> None:
        self._events.inc(stats.events)
        self._commit_events.observe(stats.events)
        self._commit_seconds.observe(stats.duration_s)
        self._latest_ms = max(head.recorded_ms for head in heads)
