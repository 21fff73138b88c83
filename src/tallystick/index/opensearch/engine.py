"""One index in an OpenSearch: made, written in bulk, asked, swapped and removed."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from tallystick import json_text
from tallystick.errors import StoreBusy, StoreError
from tallystick.followers.damage import Cursor, SearchDamaged
from tallystick.index.opensearch.connection import EngineTarget, client_of, translated
from tallystick.index.opensearch.documents import CURSOR, MAPPING, cursor_id, tenant_key

_BULK = 500
_BULK_TIMEOUT_S = 60
_WAIT_S = 120
_CONFLICT = 409
_DONE = (200, 201)
_PAGE = 1_000
_PATHS = 1_000

_SETTINGS = {
    # A commit of ours makes documents and cursors readable together, and nothing else does.
    "refresh_interval": "-1",
    # What was overwritten because of an erasure is to leave the files, however little it is.
    "merge.policy.expunge_deletes_allowed": 0,
    "mapping.total_fields.limit": 50,
}


class DocumentWrite(NamedTuple):
    """A document that takes its place unless a later one has it."""

    id: str
    tenant: str
    version: int
    source: dict[str, Any]


class EngineAnswer(NamedTuple):
    """What a search returned, and how far the tenant's log was in the index at that moment."""

    hits: list[dict[str, Any]]
    total: int
    cursor: int


