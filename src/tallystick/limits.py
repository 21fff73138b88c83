"""Every limit of the product, with its unit and its reason. Nothing else belongs here."""

from __future__ import annotations

HEAD_BYTES = 64 * 1024
"""Address and headers of one request, as far as they do not come in one read: far more than any
client sends, and nobody has shown who they are by then."""

EVENT_BYTES = 1024 * 1024
"""One event as it comes in: large enough for a document, small enough to hold thousands."""

BATCH_BYTES = 16 * 1024 * 1024
"""One request body with many events; what is read into memory for one caller."""

BATCH_EVENTS = 10_000
"""Events in one all-or-nothing batch: they become one transaction."""

REFUSED_LINES_BYTES = 4 * 1024 * 1024
"""Answers that tell why lines of one body were refused; a line of two bytes takes hundreds."""

NAME_BYTES = 1024
"""Ids, kinds and names, in UTF-8: they are index keys."""

ID_CHARS = 256
"""Id of a tenant, user, key set, client or hold: people write it, and it stands in paths."""

SCOPES = 16
"""Scopes of one event: each one is a list that the event appears in."""

TRAILS = 64
"""Trails of one event: each one is a list that the event appears in."""

JSON_DEPTH = 64
"""Nesting of any JSON that comes in; keeps recursion bounded in every later step."""

STREAMS = 100
"""Streams of one tenant: each one reads the log by itself."""

EXPORTS = 16
"""Exports and bundles of one tenant that are kept: each is a file."""

EXPORTS_AT_ONCE = 2
"""Exports and bundles that a server writes at a time; one of them for a tenant."""

EXPORT_FREE_BYTES = 256 * 1024 * 1024
"""Room on the disk that exports leave to the log."""

LIST_LIMIT = 50
"""Events on a page of the native API when the caller does not say."""

LIST_LIMIT_MAX = 1000
"""Events on a page of the native API at most."""

PAGE_BYTES = 4 * 1024 * 1024
"""Sections of the events on one page with a cursor, unless a setting says otherwise: a page of
larger events ends earlier, one of a single event never does."""

RECEIPTS = 100_000
"""Receipts in one answer: they are sent as they are made; the list itself stands in memory."""

SLICE_BYTES = 1024 * 1024
"""Sections of the events that are read, and written to a client, in one step of a long answer."""

ANSWER_BYTES = 256 * 1024 * 1024
"""Answers under way to all clients, unless a setting says otherwise; beyond it they wait."""

SMALL_ANSWER_BYTES = 64 * 1024
"""An answer, or a piece of one, that is sent without asking whether there is room for it."""

ANSWER_WAIT_S = 5.0
"""How long an answer waits for room before it is 503."""

ANSWERS_WAITING = 64
"""Answers that wait for room; a further one is 503 at once. Each holds a slice or a page."""

CLOCK_AHEAD_MS = 10_000
"""How far a server's clock may be ahead of its database's: `recorded_at` never goes back, so that
what one server writes from the future stops that of all others until then."""

QUERY_BYTES = 8 * 1024
"""Text of one query, in UTF-8."""

QUERY_DEPTH = 32
"""Nesting of one query."""

QUERY_CLAUSES = 256
"""Clauses of one query: bounds the work of planning and matching."""

QUERY_TERMS = 10_000
"""Index terms that one wildcard, prefix or fuzzy clause may expand to."""

QUERY_PATTERNS = 64
"""Walks through parts of a dictionary that wildcards, prefixes and ranges of texts in one query
may cause; a pattern or a fuzzy term in free text, which may walk all of it, counts for four."""

QUERY_SECONDS = 5.0
"""Processor time of one search; it is looked at between steps, the longest of which is one question
to the index."""

REGEX_CHARS = 1_000
"""Characters of one regular expression."""

REGEX_POSITIONS = 250
"""Characters that a regular expression can read with its repetitions written out: bounds the
automaton that is made of it, and so each step over a text."""

SEARCH_PATHS = 10_000
"""Payload paths of one tenant that the search index keeps apart; member names made up by the
million must not fill memory. Values at further paths are found by reading the events."""

SEARCH_COLUMNS = 2_000
"""Payload paths of one tenant whose numbers have a column of their own: columns cost memory."""

SEARCH_CANDIDATES = 10_000
"""Events that one search may read from the log to decide what its index cannot."""

SEARCH_KEPT_CHARS = 32 * 1024 * 1024
"""Characters of field values, read from events, that one order or aggregate may keep in memory."""

SEARCH_TAIL_ENTRIES = 2_000
"""Entries beyond the last commit of the search index that a question looks at one by one; where
there are more, the index commits first."""

SEARCH_TAIL_BYTES = 4 * 1024 * 1024
"""Content of these entries at most: it is in memory while questions are asked."""

SEARCH_VALUES = 50_000
"""Different values of a field that one aggregate or sort may tell apart."""

SEARCH_RANKED = 100_000
"""How deep into a list by relevance, or by a payload field, pages reach."""

QUEUE_EVENTS = 20_000
"""Drafts waiting for the sequencer; beyond it callers are told to come back."""

QUEUE_BYTES = 64 * 1024 * 1024
"""Bytes of drafts waiting for the sequencer."""

COMMIT_EVENTS = 2_048
"""Drafts in one commit: bounds the time a commit holds the writer."""

COMMIT_BYTES = 8 * 1024 * 1024
"""Section bytes in one commit."""

BLOB_BYTES = 100 * 1024 * 1024
"""One uploaded blob, unless a setting says otherwise."""

OCCURRED_MS_MIN = -62_104_060_800_000
"""0002-01-01T00:00:00Z: every zone's rendering of an earlier time would leave year 1."""

OCCURRED_MS_MAX = 253_370_764_799_999
"""9998-12-31T23:59:59.999Z, for the same reason at the other end."""

TOKEN_REQUEST_BYTES = 16 * 1024
"""One request for a token: a few short fields, or a token to be renewed."""

CLIENT_WAIT_S = 60.0
"""How long a client may take over the head of a request, or take nothing of its answer."""

READ_WAIT_S = 5.0
"""How long a read waits for a follower before it answers 503."""

DATATRAILS_EVENT_BYTES = 64 * 1024
"""One event as DataTrails takes it in: what its API documents."""

DATATRAILS_SEARCH_TOP = 20
"""Events in a DataTrails search answer when the caller does not say."""

DATATRAILS_SEARCH_TOP_MAX = 50
"""Events in a DataTrails search answer at most: what its API documents."""

TAIL_UNREAD_BYTES = 1024 * 1024
"""What may wait for one reader of a live tail; one that takes none of it is closed then."""

TAIL_STALL_S = 5.0
"""How long a reader of a live tail may take nothing while as much waits for it as may."""

TAIL_HEARTBEAT_S = 15.0
"""After how long without events a live tail sends an id: below what proxies wait for."""

TAIL_RETRY_MS = 2_000
"""When a client should connect again whose live tail was broken off."""
