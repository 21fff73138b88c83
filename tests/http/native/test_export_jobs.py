"""Export jobs over HTTP: made, fetched in parts, watched by rights and erasures, deleted."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pyarrow.parquet  # type: ignore[import-untyped]
import pytest

from tallystick import limits
from tallystick.clock import ManualClock
from tallystick.identity.access import Scope
from tests.support.live_server import TENANT, LiveServer, open_server

PATIENCE_S = 30


def until(look: Callable[[], Any]) -> Any:
    """Return what `look` returns once it is true."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < deadline_s, "it takes too long"
        time.sleep(0.02)
    return found


def in_state(http: httpx2.Client, job: dict[str, Any], state: str) -> dict[str, Any]:
    """Return a job once it is in a state."""

    def look() -> dict[str, Any] | None:
        now: dict[str, Any] = http.get(f"/v1/exports/{job['id']}").raise_for_status().json()
        assert now["state"] in ("queued", "running", state), now
        return now if now["state"] == state else None

    found: dict[str, Any] = until(look)
    return found


def begun(http: httpx2.Client, **members: Any) -> dict[str, Any]:
    """Return a job that was just asked for."""
    answer = http.post("/v1/exports", json=members)
    assert answer.status_code in (200, 202), answer.text
    job: dict[str, Any] = answer.json()
    assert answer.headers["Location"] == f"/v1/exports/{job['id']}"
    return job


def made(http: httpx2.Client, **members: Any) -> dict[str, Any]:
    """Return a finished job."""
    return in_state(http, begun(http, **members), "done")


def entries(http: httpx2.Client, kind: str) -> list[dict[str, Any]]:
    """Return the entries of a kind, latest first."""
    found: list[dict[str, Any]] = http.get(
        "/v1/events", params={"view": "log", "kind": kind}
    ).json()["events"]
    return found


@pytest.fixture
def filled(http: httpx2.Client) -> httpx2.Client:
    """Return a client of a server with ten events."""
    http.post("/v1/events", json=[{"kind": f"k.{n % 2}", "data": {"n": n}} for n in range(10)])
    return http


def test_a_job_has_the_bytes_of_the_stream(filled: httpx2.Client) -> None:
    stream = filled.get("/v1/events/export", params={"kind": "k.1"})
    size = int(stream.headers["x-tallystick-size"])
    job = made(filled, kind="k.1", size=size)
    body = filled.get(job["content"])
    assert body.content == stream.content
    assert body.headers["content-type"] == "application/x-ndjson"
    assert job["sha256"] == hashlib.sha256(body.content).hexdigest()
    assert (job["count"], job["bytes"], job["size"]) == (5, len(body.content), size)
    indexes = [json.loads(line)["index"] for line in body.content.splitlines()]
    assert (job["first_index"], job["last_index"]) == (indexes[0], indexes[-1])
    assert job["progress"] == {"done": size, "total": size}
    told = entries(filled, "export.created")
    assert [entry["data"]["sha256"] for entry in told] == [job["sha256"]] * 2
    of_job, of_stream = (entry["data"] for entry in told)
    assert of_job["query"] == of_stream["query"] == {"kind": ["k.1"]}
    assert of_job["range"] == of_stream["range"] == [indexes[0], indexes[-1]]
    assert of_job["count"] == of_stream["count"] == 5
    assert of_stream["complete"] is True
    assert told[0]["target"] == {"type": "export", "id": job["id"]}


def test_what_is_asked_for_again_is_the_same_job(filled: httpx2.Client) -> None:
    job = made(filled, format="csv", filter={"kind": ["k.1", "k.0"]}, q="data.n:>3")
    other = filled.post("/v1/exports?kind=k.1", json={"kind": "k.0", "q": "data.n:>3"})
    assert other.json()["id"] != job["id"]
    again = begun(filled, format="csv", kind=["k.1", "k.0"], q="data.n:>3")
    assert again["id"] == job["id"]
    filled.post("/v1/events", json={"kind": "k.1", "data": {"n": 11}})
    later = made(filled, format="csv", kind=["k.1", "k.0"], q="data.n:>3")
    assert later["id"] != job["id"]
    assert later["count"] == job["count"] + 1
    listed = filled.get("/v1/exports").json()["exports"]
    assert [each["id"] for each in listed if each["format"] == "csv"] == [job["id"], later["id"]]


