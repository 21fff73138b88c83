"""The published Python client, unmodified, on a real server: all of it that can work here."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from archivist import confirmer  # type: ignore[import-untyped]  # the package has no types
from archivist.archivist import Archivist  # type: ignore[import-untyped]
from archivist.errors import (  # type: ignore[import-untyped]
    ArchivistBadRequestError,
    ArchivistForbiddenError,
    ArchivistNotFoundError,
    ArchivistPaymentRequiredError,
    ArchivistTooManyRequestsError,
    ArchivistUnauthenticatedError,
)

from tests.dialects.datatrails.conftest import Account, RateClock
from tests.support.live_server import open_server

pytestmark = pytest.mark.row("D-1", "D-2", "D-4", "D-5")

EVENT = {"attributes": {"foo": "bar"}, "trails": ["Clouseau"], "event_type": "Safety Conformance"}


def connect(account: Account, **options: float) -> Archivist:
    """Return the client with the id and the secret of the account's application."""
    application = account.application
    secret = (application["client_id"], application["credentials"][0]["secret"])
    return Archivist(account.server.url, secret, **options)


@pytest.fixture
def archivist(account: Account) -> Iterator[Archivist]:
    """Yield the client."""
    with connect(account) as client:
        yield client


@pytest.fixture
def owner(account: Account) -> Iterator[Archivist]:
    """Yield the client with an owner's token."""
    with Archivist(account.server.url, account.key) as client:
        yield client


def post(archivist: Archivist, path: str, body: object) -> dict[str, object]:
    """Post to the API: the client has no class for events that belong to no asset."""
    answer: dict[str, object] = archivist.post(f"{archivist.root}/v1/{path}", body)
    return answer


