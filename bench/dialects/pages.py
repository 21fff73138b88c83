"""Pages of every dialect over many events, near and far in."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from bench.dialects import asking, world
from bench.dialects.asking import BASIC, PROGRAM, SERVICE, Figure, Headers, ask, measure, request

FAR_PAGE = 10_000
FAR_MS = 50.0

_VARIANTS = 60
_SEARCH = "/archivist/v1/events/search"


class Pages:
    """Asks one server for pages over a number of events."""

    def __init__(self, port: int, events: int) -> None:
        self._port = port
        self._last_ms = world.START_MS + events * world.STEP_MS
        self._dice = random.Random(2)  # noqa: S311  # the same questions every time

    def measure(self) -> list[Figure]:
        """Measure the pages of all dialects."""
        return [
            *self._kvass(), *self._onehub(), *self._cloudfoundry(), *self._orchestrate(),
            *self._datatrails(),
        ]  # fmt: skip

    # Kvass

    def _kvass(self) -> list[Figure]:
        classes = ("order", "invoice", "payment", "product", "plan", "subscription", "user")
        by_class = [f"/events/search?query={name}" for name in classes]
        by_kind = [f"/events/search?query={name}.updated&size=30" for name in classes[:5]]
        far = self._far(self._kvass_total("/events"), 10)
        return [
            self._kvass_page("kvass: class with its total", by_class, 10.0),
            self._kvass_page("kvass: kind, 30 rows", by_kind),
            self._kvass_page("kvass: all, newest first", ["/events"]),
            self._kvass_page(f"kvass: page {far:,}", [f"/events?page={far}"], FAR_MS),
        ]

    def _kvass_page(self, name: str, targets: list[str], wanted: float | None = None) -> Figure:
        total = self._kvass_total(targets[0])
        return self._measure(name, [("GET", t, SERVICE, "") for t in targets], total, wanted)

    def _kvass_total(self, target: str) -> int:
        return int(ask(self._port, "GET", target, SERVICE).headers["X-Pagination-Total"])

    # Onehub

    def _onehub(self) -> list[Figure]:
        readers = [asking.token_of(self._port, login) for login in world.READERS]
        mine = [("/activity?filter_self=true", reader) for reader in readers]
        verbs = [("/activity?filter_self=true&verbs=upload,download", reader) for reader in readers]
        workspaces = (",".join(map(str, world.workspaces_of(n))) for n in range(len(readers)))
        asked = [(f"/activity?workspaces={ids}", PROGRAM) for ids in workspaces]
        far = self._far(self._onehub_total("/activity", PROGRAM), 30)
        return [
            self._onehub_page("onehub: feed of 20 workspaces, filter_self", mine, 10.0),
            self._onehub_page("onehub: the same, two verbs", verbs),
            self._onehub_page("onehub: 20 workspaces of the account", asked),
            self._onehub_page("onehub: feed of the account", [("/activity", PROGRAM)]),
            self._onehub_page(
                f"onehub: page {far:,}", [(f"/activity?page={far}", PROGRAM)], FAR_MS
            ),
        ]

    def _onehub_page(
        self, name: str, asked: Sequence[tuple[str, Headers]], wanted: float | None = None
    ) -> Figure:
        requests = [("GET", target, headers, "") for target, headers in asked]
        return self._measure(name, requests, self._onehub_total(*asked[0]), wanted)

    def _onehub_total(self, target: str, headers: Headers) -> int:
        return int(ask(self._port, "GET", target, headers).json()["total_entries"])

    # Cloud Foundry

    def _cloudfoundry(self) -> list[Figure]:
        admin = asking.token_of(self._port, world.PLATFORM_ADMIN)
        auditor = asking.token_of(self._port, world.SPACE_AUDITOR)
        v2, v3 = self._filtered("v2"), self._filtered("v3")
        compact = [f"{target}&pretty=false" for target in v2]
        far = self._far(self._platform_total("/v2/events", admin), 50)
        return [
            self._platform_page("cloudfoundry: v2, type and time", v2, admin, 5.0),
            self._platform_page("cloudfoundry: v2, the same, pretty=false", compact, admin),
            self._platform_page("cloudfoundry: v2, the same, auditor of 20 spaces", v2, auditor),
            self._platform_page("cloudfoundry: v3, type and time", v3, admin),
            self._platform_page(
                f"cloudfoundry: v2, page {far:,}", [f"/v2/events?page={far}"], admin, FAR_MS
            ),
            self._platform_page(
                f"cloudfoundry: v3, page {far:,}", [f"/v3/audit_events?page={far}"], admin, FAR_MS
            ),
        ]

    def _filtered(self, version: str) -> list[str]:
        targets: list[str] = []
        for _ in range(_VARIANTS):
            type = self._dice.choice(world.AUDITED)
            first, last = (_platform_time(ms) for ms in self._window())
            if version == "v2":
                q = f"type:{type};timestamp>={first};timestamp<={last}"
                targets.append(f"/v2/events?{urlencode({'q': q, 'order-direction': 'desc'})}")
            else:
                asked = {"types": type, "created_ats[gte]": first, "created_ats[lte]": last}
                targets.append(f"/v3/audit_events?{urlencode(asked)}")
        return targets

    def _platform_page(
        self, name: str, targets: list[str], headers: Headers, wanted: float | None = None
    ) -> Figure:
        total = self._platform_total(targets[0], headers)
        return self._measure(name, [("GET", t, headers, "") for t in targets], total, wanted)

    def _platform_total(self, target: str, headers: Headers) -> int:
        answer = ask(self._port, "GET", target, headers).json()
        return int(answer.get("pagination", answer)["total_results"])

    # Orchestrate

    def _orchestrate(self) -> list[Figure]:
        lists = [self._series() for _ in range(_VARIANTS)]
        middles = (self._dice.randrange(world.START_MS, self._last_ms) for _ in range(_VARIANTS))
        between = [f"{self._series()}?beforeEvent={ms}" for ms in middles]
        search = f"/v0/{world.COLLECTION}?query={quote('@path.kind:event')}"
        by_time = f"{search}&sort={quote('@path.timestamp:desc')}"
        found = int(ask(self._port, "GET", by_time, BASIC).json()["total_count"])
        far = self._far(found, 10)
        return [
            self._orchestrate_page("orchestrate: event list", lists, 3.0),
            self._orchestrate_page("orchestrate: event list, before a time", between, 3.0),
            self._orchestrate_page(
                "orchestrate: event list, limit 100", [f"{target}?limit=100" for target in lists]
            ),
            self._orchestrate_page("orchestrate: search, by relevance", [search]),
            self._orchestrate_page("orchestrate: search, newest first", [by_time]),
            self._orchestrate_page(
                f"orchestrate: search, newest first, page {far:,}",
                [f"{by_time}&offset={(far - 1) * 10}"],
                FAR_MS,
            ),
        ]

    def _series(self) -> str:
        key, type = world.series_key(self._dice), self._dice.choice(world.SERIES)
        return f"/v0/{world.COLLECTION}/{key}/events/{type}"

    def _orchestrate_page(
        self, name: str, targets: list[str], wanted: float | None = None
    ) -> Figure:
        # Lists have no total: what the first page holds stands for it.
        answer = ask(self._port, "GET", targets[0], BASIC).json()
        total = int(answer.get("total_count", answer["count"]))
        return self._measure(name, [("GET", t, BASIC, "") for t in targets], total, wanted)

    # DataTrails

    def _datatrails(self) -> list[Figure]:
        self._application = asking.token_of_application(self._port)
        dice = self._dice
        types = [f"event_type eq '{type}'" for type in world.EVENT_TYPES]
        trails = [
            f"trails/any(t: t eq 'trail-{dice.randrange(world.TRAILS)}')" for _ in range(_VARIANTS)
        ]
        both = [f"{trail} and event_type eq '{dice.choice(world.EVENT_TYPES)}'" for trail in trails]
        times = [
            f"created_at gt {first} and created_at le {last} and event_type eq 'order.created'"
            for first, last in (self._window() for _ in range(_VARIANTS))
        ]
        indexes = [f"ledger_entry/index lt {dice.randrange(2_000_000)}" for _ in range(_VARIANTS)]
        creators = ["not (created_by eq '')", f"created_by eq '{world.application_id(0)}'"]
        far = self._far(self._found({"filter": ""}), 20)
        return [
            self._search("datatrails: search by event type", types, 15.0),
            self._search("datatrails: search by trail", trails, 15.0),
            self._search("datatrails: search by trail and event type", both, 15.0),
            self._search("datatrails: search by event type and time", times, 15.0),
            self._search("datatrails: search by place in the public log", indexes, 15.0),
            self._search("datatrails: search by creator", creators, 15.0),
            self._search("datatrails: search for all", [""], 15.0),
            self._search(f"datatrails: search, page {far:,}", [""], FAR_MS, skip=(far - 1) * 20),
        ]

    def _search(
        self, name: str, filters: list[str], wanted: float | None = None, skip: int = 0
    ) -> Figure:
        bodies = [{"filter": text, "top": 20, "skip": skip} for text in filters]
        headers = self._application
        requests = [("POST", _SEARCH, headers, json.dumps(body)) for body in bodies]
        return self._measure(name, requests, self._found(bodies[0]), wanted)

    def _found(self, body: dict[str, object]) -> int:
        answer = ask(self._port, "POST", _SEARCH, self._application, json.dumps(body))
        return int(answer.headers["x-total-count"])

    # All

    def _measure(
        self,
        name: str,
        requests: Sequence[tuple[str, str, Headers, str]],
        total: int,
        wanted: float | None,
    ) -> Figure:
        texts = [request(*parts) for parts in requests]
        return measure(name, self._port, texts, total=total, wanted=wanted)

    def _window(self) -> tuple[int, int]:
        """Return a part of the time there are events of, a tenth of it at most."""
        span_ms = self._last_ms - world.START_MS
        length_ms = self._dice.randrange(span_ms // 300, span_ms // 10)
        first = self._dice.randrange(world.START_MS, self._last_ms - length_ms)
        return first, first + length_ms

    @staticmethod
    def _far(total: int, size: int) -> int:
        """Return the number of a page far in: the one wanted, or the last full one there is."""
        return min(FAR_PAGE, total // size - 1)


def _platform_time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
