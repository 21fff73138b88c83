"""The adapter to tantivy: what is written, what is asked, and what comes back.

With `queries`, this is all that knows the library. What is relied on was found out by experiment
and is pinned by `tests/index/test_search_engine.py`; the surprising parts:

- Two bounds of a range over JSON must be of one kind of number or the library panics, so both are
  given as numbers with a fraction, or as two ranges.
- Numbers in JSON are doubles throughout: in a column of integers in one segment and of doubles in
  another, values would not compare.
- Deleting by a term of a number deletes nothing; deleting by a query does.
- Counts of values are approximate unless every segment may return all of them.
- Panics are no `Exception`. A limit of zero, a phrase of one word, a page beyond the last row and a
  column that no document has are some.
- Rows of equal sort values come in no particular order, and missing values come first.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import tantivy
from tantivy import Order

from tallystick import deadline
from tallystick.errors import (
    InvalidQuery,
    StoreBusy,
    StoreFailed,
    TallystickError,
    Unexpected,
)
from tallystick.followers.damage import SearchDamaged
from tallystick.index.search.integrity import META, read_meta, remove_strangers, verify_segments
from tallystick.index.search.queries import (
    FACTS,
    INTEGERS,
    KEY,
    NUMBERS,
    OCCURRED,
    RECORDED,
    TOKENIZER,
    WORDS,
    Match,
    Query,
    all_of,
    between,
    has_number,
    schema_of,
    to_query,
)
from tallystick.index.search.terms import FILLER

Address: TypeAlias = tantivy.DocAddress

_BUCKET_LIMIT = "bucket limit was exceeded"
_LOCKED = "LockBusy"
_EXPANSIONS = "exceeded max expansions"
_INTEGRAL = float(2**52)
"""From here on doubles have no fraction."""


class EngineRow(NamedTuple):
    """A document in an order: what it is sorted by, and where it is."""

    value: Any
    address: Address


def open_index(folder: Path, id: str) -> tantivy.Index:
    """Open the index with an id in a folder, making it if there is none.

    Raises: SearchDamaged for a folder that has to be filled again, StoreFailed.
    """
    with _opening:
        index = tantivy.Index(schema_of(id), path=str(folder))
        blanks = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace())
        index.register_tokenizer(
            TOKENIZER, blanks.filter(tantivy.Filter.custom_stopword([FILLER])).build()
        )
        index.config_reader("manual")
        return index


def reload(index: tantivy.Index) -> None:
    """Make the latest commit visible to new snapshots."""
    with _opening:
        index.reload()


def stamp_of(folder: Path) -> int:
    """Return the stamp of the latest commit."""
    return read_meta(folder).opstamp


def residue_of(folder: Path) -> int:
    """Return how many deleted documents are still in the files."""
    segments = read_meta(folder).segments
    return sum(part.deletes.num_deleted_docs for part in segments if part.deletes is not None)


def version_of(folder: Path) -> tuple[int, int]:
    """Return what differs from one commit to the next, at the price of one look at a file."""
    with _translated:
        status = (folder / META).stat()
    return (status.st_ino, status.st_mtime_ns)


class IndexWriter:
    """Adds and removes documents; nothing shows before `commit`."""

    def __init__(self, folder: Path, id: str, heap_bytes: int) -> None:
        self.index = open_index(folder, id)
        with _opening:
            # One thread: another would fight the server for the second core.
            self._writer = self.index.writer(heap_bytes, 1)
        try:
            # Nobody else writes from here on.
            verify_segments(folder)
            remove_strangers(folder)
        except BaseException:
            self.close()
            raise

    def add(
        self, key: int, occurred_ms: int, recorded_ms: int, words: str, facts: str, numbers: Any
    ) -> None:
        """Add a document."""
        document = tantivy.Document()
        document.add_unsigned(KEY, key)
        document.add_integer(OCCURRED, occurred_ms)
        document.add_integer(RECORDED, recorded_ms)
        if words:
            document.add_text(WORDS, words)
        document.add_text(FACTS, facts)
        if numbers:
            document.add_json(NUMBERS, numbers)
        with _translated:
            self._writer.add_document(document)

    def remove(self, query: Query) -> None:
        """Remove what matches and was added before."""
        with _translated:
            self._writer.delete_documents_by_query(query)

    def commit(self) -> None:
        """Make everything since the last commit durable and visible."""
        with _translated:
            self._writer.commit()

    def close(self) -> None:
        """Drop what was not committed, and let merges end."""
        with _translated:
            self._writer.rollback()
            self._writer.wait_merging_threads()


class Snapshot:
    """The index as of one commit; a question is asked of one snapshot throughout."""

    def __init__(self, index: tantivy.Index) -> None:
        self._index = index
        with _translated:
            self._searcher = index.searcher()

    @property
    def size(self) -> int:
        """How many documents there are, of all tenants."""
        return self._searcher.num_docs

    def number_between(
        self,
        column: str,
        low: float | None,
        high: float | None,
        *,
        low_inclusive: bool = True,
        high_inclusive: bool = True,
    ) -> Match:
        """Match documents with a number within bounds in a column of numbers."""
        if low is None and high is None:
            return has_number(column)
        if low is not None and high is not None:
            if low > high or (low == high and not (low_inclusive and high_inclusive)):
                return False
            if abs(low) >= _INTEGRAL or abs(high) >= _INTEGRAL:
                # Side by side these could be of two kinds.
                return all_of(
                    (
                        self.number_between(column, low, None, low_inclusive=low_inclusive),
                        self.number_between(column, None, high, high_inclusive=high_inclusive),
                    )
                )
            if low.is_integer():
                low = math.nextafter(low, -math.inf if low_inclusive else math.inf)
                low_inclusive = not low_inclusive
            if high.is_integer():
                high = math.nextafter(high, math.inf if high_inclusive else -math.inf)
                high_inclusive = not high_inclusive
        begin = "[" if low_inclusive else "{"
        end = "]" if high_inclusive else "}"
        text = f"{NUMBERS}.{column}:{begin}{_spelt(low)} TO {_spelt(high)}{end}"
        with _translated:
            return Query.const_score_query(self._index.parse_query(text), 1.0)

    def count(self, query: Query) -> int:
        """Return how many documents match."""
        # Every document has one key, and counting keys is several times faster than collecting.
        found = self._aggregate(query, {"all": {"value_count": {"field": KEY}}})
        return int(found["all"]["value"])

    def rows(
        self, query: Query, by: str | None, limit: int, *, offset: int = 0, descending: bool = True
    ) -> list[EngineRow]:
        """Return matches in the order of a column, or by relevance; ties in no certain order."""
        deadline.check()
        order = Order.Desc if descending else Order.Asc
        with _translated:
            found = self._searcher.search(query, limit, False, by, offset, order)
            return [EngineRow(value, address) for value, address in found.hits]

    def rows_by_number(
        self, query: Query, column: str, limit: int, *, offset: int, descending: bool
    ) -> list[tuple[float, int]]:
        """Return number and key of matches in the order of a column of numbers, then of keys.

        Shape: at least one document matches, and all have exactly one number there.
        """
        name = f"{NUMBERS}.{column}"
        order = "desc" if descending else "asc"
        best = {
            "sort": [{name: order}, {KEY: order}],
            "from": offset,
            "size": limit,
            # Not the numbers themselves: asking for them fails wherever a segment has none.
            "docvalue_fields": [KEY],
        }
        hits = self._aggregate(query, {"best": {"top_hits": best}})["best"]["hits"]
        return [(_double_of(hit["sort"][0]), hit["docvalue_fields"][KEY][0]) for hit in hits]

    def has_doubles(self, start: int, count: int) -> bool:
        """Tell whether two documents share one of the keys from `start` on."""
        keys = between(KEY, start, start + count - 1)
        rows = self.rows(to_query(keys), KEY, count + 1, descending=False)
        return len({row.value for row in rows}) < len(rows)

    def values(self, column: str, addresses: list[Address]) -> list[int]:
        """Return what documents have in the column of keys or times."""
        with _translated:
            return self._searcher.fast_field_values(column, addresses)  # type: ignore[return-value]  # all have one

    def has_fact(self, term: str) -> bool:
        """Tell whether any document ever had a fact, also one that is gone by now."""
        with _translated:
            return self._searcher.doc_freq(FACTS, term) > 0

    def facts(
        self, prefix: str, limit: int, *, within: Query | None = None
    ) -> list[tuple[str, int]]:
        """Return facts that begin with `prefix`, each with its documents, most frequent first."""
        return self._terms(FACTS, prefix, limit, within)

    def words(self, prefix: str, limit: int) -> list[str]:
        """Return words that begin with `prefix`, most frequent first."""
        return [term for term, _ in self._terms(WORDS, prefix, limit, None)]

    def statistics(self, query: Query, column: str) -> dict[str, Any]:
        """Return the library's statistics of a column, in its own words."""
        asked = {"extended_stats": {"field": _full(column)}}
        found: dict[str, Any] = self._aggregate(query, {"all": asked})["all"]
        return found

    def number_counts(
        self, query: Query, column: str, limit: int
    ) -> list[tuple[float, int]] | None:
        """Return each value of a column with its documents; None if they are more than `limit`."""
        asked = {"field": _full(column), "size": limit, "segment_size": limit}
        found = self._aggregate(query, {"all": {"terms": asked}})["all"]
        if found["sum_other_doc_count"]:
            return None
        return [(bucket["key"], bucket["doc_count"]) for bucket in found["buckets"]]

    def range_counts(
        self, query: Query, column: str, bounds: Sequence[tuple[float | None, float | None]]
    ) -> tuple[int, list[int]]:
        """Return how many numbers there are and how many documents lie in each bucket.

        Shape: of a bucket, low is inside and high is not.
        """
        asked: list[dict[str, Any]] = [
            {"key": str(n), **{end: value for end, value in ends if value is not None}}
            for n, ends in enumerate(zip(("from", "to"), pair, strict=True) for pair in bounds)
        ]
        there = [one for one, (low, high) in zip(asked, bounds, strict=True) if _holds(low, high)]
        # Buckets of one request must not overlap.
        apart = [there] if _are_apart(there) else [[one] for one in there]
        requests: dict[str, Any] = {"total": {"value_count": {"field": _full(column)}}}
        for ranges in apart if there else ():
            requests[ranges[0]["key"]] = {"range": {"field": _full(column), "ranges": ranges}}
        found = self._aggregate(query, requests)
        total = int(found.pop("total")["value"])
        counts = [0] * len(bounds)
        keys = {one["key"] for one in there}
        for answer in found.values():
            for bucket in answer["buckets"]:
                # The library adds buckets for what lies between.
                if bucket["key"] in keys:
                    counts[int(bucket["key"])] = bucket["doc_count"]
        return total, counts

    def histogram(
        self, query: Query, column: str, width: int, offset: int
    ) -> list[tuple[int, int]] | None:
        """Return where buckets with documents begin, with their documents; None if too many."""
        asked = {"field": column, "interval": width, "offset": offset, "min_doc_count": 1}
        try:
            found = self._aggregate(query, {"all": {"histogram": asked}})["all"]
        except Unexpected as error:
            if _BUCKET_LIMIT in str(error.__cause__):
                return None
            raise
        return [(int(bucket["key"]), bucket["doc_count"]) for bucket in found["buckets"]]

    def _aggregate(self, query: Query, requests: dict[str, Any]) -> dict[str, Any]:
        deadline.check()
        with _translated:
            return self._searcher.aggregate(query, requests)

    def _terms(
        self, field: str, prefix: str, limit: int, within: Query | None
    ) -> list[tuple[str, int]]:
        deadline.check()
        with _translated:
            return self._searcher.terms_with_prefix(field, prefix, within, limit)


