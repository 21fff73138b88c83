"""Bundles hold what the log has, the same bytes each time, and nothing in them can be changed."""

from __future__ import annotations

import ast
import io
import json
import struct
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallystick.events.event import Resource
from tallystick.evidence import verify
from tallystick.evidence.bundle import VERIFIERS, BundleWriter, verifier_digest, verifier_source
from tallystick.evidence.selection import Question
from tallystick.identity.access import Scope
from tallystick.identity.policies import RetentionPolicy
from tallystick.log.keys import FormerKey, LogKey
from tallystick.node.node import Node, open_node
from tallystick.query.expr import Eq, Everything, In
from tallystick.settings import Settings
from tallystick.tlog.note import Signer
from tests.evidence.corpus import TENANT, bundle, fill, verify_script
from tests.support import needs
from tests.support.live_server import check_node, open_server

script: Any = verify


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Return a node with the log of the corpus."""
    folder = tmp_path_factory.mktemp("evidence") / "data"
    with closing(open_node(folder, Settings(), followers=False)) as node:
        fill(node)
        yield node
        check_node(node)


def holds(data: bytes, pinned: str | None = None) -> Any:
    """Return what the script finds in a bundle."""
    return script.Verification(io.BytesIO(data), pinned)


def fails(data: bytes) -> bool:
    """Tell whether the script refuses a bundle, in the ways its `main` reports."""
    try:
        holds(data)
    except (script.Wrong, ValueError, LookupError, TypeError, struct.error, StopIteration):
        return True
    return False


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 300, None])
def test_a_bundle_of_the_log_at_any_size_holds(node: Node, tmp_path: Path, size: int) -> None:
    target = tmp_path / "b.zip"
    written = bundle(node, target, size=size)
    found = holds(target.read_bytes())
    assert (found.size, found.events) == (written.size, written.events)
    again = tmp_path / "again.zip"
    assert bundle(node, again, size=size).sha256 == written.sha256
    assert zipfile.ZipFile(target).testzip() is None
    assert [path.name for path in tmp_path.iterdir()] != []


def test_the_script_says_what_is_proven_and_exits_with_3_on_damage(
    node: Node, tmp_path: Path
) -> None:
    target = tmp_path / "b.zip"
    bundle(node, target)
    status, text = verify_script(target)
    assert status == 0, text
    assert "key is" in text
    head = node.store.log_head(TENANT)
    assert head is not None
    vkey = str(node.key.signer(head.origin).verifier)
    assert "whose log" not in verify_script(target, "--key", vkey)[1]
    other = str(LogKey.generate().signer(head.origin).verifier)
    assert verify_script(target, "--key", other)[0] == 3
    data = bytearray(target.read_bytes())
    data[len(data) // 2] ^= 1
    target.write_bytes(data)
    assert verify_script(target)[0] == 3
    assert verify_script(tmp_path / "nothing")[0] == 2


def test_events_are_as_they_were_at_the_size(node: Node, tmp_path: Path) -> None:
    def rows(size: int | None) -> dict[int, Any]:
        bundle(node, tmp_path / "b.zip", size=size)
        with zipfile.ZipFile(tmp_path / "b.zip") as archive:
            lines = archive.read("events.ndjson").splitlines()
        return {row["index"]: row for row in map(json.loads, lines)}

    late, early = rows(None), rows(301)
    changed = [index for index in early if early[index] != late.get(index)]
    # Index 0 is the tenant's creation; the events follow it.
    assert changed == [4, 6, 10, 12]
    assert late[6]["data"] == {"revised": "twice"}
    assert late[6]["previous"] == {"revised": 5}
    assert early[6]["data"]["n"] == 5
    assert 10 not in late
    assert "data" in late[20]["erased"]
    assert late[20]["data"] == {}


def test_a_range_accounts_for_every_entry(node: Node, tmp_path: Path) -> None:
    target = tmp_path / "b.zip"
    where = Eq("kind", "order.k1")
    bundle(node, target, span=(5, 290), where=where)
    found = holds(target.read_bytes())
    inside = found.events
    assert found.omitted["retracted"] == 2
    assert found.omitted["filtered out"] == 285 - inside - 2
    narrow = In("scope", ("shop:1",))
    bundle(node, target, span=(0, 300), visible=narrow)
    found = holds(target.read_bytes())
    assert set(found.omitted) <= {"not visible", "retracted"}
    assert sum(found.omitted.values()) + found.changes.entries >= 300
    bundle(node, target, where=where)
    assert holds(target.read_bytes()).omitted is None


def members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(parts: dict[str, bytes]) -> bytes:
    """Return a bundle of changed members that is a perfect ZIP again."""
    out, directory, count = io.BytesIO(), b"", 0
    for name in sorted(parts):
        data, offset = parts[name], out.tell()
        crc = zlib.crc32(data)
        out.write(script.local_header(name.encode(), crc, len(data)) + data)
        directory += script.central_header(name.encode(), crc, len(data), offset)
        count += 1
    start = out.tell()
    out.write(directory + script.end_records(count, len(directory), start))
    return out.getvalue()


def test_a_changed_byte_of_any_member_is_found_though_the_zip_is_whole(
    node: Node, tmp_path: Path
) -> None:
    """An attacker mends every checksum of the ZIP, so only the proofs are left to find it."""
    target = tmp_path / "b.zip"
    bundle(node, target, span=(5, 40), where=Eq("kind", "order.k1"))
    parts = members(target.read_bytes())
    assert packed(parts) == target.read_bytes()
    # The question is the exporter's word, and so is the reason why an entry is left out.
    claimed = {"manifest.json": parts["manifest.json"].index(b'"question"')}
    for name, content in parts.items():
        step = max(1, len(content) // 40)
        for at in range(0, len(content), step):
            if name == "manifest.json" and claimed[name] <= at < claimed[name] + 60:
                continue
            changed = bytearray(content)
            changed[at] ^= 1
            assert fails(packed({**parts, name: bytes(changed)})), (name, at)
        assert fails(packed({**parts, name: content + b"\n"})), name
        assert fails(packed({key: value for key, value in parts.items() if key != name})), name
    assert fails(packed({**parts, "more.txt": b""}))


def test_a_flipped_bit_anywhere_in_the_file_is_found(node: Node, tmp_path: Path) -> None:
    target = tmp_path / "b.zip"
    bundle(node, target, size=6)
    data = target.read_bytes()
    assert not fails(data)
    for at in range(0, len(data), max(1, len(data) // 400)):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8
        assert fails(bytes(changed)), at
    for other in (data + b"\0", data[:-1], b"", b"PK", b"\0" + data):
        assert fails(other)


def test_a_run_that_was_killed_goes_on_to_the_same_bytes(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    expected = bundle(node, tmp_path / "whole.zip", size=300).sha256
    monkeypatch.setattr("tallystick.evidence.bundle._AT_ONCE", 16)
    monkeypatch.setattr("tallystick.evidence.bundle._NOTED_EVERY", 2)
    head = node.store.log_head(TENANT)
    assert head is not None
    question = Question(TENANT, 300, 0, 300, Everything(), Everything(), True)
    told = {"q": repr(Everything())[:40]}
    target = tmp_path / "b.zip"
    for stop in (16, 32, 80, 300):
        begun: list[int] = []

        def killing(done: int, total: int, stop: int = stop, begun: list[int] = begun) -> None:
            begun.append(done)
            if done >= stop:
                raise Killed

        writer = BundleWriter(node.store, node.key.signer(head.origin), question, told)
        with pytest.raises(Killed):
            writer.write(target, progress=killing)
        assert begun[0] <= stop
    assert bundle(node, target, size=300).sha256 == expected
    assert not target.with_name("b.zip.part").exists()


def test_after_an_erasure_a_run_begins_again_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    with closing(open_node(tmp_path / "data", Settings(), followers=False)) as node:
        fill(node, 40)
        head = node.store.log_head(TENANT)
        assert head is not None
        question = Question(TENANT, head.size, 0, head.size, Everything(), Everything(), True)
        writer = BundleWriter(node.store, node.key.signer(head.origin), question, {})
        target = tmp_path / "b.zip"

        def killing(done: int, total: int) -> None:
            if done >= 36:
                raise Killed

        monkeypatch.setattr("tallystick.evidence.bundle._AT_ONCE", 6)
        monkeypatch.setattr("tallystick.evidence.bundle._NOTED_EVERY", 1)
        with pytest.raises(Killed):
            writer.write(target, progress=killing)
        node.ledger.erase(TENANT, [30], subject="somebody")
        written = writer.write(target)
        assert written.begun_again
        assert b'"n":29' not in target.read_bytes()
        found = holds(target.read_bytes())
        assert found.unproven > 0


def test_what_the_log_says_was_erased_may_not_come_back(node: Node, tmp_path: Path) -> None:
    """A bundle of before the erasure, with its entry put in, contradicts itself."""
    target = tmp_path / "b.zip"
    bundle(node, target)
    parts = members(target.read_bytes())
    lines = parts["sections.ndjson"].splitlines(keepends=True)
    assert b'"data":null' in lines[20]
    salted = b'"data":{"salt":"AAAAAAAAAAAAAAAAAAAAAA==","length":2,"json":{}}'
    lines[20] = lines[20].replace(b'"data":null', salted)
    assert fails(packed({**parts, "sections.ndjson": b"".join(lines)}))


def test_bundles_are_the_same_on_postgres(tmp_path: Path, postgres_database: str) -> None:
    settings = Settings(database=postgres_database)
    with closing(open_node(tmp_path / "data", settings, followers=False)) as node:
        fill(node, 40)
        target = tmp_path / "b.zip"
        written = bundle(node, target, span=(3, 40), where=Eq("kind", "order.k1"))
        assert holds(target.read_bytes()).events == written.events > 0


def test_a_bundle_over_http(tmp_path: Path) -> None:
    with open_server(tmp_path / "data") as live, live.http() as http:
        for n in range(5):
            http.post("/v1/events", json={"kind": "a" if n % 2 else "b", "data": {"n": n}})
        begun = http.post("/v1/bundles?kind=a&first=0")
        assert begun.status_code == 202, begun.text
        path = begun.headers["Location"]
        deadline = time.monotonic() + 60
        while (job := http.get(path).json())["status"] == "running":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert (job["status"], job["events"]) == ("done", 2)
        found = holds(http.get(job["content"]).content)
        assert found.events == 2
        assert found.manifest["question"] == {"first": "0", "kind": "a"}
        [entry] = http.get("/v1/events?view=log&kind=export.bundle").json()["events"]
        assert entry["data"]["sha256"] == job["sha256"]
        assert set(entry["data"]["verifiers"]) == {"verify.html", "verify.py"}
        reader = live.create_key("default", (Scope.WRITE,))
        with live.http(reader) as other:
            assert other.get(path).status_code == 403
        assert http.delete(path).status_code == 204
        assert http.get(path).status_code == 404
        for bad in ("at=99", "first=3&stop=2", "colour=red", "q=("):
            assert http.post(f"/v1/bundles?{bad}").status_code == 400, bad


def test_ed25519_of_the_script_agrees_with_a_library() -> None:
    for n in range(4):
        key = Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32)
        public, message = key.public_key().public_bytes_raw(), b"m" * n * 100
        signature = key.sign(message)
        assert script.ed25519_verify(public, message, signature)
        assert not script.ed25519_verify(public, message + b"x", signature)
        s = int.from_bytes(signature[32:], "little") + script.L
        assert not script.ed25519_verify(public, message, signature[:32] + s.to_bytes(32, "little"))
        assert not script.ed25519_verify(bytes(32), message, signature)
    # RFC 8032 section 7.1, test 2.
    assert script.ed25519_verify(
        bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"),
        b"\x72",
        bytes.fromhex(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    )


def test_events_removed_by_policy_are_told_from_missing_ones(tmp_path: Path) -> None:
    """Goal: a verifier proves which events a retention policy took away, and refuses the others."""
    with closing(open_node(tmp_path / "data", Settings(), followers=False)) as node:
        fill(node, 40)
        policy = RetentionPolicy(
            id="p",
            tenant=TENANT,
            query="target:order\\:3*",
            days=0,
            set_ms=0,
            set_by=Resource("u", "1"),
        )  # fmt: skip
        node.retention.set_policy(policy, confirm=False)
        _, plan = node.retention.run(TENANT, by=Resource("u", "1"), confirm=True)
        assert plan.events == 11
        whole, part = tmp_path / "whole.zip", tmp_path / "part.zip"
        bundle(node, whole)
        head = node.store.log_head(TENANT)
        assert head is not None
        bundle(node, part, span=(0, head.size), where=Eq("target", "order:5"))
    verified = holds(whole.read_bytes())
    assert verified.removed > 11
    assert verified.erased > 0
    assert "removed by a retention policy" in verified.verdict(pinned=True)
    verified = holds(part.read_bytes())
    assert verified.omitted["removed by policy"] == 11
    with zipfile.ZipFile(part) as archive:
        omitted = archive.read("omitted.txt").decode()
    assert "removed by policy" in omitted
    told = verified.changes.removed
    verified.changes.removed = set()
    with pytest.raises(script.Wrong, match="no entry says that a policy removed"):
        verified.check_range()
    verified.changes.removed = told
    code, text = verify_script(whole)
    assert code == 0
    assert "removed by a retention policy" in text


def test_bundle_has_one_signature_while_two_keys_sign(node: Node, tmp_path: Path) -> None:
    until_ms = node.clock.now_ms() + 60_000
    new, former = Signer.generate("log"), Signer.generate("log")
    both = LogKey(new, former=FormerKey(former, until_ms))
    later = LogKey(new)
    written = [bundle(node, tmp_path / f"{n}.zip", key=key) for n, key in enumerate((both, later))]
    assert written[0].sha256 == written[1].sha256
    assert verify_script(tmp_path / "0.zip")[0] == 0


@pytest.mark.needs("python3.8")
def test_script_runs_on_the_oldest_python(node: Node, tmp_path: Path) -> None:
    python = needs.oldest_python()
    assert python is not None
    target = tmp_path / "b.zip"
    bundle(node, target)
    status, text = verify_script(target, python=python)
    assert status == 0, text
    data = bytearray(target.read_bytes())
    data[len(data) // 2] ^= 1
    target.write_bytes(data)
    assert verify_script(target, python=python)[0] == 3


def test_script_is_written_in_the_oldest_syntax() -> None:
    ast.parse(verifier_source("verify.py"), feature_version=(3, 8))


def test_release_notes_name_the_digests_of_the_verifiers() -> None:
    notes = (needs.ROOT / "CHANGELOG.md").read_text("utf-8").split("\n## ")[1]
    for name in VERIFIERS:
        assert f"`{name}`: `{verifier_digest(name)}`" in notes, "run sha256sum, and say so there"