class Engine:
    """One index, by its name; safe to share between threads."""

    def __init__(self, target: EngineTarget, name: str | None = None) -> None:
        """Use the index `name`, or the one that is served, or make a first one."""
        self.target = target
        self._client = client_of(target)
        self.name = name or self._served() or self.make()

    def _served(self) -> str | None:
        with translated():
            if not self._client.indices.exists_alias(name=self.target.alias):
                return None
            names = list(self._client.indices.get_alias(name=self.target.alias))
        return str(names[0])

    def make(self) -> str:
        """Make an empty index under a name of its own and return that."""
        name = f"{self.target.alias}-{secrets.token_hex(4)}"
        settings = {
            **_SETTINGS,
            "number_of_shards": self.target.shards,
            "number_of_replicas": self.target.replicas,
        }
        with translated():
            self._client.indices.create(
                index=name, body={"settings": {"index": settings}, "mappings": MAPPING}
            )
        return name

    def require(self) -> None:
        """See that the index is there.

        Raises: SearchDamaged.
        """
        with translated():
            if not self._client.indices.exists(index=self.name):
                raise SearchDamaged(f"there is no index {self.name} in the search engine")

    def serve(self) -> None:
        """Let the alias lead here, in one step, and remove those it led to before."""
        with translated():
            before = []
            if self._client.indices.exists_alias(name=self.target.alias):
                before = list(self._client.indices.get_alias(name=self.target.alias))
            if before == [self.name]:
                return
            actions = [
                {"remove": {"index": name, "alias": self.target.alias}}
                for name in before
                if name != self.name
            ]
            actions.append({"add": {"index": self.name, "alias": self.target.alias}})
            self._client.indices.update_aliases(body={"actions": actions})
            for name in before:
                if name != self.name:
                    self._client.indices.delete(index=name, params={"ignore_unavailable": "true"})

    def remove(self) -> None:
        """Remove the index, unless it is served."""
        if self._served() != self.name:
            with translated():
                self._client.indices.delete(index=self.name, params={"ignore_unavailable": "true"})

    # Writing

    def write(self, writes: Iterable[DocumentWrite]) -> None:
        """DocumentWrite documents in bulk; what a later writer has written stays.

        Raises: StoreBusy, StoreError when some document was refused.
        """
        rest = iter(writes)
        while some := list(islice(rest, _BULK)):
            lines: list[bytes] = []
            for each in some:
                action = {
                    "_id": each.id,
                    "routing": tenant_key(each.tenant),
                    "version": each.version,
                    "version_type": "external_gte",
                }
                lines += (json_text.encode({"index": action}), json_text.encode(each.source))
            body = b"\n".join(lines) + b"\n"
            with translated():
                answer = self._client.bulk(
                    body=body, index=self.name, params={"request_timeout": _BULK_TIMEOUT_S}
                )
            if answer["errors"]:
                _check([item["index"] for item in answer["items"]])

    def refresh(self) -> None:
        """Make readable what was written."""
        with translated():
            self._client.indices.refresh(index=self.name)

    def expunge(self) -> bool:
        """Take out of the files what was overwritten; tell whether nothing is left of it.

        The engine keeps what it may need to bring a copy up to date, for half a minute or so.
        """
        with translated():
            indices = self._client.indices
            indices.flush(index=self.name, params={"force": "true"})
            indices.forcemerge(
                index=self.name, params={"only_expunge_deletes": "true", "request_timeout": _WAIT_S}
            )
            # The old files are let go by readers with the first, and by the disk with the second.
            indices.refresh(index=self.name)
            indices.flush(index=self.name, params={"force": "true"})
        return not self.has_overwritten()

    def has_overwritten(self) -> bool:
        """Tell whether documents that were overwritten are still in the files."""
        with translated():
            stats = self._client.indices.stats(index=self.name, metric="docs")
        return bool(stats["_all"]["total"]["docs"]["deleted"])

    def cursors(self) -> dict[str, tuple[int, str]]:
        """Return how far logs were read, with the marks there, by key of the tenant."""
        found: dict[str, tuple[int, str]] = {}
        self.refresh()
        for hit in self._scan({"term": {"s": {"value": CURSOR}}}, ["t", "i", "m"]):
            fields = hit["fields"]
            found[fields["t"][0]] = (fields["i"][0], fields["m"][0])
        return found

    def put_cursor(self, tenant: str, cursor: Cursor) -> DocumentWrite:
        """Return the document that says how far a log was read."""
        source = {
            "t": tenant_key(tenant), "i": cursor.next, "s": [CURSOR], "m": [cursor.mark.hex()],
        }  # fmt: skip
        return DocumentWrite(cursor_id(tenant), tenant, max(cursor.next, 1), source)

    def _scan(self, query: dict[str, Any], fields: Sequence[str]) -> Iterator[dict[str, Any]]:
        after: list[Any] | None = None
        while True:
            body: dict[str, Any] = {
                "size": _PAGE,
                "query": query,
                "sort": [{"t": "asc"}, {"i": "asc"}],
                "docvalue_fields": list(fields),
            }
            if after is not None:
                body["search_after"] = after
            with translated():
                hits = self._client.search(index=self.name, body=body)["hits"]["hits"]
            yield from hits
            if len(hits) < _PAGE:
                return
            after = hits[-1]["sort"]

    def ids_at(self, tenant: str, indexes: Sequence[int]) -> list[str]:
        """Return the ids of the documents of some entries, as of the last refresh."""
        query = {
            "bool": {
                "filter": [
                    {"term": {"t": {"value": tenant_key(tenant)}}},
                    {"terms": {"i": list(indexes)}},
                ],
                "must_not": [{"term": {"s": {"value": CURSOR}}}],
            }
        }
        return [hit["_id"] for hit in self._scan(query, ["i"])]

    # Reading

    def paths(self, tenant: str) -> list[str]:
        """Return the paths that events of a tenant have, as many as are suggested from."""
        body = {
            "size": 0,
            "query": _is("t", tenant_key(tenant)),
            "aggs": {"paths": {"terms": {"field": "p", "size": _PATHS}}},
        }
        with translated():
            answer = self._client.search(index=self.name, body=body)
        found = [bucket["key"] for bucket in answer["aggregations"]["paths"]["buckets"]]
        return [path.rstrip("\0") for path in found]

    def search(self, tenant: str, body: dict[str, Any]) -> EngineAnswer:
        """Return what a search of a tenant's documents finds.

        Documents and cursor are those of one moment: they are in one shard, and become readable
        together.
        """
        key = tenant_key(tenant)
        mine: dict[str, Any] = {
            "filter": {"bool": {"filter": [_is("t", key), _is("s", CURSOR)]}},
            "aggs": {"next": {"max": {"field": "i"}}},
        }
        asked = {
            **body,
            "track_total_hits": True,
            "aggs": {"all": {"global": {}, "aggs": {"mine": mine}}},
        }
        with translated():
            answer = self._client.search(
                index=self.name, body=asked, params={"routing": key, "preference": "_primary"}
            )
        if answer["timed_out"] or answer["_shards"]["failed"]:
            raise StoreBusy("the search engine answered in part only")
        found = answer["aggregations"]["all"]["mine"]["next"]["value"]
        hits = answer["hits"]
        return EngineAnswer(
            hits["hits"], hits["total"]["value"], 0 if found is None else int(found)
        )

    def count(self, tenant: str, query: dict[str, Any]) -> int:
        """Return how many documents of a tenant match."""
        return self.search(tenant, {"size": 0, "query": query}).total

    def close(self) -> None:
        """Release connections; idempotent."""
        self._client.close()


def _is(field: str, value: str) -> dict[str, Any]:
    return {"term": {field: {"value": value}}}


def _check(items: Sequence[dict[str, Any]]) -> None:
    """Raise StoreError or StoreBusy for a document that was refused, but for late ones."""
    for item in items:
        status = item["status"]
        if status in _DONE or status == _CONFLICT:
            continue
        if status in (429, 503):
            raise StoreBusy("the search engine has too much to do")
        raise StoreError(f"the search engine refused a document: {item['error']['type']}")
