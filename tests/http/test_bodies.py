"""Bodies as shippers send them: compressed, with a byte order mark, of a type in any spelling."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from typing import Any

import httpx2
import pytest

from tallystick import limits
from tallystick.http.compression import CODINGS
from tests.http.native.test_append import log_size
from tests.support.live_server import TENANT, LiveServer

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Json = dict[str, Any]

TWO = b'{"kind":"gz.one"}\n{"kind":"gz.two"}\n'
NDJSON = {"Content-Type": "application/x-ndjson"}
PACKED = [
    ("gzip", gzip.compress(TWO, mtime=0)),
    ("GZIP", gzip.compress(TWO, mtime=0)),
    ("x-gzip", gzip.compress(TWO[:9], mtime=0) + gzip.compress(TWO[9:], mtime=0)),
    ("deflate", zlib.compress(TWO)),
    ("zstd", zstd.compress(TWO)),
    ("identity", TWO),
]


def post(http: httpx2.Client, body: bytes, **headers: str) -> httpx2.Response:
    """Post a body with headers, whose names have underscores here."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return http.post("/v1/events", content=body, headers=sent)


def statuses(answer: httpx2.Response) -> list[int]:
    """Return the status of each line of an answer."""
    assert answer.status_code == 200, answer.text
    return [json.loads(line)["status"] for line in answer.text.splitlines()]


@pytest.mark.parametrize(("coding", "body"), PACKED)
def test_row_10a_a_compressed_body_of_lines_is_stored(
    http: httpx2.Client, coding: str, body: bytes
) -> None:
    answer = http.post("/v1/events", content=body, headers={**NDJSON, "Content-Encoding": coding})
    assert statuses(answer) == [201, 201]


def test_row_10_one_event_and_an_array_may_be_compressed(http: httpx2.Client) -> None:
    for value in ({"kind": "k"}, [{"kind": "k"}, {"kind": "l"}]):
        packed = gzip.compress(json.dumps(value).encode())
        assert post(http, packed, Content_Encoding="gzip").status_code == 201


@pytest.mark.parametrize("coding", ["br", "snappy", "gzip, gzip", "compress"])
def test_row_10_an_unknown_coding_is_415_and_stores_nothing(
    http: httpx2.Client, coding: str
) -> None:
    size = log_size(http)
    answer = http.post("/v1/events", content=TWO, headers={**NDJSON, "Content-Encoding": coding})
    assert answer.status_code == 415
    assert answer.headers["accept-encoding"] == "gzip, deflate, zstd"
    assert answer.json()["type"] == "urn:tallystick:error:unsupported_media_type"
    assert log_size(http) == size


def test_row_10_a_body_that_is_not_what_its_header_says_is_refused_whole(
    http: httpx2.Client,
) -> None:
    """A shipper deletes what was answered with 200."""
    size = log_size(http)
    for coding, body in (("gzip", TWO), ("zstd", TWO), ("gzip", gzip.compress(TWO)[:-4])):
        headers = {**NDJSON, "Content-Encoding": coding}
        answer = http.post("/v1/events", content=body, headers=headers)
        assert (answer.status_code, answer.json()["pointer"]) == (400, "Content-Encoding")
    assert log_size(http) == size


@pytest.mark.parametrize("coding", CODINGS)
def test_row_10_a_bomb_is_413(http: httpx2.Client, coding: str) -> None:
    empty = bytes(2 * limits.BATCH_BYTES)
    bombs = {
        "gzip": gzip.compress(empty),
        "deflate": zlib.compress(empty),
        "zstd": zstd.compress(empty),
    }
    headers = {**NDJSON, "Content-Encoding": coding}
    answer = http.post("/v1/events", content=bombs[coding], headers=headers)
    assert (answer.status_code, answer.json()["limit"]) == (413, limits.BATCH_BYTES)


