"""What the writer knows of a tenant's paths: their ordinals, and how their values are spelt.

Member names lead from node to node, so that no path is put together while a document is spelt.
Paths get their ordinals when they are first met; what is new since the last commit is listed for
the file of names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, TypeVar

from tallystick import limits
from tallystick.index.search import terms
from tallystick.index.search.catalogue import FIRST_PATH, NUMBERS_PATH, OTHER_PATHS, NewPath
from tallystick.index.search.documents.hyperloglog import Sketch
from tallystick.query.text import text_of, tokens_of

ALWAYS = frozenset(("index", "id", "kind", "class", "op", "occurred_ms", "recorded_ms", "dialect"))
"""Fields that every event has."""

ROLES = ("actor", "target", "scope")

ROOTS = ("data", "previous", "original", *(f"{role}.attributes" for role in ROLES))
"""Where payloads begin."""

_NAMED = frozenset(
    ("kind", "trail", *(f"{role}.{member}" for role in ROLES for member in ("type", "id", "name")))
)
_BELOW_ROOTS = tuple(f"{root}." for root in ROOTS)
_IMPLIED = {f"{role}.{member}": role for role in ROLES for member in ("type", "id")}
_SKETCHED_BETWEEN_LOOKS = 256

K = TypeVar("K")

NumberText = tuple[str, type, int | float]
"""A place, and a number that is a word there: of 1, 1.0 and true each is another."""

SPAN_BITS = terms.MOMENT_BITS[0]

KEPT_WORDS = 50_000
"""Words, and numbers as words, that are kept spelt."""


def witness_of(field: str) -> str:
    """Return the path whose mark tells that `field` has a value."""
    return _IMPLIED.get(field, field)


def has_words(field: str) -> bool:
    """Tell whether a field's strings belong to the event's whole text."""
    return field in _NAMED or field.startswith(_BELOW_ROOTS)


Spelling = tuple[str, str, str]
"""How something is written: facts, texts of one word each, texts of several."""


class RolePaths(NamedTuple):
    """The paths that a resource has in any case."""

    whole: Path
    type: Path
    id: Path


class Path:
    """One path of one tenant, with what is written for it in every document."""

    __slots__ = (
        "above",
        "column",
        "crowded",
        "exact",
        "exists",
        "has_long",
        "is_new",
        "known",
        "long",
        "looks",
        "mark",
        "null",
        "number_place",
        "ordinal",
        "place",
        "several",
        "sketch",
        "spellings",
        "stamp",
        "text",
    )

    def __init__(self, text: str, ordinal: int, tenant: str, above: tuple[Path, ...]) -> None:
        self.text = text
        self.ordinal = ordinal
        self.known = ordinal != OTHER_PATHS
        in_data = text.startswith("data.")
        # Words in numbers and booleans are found in whole texts only.
        self.number_place = terms.place_of(NUMBERS_PATH, data=in_data) if has_words(text) else ""
        self.place = self.number_place
        if self.known and self.place:
            self.place = terms.place_of(ordinal, data=in_data)
        self.exact = terms.values_at(tenant, terms.EXACT, ordinal)
        self.long = terms.values_at(tenant, terms.LONG, ordinal)
        self.has_long = terms.marked(tenant, terms.HAS_LONG, ordinal)
        self.null = terms.marked(tenant, terms.NULL, ordinal)
        implied = text in ALWAYS or witness_of(text) != text
        self.exists = "" if implied else terms.marked(tenant, terms.EXISTS, ordinal)
        if not self.known:
            # Such a path is found by a term of its own; whether it matches is decided by reading.
            self.exists = self.null = terms.other(tenant, text)
        self.several = terms.marked(tenant, terms.SEVERAL, ordinal)
        self.column = str(ordinal) if ordinal < limits.SEARCH_COLUMNS and self.known else ""
        self.above = above
        # The document that last had a value here, and one that is not null.
        self.stamp = self.mark = 0
        self.spellings: dict[str, Spelling] = {}
        self.is_new = False
        self.seen(Sketch())

    def seen(self, sketch: Sketch) -> None:
        """Take over what is known of the path's values."""
        self.sketch = sketch
        self.looks = 0
        self.crowded = sketch.estimate() > limits.SEARCH_VALUES

    def has(self, value: str) -> None:
        """Remember that the path has a value."""
        self.sketch.add(value)
        self.looks += 1
        if self.looks >= _SKETCHED_BETWEEN_LOOKS:
            self.seen(self.sketch)