def test_a_download_goes_on_where_it_broke_off(filled: httpx2.Client) -> None:
    job = made(filled)
    whole = filled.get(job["content"])
    etag = whole.headers["etag"]
    assert etag == f'"{job["sha256"]}"'
    rest = filled.get(job["content"], headers={"Range": "bytes=100-", "If-Range": etag})
    assert (rest.status_code, rest.content) == (206, whole.content[100:])
    size = len(whole.content)
    assert rest.headers["content-range"] == f"bytes 100-{size - 1}/{size}"
    other = filled.get(job["content"], headers={"Range": "bytes=100-", "If-Range": '"other"'})
    assert (other.status_code, other.content) == (200, whole.content)
    last = filled.get(job["content"], headers={"Range": "bytes=-7"})
    assert last.content == whole.content[-7:]
    beyond = filled.get(job["content"], headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    assert filled.get(job["content"], headers={"If-None-Match": etag}).status_code == 304
    assert filled.get(job["content"], headers={"If-Match": '"x"'}).status_code == 412
    head = filled.head(job["content"])
    assert (head.headers["content-length"], head.content) == (str(size), b"")


def test_what_is_not_understood_is_refused(http: httpx2.Client) -> None:
    for body, path in (
        ({"format": "xml"}, "format"),
        ({"colour": "red"}, "colour"),
        ({"q": "("}, None),
        ({"kind": [1.5]}, "/kind"),
        ([], None),
        ({"actor": "nobody"}, "actor"),
    ):
        answer = http.post("/v1/exports", json=body)
        assert answer.status_code == 400, body
        assert path is None or path in json.dumps(answer.json()), answer.text
    assert http.post("/v1/exports", json={"size": 999_999}).status_code == 409
    assert http.get("/v1/exports/ffff").status_code == 404
    assert http.post("/v1/exports", content=b"{").status_code == 400


def test_an_erasure_makes_the_file_again(server: LiveServer, http: httpx2.Client) -> None:
    """The file is gone when the eraser has the answer, and comes back without the content."""
    stored = http.post("/v1/events", json={"kind": "k", "data": {"text": "CANARY-17"}}).json()
    job = made(http, kind="k")
    assert b"CANARY-17" in http.get(job["content"]).content
    folder = server.node.folder / "exports"
    erased = http.post(f"/v1/events/{stored['id']}/retract", json={"erase": True})
    assert erased.status_code == 200, erased.text
    assert not any(
        b"CANARY-17" in path.read_bytes() for path in folder.rglob("*") if path.is_file()
    )
    now = http.get(f"/v1/exports/{job['id']}").json()
    assert now["state"] != "done" or now["sha256"] != job["sha256"]
    again = in_state(http, job, "done")
    assert again["begun_again"] is True
    assert again["sha256"] != job["sha256"]
    assert b"CANARY-17" not in http.get(job["content"]).content
    part = http.get(job["content"], headers={"Range": "bytes=3-", "If-Range": f'"{job["sha256"]}"'})
    assert part.status_code == 200


def test_an_erased_question_ends_the_export(server: LiveServer, http: httpx2.Client) -> None:
    http.post("/v1/events", json={"kind": "k", "actor": {"type": "user", "id": "481-CANARY"}})
    job = made(http, actor="user:481-CANARY")
    answer = http.post(
        f"/v1/admin/tenants/{TENANT}/erasures",
        json={"subject": "user:481-CANARY", "reason": "asked"},
    )
    assert answer.status_code in (200, 201, 202), answer.text
    over = in_state(http, job, "ended")
    assert over["query"] is None
    assert over["problem"] == "what was asked for was erased"
    assert http.get(f"/v1/exports/{job['id']}/content").status_code == 404
    texts = [row.doc for row in server.node.store.identities(TENANT, "export")]
    assert not any(b"481-CANARY" in text for text in texts)


def test_a_job_shows_what_its_maker_may_see_now(server: LiveServer, http: httpx2.Client) -> None:
    for workspace in ("1", "2"):
        scopes = [{"type": "workspace", "id": workspace}]
        http.post("/v1/events", json={"kind": "w", "scopes": scopes})
    server.create_user(TENANT, "ann")
    server.grant(TENANT, "ann", "workspace:1", "Viewer")
    token = server.node.issuer.issue_for_user(
        server.user(TENANT, "ann"), client="cf", scopes=("cloud_controller.read",)
    ).access_token
    with server.http(token) as ann:
        job = made(ann, kind="w")
        assert job["count"] == 1
        server.grant(TENANT, "ann", "workspace:2", "Viewer")
        more = until(lambda: (found := in_state(ann, job, "done"))["count"] == 2 and found)
        assert more["begun_again"] is True
        with server.http(server.create_key(TENANT, (Scope.READ,))) as other:
            assert other.get(f"/v1/exports/{job['id']}").status_code == 404
            assert other.get("/v1/exports").json()["exports"] == []
            assert other.delete(f"/v1/exports/{job['id']}").status_code == 404
        assert http.get(f"/v1/exports/{job['id']}").status_code == 200
        http.patch(f"/v1/admin/tenants/{TENANT}/users/ann", json={"disabled": True})
    over = in_state(http, job, "ended")
    assert "is gone" in over["problem"]
    assert http.get(f"/v1/exports/{job['id']}/content").status_code == 404
    assert list((server.node.folder / "exports").glob(f"{job['id']}/file")) == []


def test_a_job_ends_with_the_key_that_made_it(server: LiveServer, http: httpx2.Client) -> None:
    http.post("/v1/events", json={"kind": "k"})
    secret = server.create_key(TENANT, (Scope.READ,), label="reader")
    [key] = [
        key["id"]
        for key in http.get(f"/v1/admin/tenants/{TENANT}/keys").json()["keys"]
        if key.get("label") == "reader"
    ]
    with server.http(secret) as reader:
        job = made(reader, kind="k")
        http.delete(f"/v1/admin/tenants/{TENANT}/keys/{key}")
        assert reader.get(job["content"]).status_code == 401
    assert "was revoked" in in_state(http, job, "ended")["problem"]
    assert http.get(f"/v1/exports/{job['id']}/content").status_code == 404


def test_deleting_ends_a_job(server: LiveServer, filled: httpx2.Client) -> None:
    job = begun(filled)
    assert filled.delete(f"/v1/exports/{job['id']}").status_code == 204
    assert filled.get(f"/v1/exports/{job['id']}").status_code == 404
    assert filled.get(f"/v1/exports/{job['id']}/content").status_code == 404
    assert filled.delete(f"/v1/exports/{job['id']}").status_code == 404
    folder = server.node.folder / "exports" / job["id"]
    until(lambda: not folder.exists())
    assert entries(filled, "export.deleted")[0]["data"] == {"reason": "deleted"}


def test_the_oldest_of_the_same_maker_gives_way(server: LiveServer, filled: httpx2.Client) -> None:
    for job in filled.get("/v1/exports").json()["exports"]:
        filled.delete(f"/v1/exports/{job['id']}")
    jobs = [made(filled, kind=f"x{n}") for n in range(limits.EXPORTS)]
    with server.http(server.create_key(TENANT, (Scope.READ,))) as other:
        refused = other.post("/v1/exports", json={})
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "30")
    made(filled, kind="one-more")
    left = {job["id"] for job in filled.get("/v1/exports").json()["exports"]}
    assert jobs[0]["id"] not in left
    assert {job["id"] for job in jobs[1:]} < left