def _holds(low: float | None, high: float | None) -> bool:
    return low is None or high is None or low < high


def _are_apart(ranges: Sequence[dict[str, Any]]) -> bool:
    ends = sorted((one.get("from", -math.inf), one.get("to", math.inf)) for one in ranges)
    return all(a[1] <= b[0] for a, b in pairwise(ends))


def _full(column: str) -> str:
    return column if column in INTEGERS else f"{NUMBERS}.{column}"


def _double_of(rank: int) -> float:
    """Return the double that stands at a rank: the library sorts doubles as unsigned integers."""
    bits = rank ^ (1 << 63) if rank >> 63 else ~rank & ((1 << 64) - 1)
    double: float = struct.unpack("<d", bits.to_bytes(8, "little"))[0]
    return double


def _spelt(bound: float | None) -> str:
    if bound is None:
        return "*"
    text = f"{Decimal(repr(bound)):f}"
    return text if "." in text else text + ".0"


class _Translation:
    """Turns what the library raises, panics included, into errors of ours."""

    __slots__ = ("_other",)

    def __init__(self, other: type[TallystickError]) -> None:
        self._other = other

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
            return
        if isinstance(error, OSError):
            raise StoreFailed(
                "the search index cannot be used", hint="check disk and rights"
            ) from error
        if _LOCKED in str(error):
            # As of the process of a server that was killed: it ends as soon as it notices.
            raise StoreBusy("another process is still writing the search index") from error
        if _EXPANSIONS in str(error):
            raise InvalidQuery(
                "the pattern matches too many words", hint="spell out more of it"
            ) from error
        raise self._other("the search index failed") from error


_translated = _Translation(Unexpected)
_opening = _Translation(SearchDamaged)