def test_token_is_fetched_and_renewed_ten_seconds_before_it_ends(
    archivist: Archivist, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = archivist.auth
    assert first is not None
    assert archivist.auth == first
    post(archivist, "events", EVENT)
    clock = 4_000_000_000.0
    monkeypatch.setattr("archivist.archivist.time", lambda: clock)
    second = archivist.auth
    assert second not in (None, first)
    clock += 3_589
    assert archivist.auth == second
    clock += 2
    assert archivist.auth not in (None, second)
    post(archivist, "events", EVENT)


@pytest.mark.row("D-10", "D-34", "D-36", "D-54")
def test_events_are_created_read_and_searched(archivist: Archivist) -> None:
    created = post(archivist, "events", EVENT)
    read = archivist.get(f"{archivist.root}/v1/{created['identity']}")
    assert {name: read[name] for name in EVENT} == EVENT
    search = {"filter": "trails/any(t: t eq 'Clouseau')", "top": 20, "skip": 0}
    found = post(archivist, "events/search", search)
    assert isinstance(found["events"], list)
    assert found["events"][0]["identity"] == created["identity"]
    # The client keeps no headers of a POST: whoever needs the total uses its session.
    headers = {"authorization": f"Bearer {archivist.auth}"}
    url = f"{archivist.root}/v1/events/search"
    answer = archivist.session.post(url, data=json.dumps(search), headers=headers)
    assert answer.headers["X-Total-Count"] == "1"


@pytest.mark.row("D-25")
def test_confirmation_is_waited_for(archivist: Archivist, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirmer, "MAX_TIME", 60)

    class Events:
        """What the client's wait loop calls."""

        @staticmethod
        def read(identity: str) -> dict[str, object]:
            event: dict[str, object] = archivist.get(f"{archivist.root}/v1/{identity}")
            return event

    created = post(archivist, "events", EVENT)
    confirmed = confirmer._wait_for_confirmation(Events(), created["identity"])
    assert confirmed["confirmation_status"] in ("COMMITTED", "CONFIRMED")
    assert confirmed["ledger_entry"]


@pytest.mark.row("D-7", "D-8")
def test_applications_are_administered(account: Account, owner: Archivist) -> None:
    made = owner.applications.create("from the client", {"claim": "custom"})
    identity = made["identity"]
    assert owner.applications.read(identity)["credentials"][0]["secret"] == ""
    listed = list(owner.applications.list(display_name="from the client", page_size=1))
    assert [one["identity"] for one in listed] == [identity]
    assert len(list(owner.applications.list(page_size=1))) == 2
    changed = owner.applications.update(identity, display_name="renamed")
    assert (changed["display_name"], changed["custom_claims"]) == ("renamed", {"claim": "custom"})
    renewed = owner.applications.regenerate(identity)
    secret = (renewed["client_id"], renewed["credentials"][0]["secret"])
    with Archivist(account.server.url, secret) as program:
        post(program, "events", EVENT)
    assert owner.applications.delete(identity) == {}
    with pytest.raises(ArchivistNotFoundError):
        owner.applications.read(identity)


@pytest.mark.row("D-62", "D-63", "D-64", "D-65", "D-66", "D-67")
def test_blobs_and_attachments(archivist: Archivist, tmp_path: Path) -> None:
    content = bytes(range(256)) * 100
    (tmp_path / "gdn_front.jpg").write_bytes(content)
    blob = archivist.attachments.upload(io.BytesIO(content), mtype="image/jpg")
    assert blob["hash"]["value"] == hashlib.sha256(content).hexdigest()
    assert archivist.attachments.info(blob["identity"])["size"] == len(content)
    sink = io.BytesIO()
    answer = archivist.attachments.download(
        blob["identity"], sink, params={"allow_insecure": "true"}
    )
    assert sink.getvalue() == content
    assert answer.headers["content-type"] == "image/jpg"
    # What the client makes for an attribute is what an event may say.
    attribute = archivist.attachments.create(
        {
            "filename": str(tmp_path / "gdn_front.jpg"),
            "content_type": "image/jpg",
            "display_name": "arc_primary_image",
        }
    )
    event = post(archivist, "events", {"attributes": {"arc_primary_image": attribute}})
    sink = io.BytesIO()
    archivist.assetattachments.download(event["identity"], attribute["arc_blob_identity"], sink)
    assert sink.getvalue() == content
    info = archivist.assetattachments.info(event["identity"], attribute["arc_blob_identity"])
    assert info["hash"]["value"] == attribute["arc_blob_hash_value"]


def test_tenancy_is_read_by_the_identity_that_events_show(archivist: Archivist) -> None:
    created = post(archivist, "events", EVENT)
    public = archivist.tenancies.publicinfo(created["origin_tenant"])
    assert public["identity"] == created["origin_tenant"]


@pytest.mark.row("D-59")
def test_client_waits_and_tries_again_when_it_is_told_to(
    tmp_path: Path, rate_clock: RateClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    def pause(for_s: float) -> None:
        pauses.append(for_s)
        rate_clock.now_s += for_s

    monkeypatch.setattr("archivist.retry429.sleep", pause)
    with open_server(tmp_path / "data", datatrails={"events_per_second": 20.0}) as server:
        account = Account(server)
        with connect(account) as archivist:
            for number in range(30):
                post(archivist, "events", {"attributes": {"n": str(number)}})
        assert pauses
        refused = [account.app.post("/archivist/v1/events", json={}).status_code for _ in range(40)]
        assert 429 in refused
        account.close()
    with open_server(tmp_path / "slow", datatrails={"events_per_second": 1e-6}) as server:
        account = Account(server)
        with connect(account) as archivist:
            post(archivist, "events", EVENT)
            monkeypatch.setattr("archivist.retry429.sleep", pauses.append)
            pauses.clear()
            with pytest.raises(ArchivistTooManyRequestsError):
                post(archivist, "events", EVENT)
        # Three times, each after what it was told.
        assert len(pauses) == 3
        assert all(pause > 1000 for pause in pauses)
        account.close()


@pytest.mark.row("D-3", "D-6", "D-58", "D-60")
def test_errors_are_the_clients_own(account: Account, archivist: Archivist, tmp_path: Path) -> None:
    with pytest.raises(ArchivistBadRequestError, match="attributes"):
        post(archivist, "events", {"attributes": {"n": 7}})
    with pytest.raises(ArchivistForbiddenError):
        list(archivist.applications.list())
    with pytest.raises(ArchivistNotFoundError):
        archivist.get(f"{archivist.root}/v1/events/none")
    for auth in ("no token", (account.application["client_id"], "no secret")):
        with (
            Archivist(account.server.url, auth) as stranger,
            pytest.raises(ArchivistUnauthenticatedError),
        ):
            post(stranger, "events", EVENT)
    with open_server(tmp_path / "data", datatrails={"quotas": {"events": 0}}) as server:
        poor = Account(server)
        with connect(poor) as client, pytest.raises(ArchivistPaymentRequiredError):
            post(client, "events", EVENT)
        poor.close()