def test_an_export_expires(tmp_path: Path) -> None:
    clock = ManualClock()
    with (
        open_server(tmp_path / "data", clock=clock, exports_days=2.0) as live,
        live.http() as http,
    ):
        http.post("/v1/events", json={"kind": "k"})
        job = made(http)
        clock.advance(2 * 86_400_000 - 1_000)
        assert http.get(f"/v1/exports/{job['id']}").status_code == 200
        clock.advance(1_000)
        until(lambda: http.get(f"/v1/exports/{job['id']}").status_code == 404)
        assert entries(http, "export.deleted")[0]["data"] == {"reason": "expired"}


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """Return the settings of a store."""
    if request.param == "postgres":
        yield {"database": request.getfixturevalue("postgres_database")}
    else:
        yield {}


def test_a_job_survives_a_restart(tmp_path: Path, place: dict[str, Any]) -> None:
    """What is done stays, what is not goes on; what was erased meanwhile does not come back."""
    folder = tmp_path / "data"
    with open_server(folder, **place) as live, live.http() as http:
        stored = http.post("/v1/events", json={"kind": "k", "data": {"t": "CANARY"}}).json()
        http.post("/v1/events", json=[{"kind": "k", "data": {"n": n}} for n in range(3000)])
        done = made(http, format="csv")
        half = begun(http, format="ecs")
        key, id = live.admin_key, stored["id"]
    with open_server(folder, tenant=None, **place) as live, live.http(key) as http:
        assert in_state(http, done, "done")["sha256"] == done["sha256"]
        body = until(lambda: (a := http.get(done["content"])).status_code == 200 and a).content
        assert hashlib.sha256(body).hexdigest() == done["sha256"]
        assert in_state(http, half, "done")["count"] == 3001
        live.app._exports.close()  # the rest happens as if another server did it
        live.node.ledger.erase(TENANT, [live.node.ledger.index_of(TENANT, id) or 0], subject=id)
    with open_server(folder, tenant=None, **place) as live, live.http(key) as http:
        again = in_state(http, done, "done")
        assert again["sha256"] != done["sha256"]
        assert b"CANARY" not in http.get(done["content"]).content


def test_a_job_writes_parquet(filled: httpx2.Client) -> None:
    job = made(filled, format="parquet", kind="k.*")
    answer = filled.get(job["content"])
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    table = pyarrow.parquet.read_table(io.BytesIO(answer.content))
    assert table.num_rows == job["count"] >= 10
    assert hashlib.sha256(answer.content).hexdigest() == job["sha256"]
