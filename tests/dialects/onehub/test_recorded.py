"""The request forms of the documents and of known clients, byte for byte."""

from __future__ import annotations

import pytest

from tests.dialects.onehub.conftest import PASSWORD, Share
from tests.dialects.rawhttp import Reply, send

HOST = "ws-api.onehub.com"
TOKEN_FORM = (
    "grant_type=password&client_id={client}&client_secret=battery+staple"
    "&username={login}&password=correct%20horse"
)


def token_of(share: Share) -> str:
    """Get a token as the vendor's own example does: a form with the password grant."""
    login = f"matthew%40{share.tenant}"
    share.server.create_user(
        share.tenant, "481", login=f"matthew@{share.tenant}", password=PASSWORD
    )
    share.server.grant(share.tenant, "481", "tenant:*", "Administrator")
    client = share.client("example", "battery staple")
    form = TOKEN_FORM.format(client=client, login=login)
    reply = send(
        share.server.url,
        f"""POST /oauth/token HTTP/1.1
Accept-Encoding: gzip;q=1.0,deflate;q=0.6,identity;q=0.3
Accept: */*
User-Agent: Ruby
Content-Type: application/x-www-form-urlencoded
Connection: close
Host: {HOST}
Content-Length: {len(form)}

{form}""",
    )
    assert reply.status == 200, reply.body
    assert isinstance(reply.json()["expires_in"], int)
    assert reply.json()["refresh_token"]
    return str(reply.json()["access_token"])


def get(share: Share, target: str, authorization: str, body: str = "", kind: str = "") -> Reply:
    content = f"Content-Type: {kind}\nContent-Length: {len(body)}\n" if body else ""
    request = f"""GET {target} HTTP/1.1
Accept: application/json
Authorization: {authorization}
{content}Host: {HOST}

{body}"""
    return send(share.server.url, request)


@pytest.mark.row("H-1", "H-2", "H-9", "H-10", "H-22", "H-23", "H-24")
def test_the_documents_requests(share: Share) -> None:
    event = share.record("upload")
    token = token_of(share)
    form = "application/x-www-form-urlencoded"
    asked = '{"workspaces": [4137], "verbs": ["upload"], "filter_self": false, "actor": 481}'
    for target, authorization, body, kind in (
        ("/activity/", f"Bearer {token}", "", ""),
        ("/activity.json", f"OAuth {token}", "", ""),
        ("/activity/", f"Bearer {token}", asked, "application/json"),
        ("/activity/", f"Bearer {token}", "workspaces[]=4137&verbs[]=upload", form),
        ("/activity?workspaces[]=4137&workspaces[]=4138&offset=0", f"Bearer {token}", "", ""),
        ("/files/849607/audit_trail", f"Bearer {token}", "", ""),
        ("/files/849607/audit_trail.json?offset=0", f"Bearer {token}", "", ""),
    ):
        reply = get(share, target, authorization, body, kind)
        assert reply.status == 200, (target, reply.body)
        assert reply.headers["content-type"] == "application/json"
        (item,) = reply.json()["items"]
        assert item["event"] == event, target


@pytest.mark.row("H-22")
def test_a_token_in_the_query_string_is_not_taken(share: Share) -> None:
    token = token_of(share)
    request = f"GET /activity?oauth_token={token} HTTP/1.1\nHost: {HOST}\n\n"
    assert send(share.server.url, request).status == 401
