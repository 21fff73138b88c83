"""People who sign in to the console, through plain HTTP."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator

import httpx2

from tests.support.live_server import LiveServer

SIGN_IN = "/console/sign-in"


def proof_in(page: str) -> str:
    """Return what the sign-in form carries."""
    found = re.search(r'name="proof" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def csrf_in(page: str) -> str:
    """Return what the forms of a session carry."""
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def show(person: httpx2.Client, **secret: str) -> httpx2.Response:
    """Fill in and send the sign-in form."""
    form = {"proof": proof_in(person.get(SIGN_IN).text), **secret}
    return person.post(SIGN_IN, data=form)


@contextlib.contextmanager
def signed_in(server: LiveServer, key: str | None = None) -> Iterator[httpx2.Client]:
    """Yield a browser that signed in with a key, the admin key unless another is given."""
    with server.plain_http() as person:
        assert show(person, key=key or server.admin_key).status_code == 303
        yield person


def administering(person: httpx2.Client) -> Callable[..., httpx2.Response]:
    """Return what sends a form of administration."""
    csrf = csrf_in(person.get("/console/admin").text)

    def send(path: str, **fields: str) -> httpx2.Response:
        return person.post(f"/console/admin/{path}", data={"csrf": csrf, **fields})

    return send
