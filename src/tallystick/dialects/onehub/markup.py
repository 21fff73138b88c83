"""Reading a printed `detail` back into facts, for events that come from another Onehub.

The grammar is that of `sentence`. A deleted thing is printed without its id, so a deletion cannot
be read back. Source: wire specification 1.7.
"""

from __future__ import annotations

import html
import re
from typing import NamedTuple

from tallystick.dialects.onehub.sentence import PREDICATES, PREPOSITIONS
from tallystick.errors import Malformed

_TEXT = r"[^<>]+"
_THING = (
    r'<object><a href="/workspaces/(?P<{0}w>[0-9]{{1,16}})'
    r'(?:/(?P<{0}path>files|folders)/(?P<{0}id>[0-9]{{1,16}}))?">'
    rf"(?P<{{0}}name>{_TEXT})</a> (?P<{{0}}type>File|Folder|Workspace)</object>"
)
_COMPLEMENT = rf"(?: <complement>\((?P<complement>{_TEXT})\)</complement>)?"
_ACT = rf"<subject>(?P<subject>{_TEXT})</subject> <predicate>(?P<predicate>[a-z]+)</predicate> "
_ON_THING = re.compile(
    f"{_ACT}the {_THING.format('t')}{_COMPLEMENT}"
    rf"(?: (?P<preposition>[a-z]+) the {_THING.format('c')})?\Z"
)
_INVITATION = re.compile(
    rf"{_ACT}<object>(?P<email>{_TEXT})</object>{_COMPLEMENT} to the {_THING.format('t')}\Z"
)
_VERBS = {predicate: verb for verb, predicate in PREDICATES.items()}
_PATHS = {"File": "files", "Folder": "folders", "Workspace": None}


class Printed(NamedTuple):
    """What a sentence says; `workspace` is its name, None where the sentence does not say."""

    verb: str
    type: str
    user: str
    target_id: int
    target: str
    workspace_id: int
    workspace: str | None
    complement: str | None
    email: str | None


def parse(detail: str) -> Printed:
    """Return what a printed sentence says.

    Raises: Malformed.
    """
    invitation = _INVITATION.match(detail)
    found = invitation or _ON_THING.match(detail)
    if found is None:
        raise _malformed()
    verb = _VERBS.get(found["predicate"])
    if verb is None or (verb == "invite") != (invitation is not None):
        raise _malformed()
    if _PATHS[found["ttype"]] != found["tpath"]:
        raise _malformed()
    workspace = found["tname"] if found["ttype"] == "Workspace" else None
    if invitation is None and found["ttype"] != "Workspace":
        workspace = _container(found, verb)
    return Printed(
        verb,
        found["ttype"].lower(),
        html.unescape(found["subject"]),
        int(found["tid"] or found["tw"]),
        html.unescape(found["tname"]),
        int(found["tw"]),
        None if workspace is None else html.unescape(workspace),
        None if found["complement"] is None else html.unescape(found["complement"]),
        None if invitation is None else html.unescape(found["email"]),
    )


def _container(found: re.Match[str], verb: str) -> str:
    """Return the name of the workspace that a sentence ends with.

    Raises: Malformed when it is another than the link says.
    """
    if (found["ctype"], found["cw"], found["preposition"]) != (
        "Workspace",
        found["tw"],
        PREPOSITIONS[verb],
    ):
        raise _malformed()
    return str(found["cname"])


def _malformed() -> Malformed:
    return Malformed(
        "detail is not a sentence of this API's grammar, or one that leaves out the id",
        path="detail",
        hint="give verb, user, workspace and file instead",
    )