class PathNode(dict[str, "PathNode"]):
    """A place in payloads: the path that leads there, and the nodes of its members."""

    __slots__ = ("path", "tenant")

    def __init__(self, path: Path, tenant: TenantPaths) -> None:
        super().__init__()
        self.path = path
        self.tenant = tenant

    def __missing__(self, name: str) -> PathNode:
        path = self.tenant.path(f"{self.path.text}.{name}")
        node = PathNode(path, self.tenant)
        if path.known:
            self[name] = node
        return node


class Kept(dict[K, str]):
    """What was spelt before; only so much is kept."""

    __slots__ = ("spell",)

    def __init__(self, spell: Callable[[K], str]) -> None:
        super().__init__()
        self.spell = spell

    def __missing__(self, key: K) -> str:
        if len(self) >= KEPT_WORDS:
            self.clear()
        spelt = self[key] = self.spell(key)
        return spelt


class TenantPaths:
    """The paths of one tenant."""

    def __init__(self, ordinal: int, known: Mapping[str, tuple[int, bytes]]) -> None:
        self.ordinal = ordinal
        self.prefix = terms.number(ordinal)
        self.bundles: dict[tuple[str | None, ...], Spelling] = {}
        # Words as they begin in the index, and terms of times by the number of the shortest span.
        self.heads = Kept[str](lambda word: terms.word(self.prefix, word, ""))
        self.moments = Kept[int](lambda span: terms.moments(self.prefix, span << SPAN_BITS))
        self.number_words = Kept[NumberText](self._words_of_number)
        self._next = max((number for number, _ in known.values()), default=FIRST_PATH - 1) + 1
        self._known = dict(known)
        self._new: list[Path] = []
        self._paths: dict[str, Path] = {}
        self.nodes = {root: PathNode(self.path(root), self) for root in ROOTS}
        self.roles = {
            role: RolePaths(*(self.path(f"{role}{end}") for end in ("", ".type", ".id")))
            for role in ROLES
        }

    def path(self, text: str) -> Path:
        """Return a path by its text; one that is met for the first time gets its ordinal."""
        found = self._paths.get(text)
        return found if found is not None else self._meet(text)

    def _words_of_number(self, number: NumberText) -> str:
        place, _, value = number
        return " ".join([self.heads[word] + place for word in tokens_of(text_of(value))])

    def changed(self) -> Iterator[NewPath]:
        """Yield what the file of names has not been told, once."""
        for path in self._new:
            path.is_new = False
            yield NewPath(self.ordinal, path.text, path.ordinal, path.sketch.state())
        self._new.clear()

    def has(self, path: Path, value: str) -> None:
        """Remember that a path has a value."""
        path.has(value)
        if not path.is_new:
            self._tell(path)

    def _tell(self, path: Path) -> None:
        if not path.is_new:
            path.is_new = True
            self._new.append(path)

    def _meet(self, text: str) -> Path:
        if text in self._known:
            ordinal, state = self._known[text]
            path = Path(text, ordinal, self.prefix, self._above(text))
            path.seen(Sketch(state))
        elif len(self._known) >= limits.SEARCH_PATHS or len(text) > limits.NAME_BYTES:
            # Not kept: names made up by the million must not fill memory.
            return self._other(text)
        else:
            above = self._above(text)
            path = Path(text, self._next, self.prefix, above)
            self._known[text] = (self._next, path.sketch.state())
            self._next += 1
            self._tell(path)
        self._paths[text] = path
        return path

    def _other(self, text: str) -> Path:
        """Return a path beyond those that are kept apart."""
        cuts = self._cuts(text)
        above = tuple(self.path(cut) for cut in cuts if cut in self._known)
        path = Path(text, OTHER_PATHS, self.prefix, above)
        others = [terms.other(self.prefix, cut) for cut in cuts if cut not in self._known]
        path.exists = " ".join((path.exists, *others))
        return path

    def _above(self, text: str) -> tuple[Path, ...]:
        """Return the paths that exist wherever `text` does."""
        found = [self.path(cut) for cut in self._cuts(text)]
        return tuple(path for path in found if path.known)

    def _cuts(self, text: str) -> list[str]:
        """Return the texts of the paths above a path, the root first."""
        root = next((root for root in ROOTS if text.startswith(f"{root}.")), None)
        if root is None:
            return []
        cuts = [at for at in range(len(root), len(text)) if text[at] == "."]
        return [text[:cut] for cut in cuts[: limits.JSON_DEPTH]]
