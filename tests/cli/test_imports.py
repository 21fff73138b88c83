"""Imports from the command line: cut off and run again, with records that are none."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.cli.program import TALLYSTICK, program, run, told
from tests.support.live_server import LiveServer, open_server

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def record(n: int) -> dict[str, object]:
    """Return a CloudTrail record."""
    return {
        "eventID": str(UUID(int=n, version=4)),
        "eventTime": "2023-07-10T11:42:18Z",
        "eventSource": "sts.amazonaws.com",
        "eventName": "GetCallerIdentity",
        "userIdentity": {"type": "IAMUser", "userName": "bert-jan"},
    }


def write(path: Path, records: list[object]) -> Path:
    """Write a log file of CloudTrail."""
    path.write_text(json.dumps({"Records": records}))
    return path


def reach_of(server: LiveServer) -> tuple[str, ...]:
    """Return the options that name a server."""
    return ("--url", server.url, "--key", server.admin_key)


def events_of(server: LiveServer, **params: str) -> list[Any]:
    """Return the events that are stored, oldest first."""
    with server.http() as http:
        answer = http.get("/v1/events", params={"order": "asc", "limit": "1000", **params})
    found: list[Any] = answer.json()["events"]
    return found


def lines(*values: object) -> bytes:
    """Return values as lines of JSON."""
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def stored(server: LiveServer) -> int:
    """Return how many events there are."""
    with server.http() as http:
        total: int = http.get("/v1/events?limit=1&total=true").json()["total"]
    return total


def test_an_import_that_was_killed_goes_on_when_it_is_run_again(tmp_path: Path) -> None:
    """The second file is a pipe that nobody writes to: there the first run stands still."""
    first = write(tmp_path / "1.json", [record(n) for n in range(1200)])
    second = tmp_path / "2.json"
    os.mkfifo(second)
    with open_server(tmp_path / "data") as server:
        reach = ("--url", server.url, "--key", server.admin_key)
        command = [str(TALLYSTICK), "import", "cloudtrail", str(first), str(second), *reach]
        cut_off = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        until_s = time.monotonic() + 60
        while stored(server) < 1000:
            assert cut_off.poll() is None
            assert time.monotonic() < until_s
        cut_off.kill()
        cut_off.communicate()
        assert stored(server) == 1000
        second.unlink()
        write(second, [record(n) for n in range(1100, 1500)])
        again = told("import", "cloudtrail", str(first), str(second), *reach)
        # A hundred records are in both files.
        assert again == {"stored": 500, "already_there": 1100, "skipped": 0}
        assert stored(server) == 1500


def test_malformed_records_are_reported_and_skipped(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    write(files / "a.json", [{}, 7, {**record(1), "eventTime": "soon"}, record(2)])
    (files / "b.json").write_text('{"Records": [')
    write(files / "c.json", [record(n) for n in range(3, 6)])
    with open_server(tmp_path / "data") as server:
        reach = ("--url", server.url, "--key", server.admin_key)
        done = run("import", "cloudtrail", str(files), *reach, code=1)
    assert done.stdout == "4 stored, 0 already there, 4 skipped\n"
    for place in ("a.json record 1: ", "a.json record 3: ", "b.json: "):
        assert f"skipped {place}" in done.stderr


INSIGHT = {
    "eventVersion": "1.08",
    "eventTime": "2025-02-03T04:06:00Z",
    "awsRegion": "eu-west-1",
    "eventID": "7a1c0000-0000-4000-8000-0000000000aa",
    "eventType": "AwsCloudTrailInsight",
    "recipientAccountId": "111122223333",
    "sharedEventID": "7a1c0000-0000-4000-8000-0000000000ab",
    "insightDetails": {
        "state": "Start",
        "eventSource": "autoscaling.amazonaws.com",
        "eventName": "CompleteLifecycleAction",
        "insightType": "ApiCallRateInsight",
    },
    "eventCategory": "Insight",
}
DIGEST = {
    "awsAccountId": "111122223333",
    "digestStartTime": "2025-02-03T03:00:00Z",
    "digestEndTime": "2025-02-03T04:00:00Z",
    "digestS3Bucket": "trail",
    "logFiles": [],
}


def archive(**files: bytes) -> bytes:
    """Return a zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in files.items():
            zipped.writestr(f"a/{name}.json", content)
    return buffer.getvalue()


