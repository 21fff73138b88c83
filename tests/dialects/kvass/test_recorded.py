"""The requests that the documents print, byte for byte; only key and token are filled in."""

from __future__ import annotations

import pytest

from tests.dialects.kvass.conftest import Company
from tests.dialects.rawhttp import Reply, send


def sent(company: Company, request: str, *, token: str | None = None) -> Reply:
    filled = request.replace("<jwt>", token or company.token())
    return send(company.server.url, filled.replace("<kvass-api-key>", company.key))


PRINTED = """GET {} HTTP/1.1
Content-Type: application/json
Authorization: Bearer <jwt>
X-Kvass-Api-Key: <kvass-api-key>
Host: api.kvass.ai

"""


@pytest.mark.row("K-1", "K-2", "K-3", "K-13")
def test_the_seeds_requests(company: Company) -> None:
    company.trust()
    event = company.record()
    id = event["_id"]["$oid"]
    assert sent(company, PRINTED.format("/events")).json() == [event]
    assert sent(company, PRINTED.format(f"/events/{id}")).json() == event
    found = sent(company, PRINTED.format("/events/search?query=order"))
    assert found.json() == [event]
    assert found.headers["x-pagination-total"] == "1"


@pytest.mark.row("K-10", "K-13", "K-28")
@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/events?size=100&page=0", 200),
        ("/events/?sort=-created&expand=author", 200),
        ("/events/search?query=order.created&to_date=1567172963", 200),
        ("/events/search?query=order&from_date=2361183241434822606848", 200),
        ("/events/search/?size=100&page=0&query=order", 200),
        ("/events/search/query=order", 404),
    ],
)
def test_request_forms_of_the_wire_specification(
    company: Company, target: str, status: int
) -> None:
    company.trust()
    assert sent(company, PRINTED.format(target)).status == status


def test_a_service_account_of_the_recordings(company: Company) -> None:
    """The recorded client sends these headers, and a key alone."""
    request = f"""GET /events?size=10&page=0 HTTP/1.1
User-Agent: python-requests/2.22.0
Accept-Encoding: gzip, deflate
Accept: */*
Connection: keep-alive
X-Kvass-Api-Key: {company.service_key}
Host: api.kvass.ai

"""
    reply = send(company.server.url, request)
    assert (reply.status, reply.json()) == (200, [])
    assert reply.headers["x-pagination-total"] == "0"
    assert (
        reply.headers["access-control-expose-headers"]
        == "X-Pagination-Total, Tally-Checkpoint, Link"
    )