def test_row_10_every_native_route_with_a_body_unpacks_it(
    server: LiveServer, http: httpx2.Client
) -> None:
    event = http.post("/v1/events", json={"kind": "k", "data": {"a": 1}}).json()
    packed = {"Content-Encoding": "gzip", "Content-Type": "application/json"}

    def send(path: str, value: Json, coding: str = "gzip") -> int:
        body, headers = gzip.compress(json.dumps(value).encode()), {**packed}
        headers["Content-Encoding"] = coding
        return http.post(path, content=body, headers=headers).status_code

    tenant = f"/v1/admin/tenants/{TENANT}"
    hold = {"id": "h", "query": "kind:none", "reason": "r"}
    for path, value in (
        (f"/v1/events/{event['id']}/revise", {"data": {"a": 2}}),
        (f"/v1/events/{event['id']}/retract", {}),
        (f"{tenant}/users", {"id": "u", "login": "u", "name": "U"}),
        (f"{tenant}/holds", hold),
    ):
        assert send(path, value, "br") == 415, path
        assert send(path, value) in (200, 201), path
    shown = http.get("/v1/events", params={"view": "log"}).json()["events"]
    assert any(entry["data"] == {"a": 2} for entry in shown)


def test_dialects_unpack_bodies_too(server: LiveServer, http: httpx2.Client) -> None:
    """What they do not unpack they refuse in their own shape."""
    body = json.dumps({"a": 1}).encode()
    key = httpx2.BasicAuth(server.admin_key, "")
    for coding, packed, status in (
        ("zstd", zstd.compress(body), 201),
        ("gzip", gzip.compress(body), 201),
        ("br", body, 400),
    ):
        answer = httpx2.put(
            f"{server.url}/v0/things/{coding}", content=packed, auth=key,
            headers={"Content-Encoding": coding, "Content-Type": "application/json"},
        )  # fmt: skip
        assert answer.status_code == status, answer.text
    assert answer.json()["code"] == "api_bad_request"


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r\n\r\n"])
def test_row_9_a_byte_order_mark_and_crlf_are_passed_over(
    http: httpx2.Client, mark: bytes, end: bytes
) -> None:
    body = mark + b'{"kind":"bom.one"}' + end + b'{"kind":"bom.two"}' + end
    assert statuses(http.post("/v1/events", content=body, headers=NDJSON)) == [201, 201]
    joined = http.post("/v1/events", content=body + body, headers=NDJSON)
    assert statuses(joined) == [201] * 4
    for value in (b'{"kind":"k"}', b'[{"kind":"k"}]', b'\r\n [{"kind":"k"}]\r\n'):
        assert post(http, mark + value).status_code == 201


def test_row_9_utf_16_is_refused(http: httpx2.Client) -> None:
    body = '{"kind":"k"}\n'.encode("utf-16")
    assert http.post("/v1/events", content=body).status_code == 400
    assert set(statuses(http.post("/v1/events", content=body, headers=NDJSON))) == {400}


@pytest.mark.parametrize(
    "media_type",
    [
        "application/x-ndjson", "APPLICATION/X-NDJSON", "Application/X-NDJson; charset=UTF-8",
        "application/ndjson", "application/ndjson;charset=utf-8", "application/jsonl",
        "APPLICATION/JSONL ; a=b",
    ],
)  # fmt: skip
def test_row_30_each_name_of_lines_is_known_in_any_letter_case(
    http: httpx2.Client, media_type: str
) -> None:
    body = b'{"kind":"ct.e"}\n{"kind":"ct.e"}\n'
    answer = http.post("/v1/events", content=body, headers={"Content-Type": media_type})
    assert statuses(answer) == [201, 201]
    assert answer.headers["content-type"] == "application/x-ndjson"


@pytest.mark.parametrize(
    "media_type",
    ["application/x-ndjsonfoo", "application/ndjson2", "application/jsonlines!", "text/csv", "x"],
)
def test_row_30_other_types_are_415(http: httpx2.Client, media_type: str) -> None:
    size = log_size(http)
    answer = http.post(
        "/v1/events", content=b'{"kind":"k"}\n', headers={"Content-Type": media_type}
    )
    assert (answer.status_code, answer.json()["pointer"]) == (415, "Content-Type")
    assert log_size(http) == size


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json", "Application/JSON; charset=utf-8", "application/vnd.x+json", "",
        "application/x-www-form-urlencoded", "text/plain", "application/octet-stream",
    ],
)  # fmt: skip
def test_what_programs_call_json_is_json(http: httpx2.Client, media_type: str) -> None:
    answer = http.post("/v1/events", content=b'{"kind":"k"}', headers={"Content-Type": media_type})
    assert answer.status_code == 201