ONE = json.dumps({"Records": [record(1)]}).encode()
BOTH = json.dumps({"Records": [record(1), record(2)]}).encode()
LOOKED_UP = {
    "Events": [
        {"EventId": record(n)["eventID"], "CloudTrailEvent": json.dumps(record(n))} for n in (1, 2)
    ],
    "NextToken": "x",
}
DELIVERED = {
    "row 4, gzip": gzip.compress(BOTH),
    "row 4, gzip in two members": gzip.compress(BOTH[:50]) + gzip.compress(BOTH[50:]),
    "zstd": zstd.compress(BOTH),
    "zip": archive(one=ONE, two=lines(record(2))),
    "zip of gzip": archive(one=gzip.compress(BOTH)),
    "row 5, a record a line": lines(record(1), record(2)),
    "row 5, CRLF and blank lines": lines(record(1), record(2)).replace(b"\n", b"\r\n\r\n"),
    "row 5, no line end": lines(record(1), record(2)).rstrip(),
    "row 5, gzip": gzip.compress(lines(record(1), record(2))),
    "row 6, a byte order mark": b"\xef\xbb\xbf" + BOTH,
    "row 6, a byte order mark before lines": b"\xef\xbb\xbf" + lines(record(1), record(2)),
    "row 6, lookup-events": json.dumps(LOOKED_UP, indent=4).encode(),
    "row 6, lookup-events, the token first": json.dumps(
        dict(reversed(LOOKED_UP.items()))
    ).encode(),
    "row 6, CloudTrailEvent a line": lines(*LOOKED_UP["Events"]),
    "a list": json.dumps([record(1), record(2)]).encode(),
    "a list of many lines": json.dumps([record(1), record(2)], indent=2).encode(),
    "files behind one another": ONE + json.dumps({"Records": [record(2)]}).encode(),
    "files behind one another, pretty": b"\n".join(
        json.dumps({"Records": [record(n)]}, indent=1).encode() for n in (1, 2)
    ),
    "a file a line": lines({"Records": [record(1)]}, {"Records": [record(2)]}),
    "EventBridge": lines(
        *({"detail-type": "AWS API Call via CloudTrail", "detail": record(n)} for n in (1, 2))
    ),
    "CloudWatch Logs": json.dumps(
        {"messageType": "DATA_MESSAGE",
         "logEvents": [{"id": "1", "message": json.dumps(record(n))} for n in (1, 2)]}
    ).encode(),
}  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Serve one store for tests that say what is new and what is already there."""
    with open_server(tmp_path_factory.mktemp("importing") / "data") as live:
        yield live


def test_rows_4_5_and_6_cloudtrail_in_every_shape_it_is_delivered_in(
    server: LiveServer, tmp_path: Path
) -> None:
    """The first shape stores both records, every other one has the same."""
    counts = (2, 0)
    for n, (shape, content) in enumerate(DELIVERED.items()):
        file = tmp_path / f"{n}.json"
        file.write_bytes(content)
        answer = told("import", "cloudtrail", str(file), *reach_of(server))
        assert answer == {"stored": counts[0], "already_there": counts[1], "skipped": 0}, shape
        counts = (0, 2)


def test_row_4b_a_folder_is_read_whole_and_names_what_it_leaves_out(
    server: LiveServer, tmp_path: Path
) -> None:
    folder = tmp_path / "AWSLogs"
    (folder / "2025/02").mkdir(parents=True)
    (folder / "2025/02/trail.json.gz").write_bytes(gzip.compress(lines(record(41))))
    (folder / "2025/TRAIL.JSONL").write_bytes(lines(record(42)))
    (folder / "empty.json").write_text('{"Records":[]}')
    (folder / "digest.json.gz").write_bytes(gzip.compress(json.dumps(DIGEST).encode()))
    (folder / "notes.txt").write_text("x")
    (folder / "README.md").write_text("x")
    done = run("import", "cloudtrail", str(folder), *reach_of(server), code=1)
    assert done.stdout == "2 stored, 0 already there, 0 skipped, 2 left out\n"
    assert "left out notes.txt: " in done.stderr
    assert "passed over README.md: a document" in done.stderr
    assert "left out digest.json.gz record 1: a digest file" in done.stderr
    exclude = ("--exclude", "*.txt", "--exclude", "digest*")
    done = run("import", "cloudtrail", str(folder), *exclude, *reach_of(server))
    assert done.stdout == "0 stored, 2 already there, 0 skipped\n"
    assert done.stderr.count("left out") == 0


def test_row_6_an_insight_record_is_an_event_of_its_own(server: LiveServer, tmp_path: Path) -> None:
    write(tmp_path / "insight.json", [INSIGHT])
    run("import", "cloudtrail", str(tmp_path / "insight.json"), *reach_of(server))
    [event] = events_of(server, kind="cloudtrail.ApiCallRateInsight.Start")
    assert event["id"] == INSIGHT["eventID"]
    assert event["occurred_at"] == "2025-02-03T04:06:00.000Z"
    assert event["target"] == {"type": "aws:call", "id": "autoscaling.CompleteLifecycleAction"}


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"not json", "x.json: "),
        (b"", None),
        (b'{"Records":[{}]}', "x.json record 1: "),
        (lines(record(51)) + b'{"eventID"\n' + lines(record(52)), "x.json line 2: "),
        (b'{"eventID"\n' + lines(record(51), record(52)), "x.json line 1: "),
        (gzip.compress(lines(record(51), record(52)))[:-9], "x.json: "),
        (zstd.compress(lines(record(51), record(52)))[:-9], "x.json: "),
        (archive(one=b"x")[:-30], "x.json: "),
        (json.dumps({"Records": [record(51), record(52)]}, indent=1).encode()[:-1], "x.json after"),
        (b"[" + json.dumps(record(51)).encode() + b" 7]", "x.json after record 1: "),
    ],
    ids=[
        "text", "empty", "record", "second-line", "first-line",
        "cut-gzip", "cut-zstd", "cut-zip", "cut-document", "number-among-records",
    ],
)  # fmt: skip
def test_row_7_what_is_skipped_is_named_and_exits_with_1(
    server: LiveServer, tmp_path: Path, content: bytes, place: str | None
) -> None:
    (tmp_path / "x.json").write_bytes(content)
    code = 0 if place is None else 1
    command = ("import", "cloudtrail", str(tmp_path / "x.json"), *reach_of(server))
    done = run(*command, code=code)
    assert place is None or f"skipped {place}" in done.stderr


def test_row_7_the_program_itself_exits_with_1(server: LiveServer, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("not json")
    program("import", "cloudtrail", str(tmp_path / "bad.json"), *reach_of(server), code=1)
    audit = tmp_path / "x"
    audit.mkdir()
    (audit / "p.json").write_text("[")
    program("import", "github", str(audit), *reach_of(server), code=1)


AUDIT = {
    "@timestamp": 1655872622832, "_document_id": "Zm9v", "action": "git.clone", "actor": "kim",
    "org": "acme", "repo": "acme/till",
}  # fmt: skip


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("form", ["one", "list", "lines"])
def test_row_8_an_export_of_the_audit_log_is_known(
    server: LiveServer, tmp_path: Path, form: str, packed: bool
) -> None:
    other = {**AUDIT, "_document_id": "YmFy", "action": "org.add_member", "user": "lee"}
    content = {
        "one": json.dumps(AUDIT).encode(),
        "list": json.dumps([AUDIT, other], indent=2).encode(),
        "lines": lines(AUDIT, other),
    }[form]
    file = tmp_path / "audit.json"
    file.write_bytes(gzip.compress(content) if packed else content)
    run("import", "github", str(file), *reach_of(server))
    [event] = events_of(server, kind="git.clone")
    assert event["actor"] == {"type": "user", "id": "kim", "name": "kim"}
    assert event["target"] == {"type": "repository", "id": "acme/till", "name": "acme/till"}
    assert event["occurred_at"] == "2022-06-22T04:37:02.832Z"
    assert [scope["id"] for scope in event["scopes"]] == ["acme", "acme/till"]
    assert event["data"] == AUDIT
    if form != "one":
        [added] = events_of(server, kind="org.add_member")
        assert added["target"] == {"type": "user", "id": "lee", "name": "lee"}


def test_row_3_a_report_says_how_many_payloads_tell_no_time(
    server: LiveServer, tmp_path: Path
) -> None:
    repository = {"id": 7002, "full_name": "acme/till", "updated_at": "2025-01-05T08:00:00Z"}
    for name in ("label", "watch"):
        (tmp_path / name).mkdir()
        payload = {"action": "created", "repository": repository, name: {"id": 1}}
        (tmp_path / name / "1.json").write_text(json.dumps(payload))
    done = run("import", "github", str(tmp_path), *reach_of(server))
    assert done.stdout == (
        "2 stored, 0 already there, 0 skipped, 2 tell no time and have that of the import\n"
    )
    [event] = events_of(server, kind="label.created")
    assert event["original"] == {"system": "github", "type": "label", "time": None}
    assert event["occurred_at"] == event["recorded_at"]
    again = run("import", "github", str(tmp_path), *reach_of(server))
    assert again.stdout.startswith("0 stored, 2 already there, 0 skipped")


@pytest.mark.parametrize("pack", ["plain", "gzip", "zstd"])
def test_rows_10c_and_11_append_unpacks_and_counts_repeats(
    server: LiveServer, tmp_path: Path, pack: str
) -> None:
    number = 7000 + ["plain", "gzip", "zstd"].index(pack)
    event = {"kind": "ac.e", "id": str(UUID(int=number, version=4))}
    content = b"\xef\xbb\xbf" + lines(event, {"kind": "ac.f"}).replace(b"\n", b"\r\n")
    packed = {"plain": content, "gzip": gzip.compress(content), "zstd": zstd.compress(content)}
    file = tmp_path / "lines.ndjson"
    file.write_bytes(packed[pack])
    first = run("append", str(file), *reach_of(server))
    assert first.stdout.endswith("2 stored, 0 refused\n")
    again = run("append", str(file), *reach_of(server))
    assert again.stdout.endswith("1 stored, 1 already there, 0 refused\n")
    counts = told("append", "--idempotency-key", f"night {pack}", str(file), *reach_of(server))
    assert counts == {"stored": 1, "already_there": 1, "failed": 0}
    counts = told("append", "--idempotency-key", f"night {pack}", str(file), *reach_of(server))
    assert counts == {"stored": 0, "already_there": 2, "failed": 0}


def test_append_of_lines_that_are_large_together_goes_in_several_requests(
    server: LiveServer, tmp_path: Path
) -> None:
    big = lines(*({"kind": "big", "data": {"x": "x" * 900_000}} for _ in range(24)))
    (tmp_path / "big.ndjson").write_bytes(big + b"x" * 20_000_000 + b"\n" + lines({"kind": "k"}))
    done = run("append", str(tmp_path / "big.ndjson"), *reach_of(server), code=1)
    assert done.stdout.endswith("25 stored, 1 refused\n")
    assert "line 25: one event may have 1,048,576 bytes" in done.stderr
