"""Metrics of what leaves the store: live tails, streams and exports.

Streams are read from their states, which any server has on a shared store: each tells of all. Names
of tenants and streams are shown only where the metrics need a key; elsewhere a stream goes by the
salt that tells it from every other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tallystick.exports.jobs.jobs import ExportJobs
from tallystick.http.live.hub import Hub
from tallystick.identity.records import Identity
from tallystick.identity.streams import Stream
from tallystick.store.base import Store
from tallystick.store.stream_states import StreamStates
from tallystick.subscriptions.streams.progress import StreamProgress

_LABELS = ("tenant", "stream")


class _StreamSample(NamedTuple):
    labels: tuple[str, str]
    lag: int
    events: int
    requests: int
    failures: int
    is_active: bool


class OutgoingMetrics(Collector):
    """Collects what was looked at last; `look` may wait for the store, `collect` does not."""

    def __init__(
        self,
        store: Store,
        identity: Identity,
        states: StreamStates,
        hub: Hub,
        exports: ExportJobs,
        *,
        shows_names: bool,
    ) -> None:
        self._store = store
        self._identity = identity
        self._states = states
        self._hub = hub
        self._exports = exports
        self._shows_names = shows_names
        self._streams: list[_StreamSample] = []

    def register(self, registry: CollectorRegistry) -> None:
        """Let a registry show these metrics."""
        registry.register(self)

    def look(self) -> None:
        """Read how far streams are.

        Raises: StoreBusy, StoreError.
        """
        sizes = {head.tenant: head.size for head in self._store.log_heads()}
        docs = {(row.tenant, row.stream): row.doc for row in self._states.all()}
        self._streams = [
            self._sample(stream, docs.get((stream.tenant, stream.id)), sizes[stream.tenant])
            for stream in self._identity.list_of_all(Stream)
            if stream.tenant in sizes
        ]

    def _sample(self, stream: Stream, doc: bytes | None, size: int) -> _StreamSample:
        labels = (stream.tenant, stream.id) if self._shows_names else ("", stream.salt)
        is_active = stream.state == "active"
        progress = None if doc is None else msgspec.json.decode(doc, type=StreamProgress)
        if progress is None or progress.salt != stream.salt:
            return _StreamSample(labels, max(0, size - stream.start), 0, 0, 0, is_active)
        at = progress.at.index if progress.epoch == stream.epoch else stream.start
        return _StreamSample(
            labels,
            max(0, size - at),
            progress.total,
            progress.requests,
            progress.failures,
            is_active,
        )

    def collect(self) -> Iterable[Metric]:
        """Return the metrics."""
        yield GaugeMetricFamily(
            "tallystick_tail_readers", "Live tails under way.", len(self._hub.readers)
        )
        ended = CounterMetricFamily(
            "tallystick_tails_ended", "Live tails that ended, by why.", labels=("reason",)
        )
        for reason, count in self._hub.ended.items():
            ended.add_metric((reason,), count)
        yield ended
        yield from self._of_streams()
        exports = GaugeMetricFamily(
            "tallystick_exports", "Export files of this server, by state.", labels=("state",)
        )
        for state, count in self._exports.counts().items():
            exports.add_metric((state,), count)
        yield exports

    def _of_streams(self) -> Iterable[Metric]:
        lag = GaugeMetricFamily(
            "tallystick_stream_lag_entries", "Entries a stream is behind.", labels=_LABELS
        )
        active = GaugeMetricFamily(
            "tallystick_stream_active", "Whether a stream is sent.", labels=_LABELS
        )
        events = CounterMetricFamily(
            "tallystick_stream_events", "Events that a stream delivered.", labels=_LABELS
        )
        requests = CounterMetricFamily(
            "tallystick_stream_requests", "Requests that a stream made.", labels=_LABELS
        )
        failures = CounterMetricFamily(
            "tallystick_stream_failures", "Requests that were not taken.", labels=_LABELS
        )
        for each in self._streams:
            lag.add_metric(each.labels, each.lag)
            active.add_metric(each.labels, each.is_active)
            events.add_metric(each.labels, each.events)
            requests.add_metric(each.labels, each.requests)
            failures.add_metric(each.labels, each.failures)
        yield from (lag, active, events, requests, failures)
