"""The public log over HTTP, checked by the independent verifier: files, seals, receipts, growth."""

from __future__ import annotations

import base64
import hashlib
import threading
from typing import Any
from xml.etree import ElementTree

import cbor2
import httpx2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from tallystick.events import ids
from tallystick.events.event import Draft
from tallystick.http.app import App
from tallystick.query.expr import Everything
from tests.dialects.datatrails import independent_verifier as verifier
from tests.dialects.datatrails.conftest import HEIGHT, LOGS, Account, Json, eventually
from tests.support.live_server import LiveServer

RECEIPTS = "/extensions/datatrails/receipts"
MERKLE_LOGS = "/verifiabledata/merklelogs"
MASSIF_LEAVES = 1 << (HEIGHT - 1)


def key_of(account: Account) -> ec.EllipticCurvePublicKey:
    """Return the key of seals, as the server tells it to anybody."""
    jwk = account.anonymous.get("/extensions/datatrails/seal-key").json()
    x, y = (int.from_bytes(_decoded(jwk[name])) for name in ("x", "y"))
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP384R1()).public_key()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def verified(account: Account) -> verifier.Log:
    """Read the whole public log and its seals, and check everything."""
    seals: list[bytes] = []
    while True:
        # Seals first: what they are about is in the files that are read afterwards.
        answer = account.file("massifseals", len(seals), ending="sth")
        if answer.status_code != 200:
            break
        seals.append(answer.content)
    log = verifier.read_log(account.massifs(), height=HEIGHT)
    key = key_of(account)
    sizes = [verifier.check_seal(seal, log, key) for seal in seals]
    assert sizes == sorted(set(sizes))
    return log


@pytest.mark.row("D-27", "D-28", "D-29", "D-30", "D-31", "D-32", "D-69", "D-72", "D-74", "D-75")
def test_confirmed_events_are_in_the_files_and_under_a_seal(account: Account) -> None:
    made = [
        account.create(
            event_type=("", "Safety")[number % 2],
            trails=["Clouseau"] * (number % 3),
            attributes={
                "n": str(number),
                "markup": "<&>\u2028\x00\x1f\x7f é 日",
                "d": {"b": "", "a": "1"},
            },
        )
        for number in range(11)
    ]
    account.confirmed(made[-1]["identity"])
    log = verified(account)
    assert log.epoch == 1
    shown = account.search(top=50).json()["events"]
    for event in shown:
        assert event["confirmation_status"] == "CONFIRMED"
        verifier.check_event(log, event, log_id=account.uuid)
    idtimestamps = [event["ledger_entry"]["idtimestamp"] for event in shown]
    assert idtimestamps == sorted(set(idtimestamps))
    size = len(account.massifs())
    assert size == -(-len(log.leaves) // MASSIF_LEAVES)


@pytest.mark.row("D-30", "D-32")
def test_events_written_elsewhere_are_leaves_too(account: Account) -> None:
    """Each entry is a leaf, acts of administration included, so both logs number alike."""
    stored = account.server.node.ledger.append(
        account.tenant, [Draft(kind="k", data={"n": n, "d": [1, {"a": None}]}) for n in range(3)]
    )
    shown = account.confirmed(f"events/{stored[-1].id}")
    log = verified(account)
    assert verifier.check_event(log, shown, log_id=account.uuid) == stored[-1].index
    assert [leaf.extra[0] for leaf in log.leaves[-3:]] == [1, 1, 1]
    assert {leaf.extra[0] for leaf in log.leaves[:-3]} == {255}
    entries = account.server.node.store.rows(account.tenant, 0, 1)
    assert log.leaves[0].value == entries[0].leaf


@pytest.mark.row("D-24", "D-25", "D-26", "D-32")
def test_status_moves_from_stored_over_committed_to_confirmed(still: Account) -> None:
    from tallystick.dialects.datatrails import DATATRAILS
    from tallystick.dialects.datatrails.publiclog.kind import follower_of

    services = App(still.server.node, (DATATRAILS,)).services
    follower = follower_of(services.followers)
    # The leaf that fills a massif is sealed at once; this one begins the next.
    still.create()
    event = still.create(event_type="a")
    path = event["identity"]
    assert still.read(path) == event
    size = services.followers.log.size(still.tenant)
    while follower.publish(still.tenant, size) < size:
        pass
    committed = still.read(path)
    assert committed["confirmation_status"] == "COMMITTED"
    assert set(committed) - set(event) == {"ledger_entry"}
    receipt = still.app.get(f"{RECEIPTS}/{path}")
    assert receipt.status_code == 503
    assert "retry-after" in receipt.headers
    follower.seal(still.tenant)
    assert still.read(path) == committed | {"confirmation_status": "CONFIRMED"}
    assert still.app.get(f"{RECEIPTS}/{path}").status_code == 200


@pytest.mark.row("D-72")
def test_files_are_served_with_length_and_ranges_to_anybody(account: Account) -> None:
    for number in range(MASSIF_LEAVES):
        last = account.create(attributes={"n": str(number)})
    account.confirmed(last["identity"])
    whole = account.file("massifs", 0, ending="log")
    assert whole.headers["content-length"] == str(len(whole.content))
    assert whole.headers["accept-ranges"] == "bytes"
    assert "immutable" in whole.headers["cache-control"]
    head = account.anonymous.head(str(whole.request.url))
    assert (head.content, head.headers["content-length"]) == (b"", str(len(whole.content)))
    for asked, start, stop in (
        ("bytes=0-31", 0, 32), ("bytes=256-", 256, None), ("bytes=-32", -32, None),
    ):  # fmt: skip
        part = account.file("massifs", 0, ending="log", Range=asked)
        assert part.status_code == 206
        assert part.content == whole.content[start:stop]
        assert part.headers["content-length"] == str(len(part.content))
    size = len(whole.content)
    beyond = account.file("massifs", 0, ending="log", Range=f"bytes={size}-")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    latest = account.file("massifs", len(account.massifs()) - 1, ending="log")
    assert latest.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "tenant/{uuid}/0/massifs/1.log", "tenant/{uuid}/0/massifs/9999999999999999.log",
        "tenant/{uuid}/0/massifs/000000000000000x.log",
        "tenant/{uuid}/0/massifseals/9999999999999999.sth",
        "tenant/{uuid}/1/massifs/0000000000000000.log",
        "tenant/00000000-0000-0000-0000-000000000000/0/massifs/0000000000000000.log",
        "tenant/{tenant}/0/massifs/0000000000000000.log",
        "tenant/{uuid}/0/massifs/0000000000000000.sth",
    ],
)  # fmt: skip
def test_file_that_is_not_there(account: Account, path: str) -> None:
    filled = path.replace("{uuid}", account.uuid).replace("{tenant}", account.tenant)
    answer = account.anonymous.get(f"{LOGS}/{filled}")
    assert answer.status_code == 404
    assert answer.headers["x-ms-error-code"] == "BlobNotFound"
    assert answer.headers["content-type"].startswith("application/xml")
    error = parsed(answer)
    assert (error.tag, error.findtext("Code")) == ("Error", "BlobNotFound")
    assert str(error.findtext("Message")).startswith("The specified blob does not exist.")
    assert account.anonymous.head(f"{LOGS}/{filled}").headers["x-ms-error-code"] == "BlobNotFound"


def parsed(answer: httpx2.Response) -> ElementTree.Element:
    """Return an answer in XML, which is our own server's."""
    return ElementTree.fromstring(answer.content)  # noqa: S314  # it is not from a stranger


def tagged(account: Account, where: str) -> dict[str, dict[str, str]]:
    """Return the tags that a search tells of the account's own files, by their paths."""
    asked = {"comp": "blobs", "where": where}
    answer = account.anonymous.get("/verifiabledata/", params=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, dict[str, str]] = {}
    root = parsed(answer)
    assert root.findtext("Where") == where
    for blob in root.iterfind("Blobs/Blob"):
        assert blob.findtext("ContainerName") == "merklelogs"
        tags = {
            str(tag.findtext("Key")): str(tag.findtext("Value"))
            for tag in blob.iterfind("Tags/TagSet/Tag")
        }
        found[str(blob.findtext("Name"))] = tags
    return {name: tags for name, tags in found.items() if f"/{account.uuid}/" in name}


def test_files_are_found_by_the_last_idtimestamp(account: Account) -> None:
    """What the vendor's program asks to learn which logs grew."""
    made = [account.create(attributes={"n": str(n)})["identity"] for n in range(MASSIF_LEAVES + 2)]
    account.confirmed(made[-1])
    last = account.read(made[-1])["ledger_entry"]["idtimestamp"]
    _, leaf = ids.place_of_idtimestamp(int(last, 16))
    number = leaf // MASSIF_LEAVES
    massifs = [f"v1/mmrs/tenant/{account.uuid}/0/massifs/{n:016d}.log" for n in range(number + 1)]
    seals = [f"v1/mmrs/tenant/{account.uuid}/0/massifseals/{n:016d}.sth" for n in range(number + 1)]
    found = tagged(account, "\"lastid\">='0'")
    assert found.keys() == {*massifs, *seals}
    assert found[massifs[-1]] == found[seals[-1]] == {"lastid": last}
    # Full massifs end where their seals do.
    assert [found[one] for one in massifs] == [found[one] for one in seals]
    before = found[massifs[-2]]["lastid"]
    assert before < last
    newer = tagged(account, f"\"lastid\" > '{before}'")
    assert newer.keys() == {massifs[-1], seals[-1]}
    assert tagged(account, f"\"lastid\">='{last}f'") == {}
    older = tagged(account, f"lastid<'{last}' AND @container='merklelogs'")
    assert older.keys() == {*massifs[:-1], *seals[:-1]}
    second = tagged(account, f"\"firstindex\">'{0:016x}' and \"lastid\"='{last}'")
    [tags] = second.values()
    first = number * MASSIF_LEAVES
    assert int(tags["firstindex"], 16) == 2 * first - first.bit_count()
    assert tagged(account, "\"other\">=''") == {}
    assert account.anonymous.get(f"{MERKLE_LOGS}/{massifs[-1]}").status_code == 200
    # A log that is not public is not found either.
    account.admin.patch(f"/v1/admin/tenants/{account.tenant}", json={"public_log": False})
    assert tagged(account, "\"lastid\">='0'") == {}


def test_searches_by_tags_are_paged(account: Account) -> None:
    account.confirmed(account.create()["identity"])
    names: list[str] = []
    marker = ""
    while True:
        asked = {"comp": "blobs", "where": "\"lastid\">='0'", "maxresults": "1", "marker": marker}
        answer = account.anonymous.get("/verifiabledata", params=asked)
        page = parsed(answer)
        names += [str(one.text) for one in page.iterfind("Blobs/Blob/Name")]
        marker = page.findtext("NextMarker") or ""
        if not marker:
            break
    assert len(names) == len(set(names)) >= 2
    assert sum(account.uuid in name for name in names) == 2


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 404, "BlobNotFound"),
        ("comp=list", 404, "BlobNotFound"),
        ("comp=blobs", 400, "InvalidQueryParameterValue"),
        ("comp=blobs&where=lastid", 400, "InvalidQueryParameterValue"),
        ("comp=blobs&where=lastid~'1'", 400, "InvalidQueryParameterValue"),
        ("comp=blobs&where=lastid='1' OR lastid='2'", 400, "InvalidQueryParameterValue"),
        ("comp=blobs&where=lastid='1'&maxresults=0", 400, "InvalidQueryParameterValue"),
        ("comp=blobs&where=lastid='1'&marker=x", 400, "InvalidQueryParameterValue"),
    ],
)
def test_bad_search_by_tags_is_told_as_storage_does(
    account: Account, query: str, status: int, code: str
) -> None:
    answer = account.anonymous.get(f"/verifiabledata/?{query}")
    assert (answer.status_code, answer.headers["x-ms-error-code"]) == (status, code)
    assert parsed(answer).findtext("Code") == code


def test_a_log_that_is_not_public_is_read_with_a_key_of_its_tenant(
    account: Account, stranger: Account
) -> None:
    account.confirmed(account.create()["identity"])
    massif = f"{LOGS}/tenant/{account.uuid}/0/massifs/{0:016d}.log"
    policy = {"public_log": False}
    changed = account.admin.patch(f"/v1/admin/tenants/{account.tenant}", json=policy)
    assert changed.status_code == 200
    readers = (account.app, account.anonymous, stranger.app)
    assert [one.get(massif).status_code for one in readers] == [200, 401, 404]
    assert account.app.get(massif).headers["cache-control"] == "no-store"


def test_tenant_without_an_application_has_no_public_log(public_server: LiveServer) -> None:
    key = public_server.create_tenant("quiet")
    uuid = public_server.node.identity.tenant("quiet").uuid
    with public_server.http(key) as http:
        event = http.post("/archivist/v1/events", json={}).json()
        path = f"{LOGS}/tenant/{uuid}/0/massifs/0000000000000000.log"
        assert http.get(path).status_code == 404
        assert http.get(f"{RECEIPTS}/consistency").status_code == 400
        http.post("/archivist/iam/v1/applications", json={"display_name": "first"})
        read = f"/archivist/v1/{event['identity']}"
        eventually(lambda: http.get(read).json()["confirmation_status"], lambda s: s == "CONFIRMED")
        assert http.get(path).status_code == 200


@pytest.mark.row("D-76", "D-77")
def test_inclusion_receipts_in_both_forms(account: Account, stranger: Account) -> None:
    made = [account.create(attributes={"n": str(number)}) for number in range(9)]
    account.confirmed(made[-1]["identity"])
    log, key = verified(account), key_of(account)
    for event in made:
        node = int(account.read(event["identity"])["ledger_entry"]["index"])
        for query in ("", "?vds=2", "?vds=3"):
            path = f"{RECEIPTS}/{event['identity']}{query}"
            answer = account.app.get(path)
            assert answer.headers["content-type"] == "application/cose"
            assert answer.headers["x-tallystick-extension"] == "datatrails"
            assert verifier.check_inclusion(answer.content, log.nodes[node], key) == node
            with pytest.raises(verifier.Mismatch):
                verifier.check_inclusion(answer.content, log.nodes[0], key)
            assert stranger.app.get(path).status_code == 404
    assert account.app.get(f"{RECEIPTS}/{made[0]['identity']}?vds=4").status_code == 400
    assert account.app.get(f"{RECEIPTS}/{made[0]['identity']}?vds=x").status_code == 400


@pytest.mark.row("D-73", "D-78")
def test_consistency_receipts_lead_from_each_size_to_each_later_one(account: Account) -> None:
    made = [account.create(attributes={"n": str(number)}) for number in range(9)]
    account.confirmed(made[-1]["identity"])
    log, key = verified(account), key_of(account)
    sizes = [leaf.node for leaf in log.leaves] + [len(log.nodes)]
    for old in sizes[:6]:
        for new in sizes[6:]:
            query = f"{RECEIPTS}/consistency?from={old}&to={new}"
            receipt = account.app.get(query).content
            peaks = log.peaks(old) if old else []
            assert verifier.check_consistency(receipt, old, peaks, key) == (new, log.peaks(new))
    latest = account.app.get(f"{RECEIPTS}/consistency?from=1").content
    assert verifier.check_consistency(latest, 1, log.peaks(1), key)[0] == len(log.nodes)
    for bad in ("from=2", "from=4&to=4", "from=4&to=3", "to=100000", "from=x", "from=-1", "to=5"):
        assert account.app.get(f"{RECEIPTS}/consistency?{bad}").status_code == 400


@pytest.mark.row("D-82")
def test_receipt_of_rfc_9942_is_about_the_tenants_own_log(account: Account) -> None:
    event = account.create(attributes={"a": "b"})
    message = cbor2.loads(account.app.get(f"{RECEIPTS}/{event['identity']}?vds=1").content).value
    protected = cbor2.loads(message[0])
    assert (protected[1], protected[395]) == (-35, 1)
    size, index, path = cbor2.loads(message[1][396][-1][0])
    # What the receipt is about: the entry, as the native receipt of the same index has it.
    id = event["identity"].removeprefix("events/")
    native = account.admin.get(f"/v1/events/{id}/receipt").json()
    assert native["index"] == index
    leaf = hashlib.sha256(b"\0" + native["entry"].encode()).digest()
    root = rfc9162_root(index, size, leaf, list(path))
    signed = cbor2.dumps(["Signature1", message[0], b"", root])
    r, s = (int.from_bytes(part) for part in (message[3][:48], message[3][48:]))
    signature = utils.encode_dss_signature(r, s)
    key_of(account).verify(signature, signed, ec.ECDSA(hashes.SHA384()))


def rfc9162_root(index: int, size: int, leaf: bytes, path: list[bytes]) -> bytes:
    """Return the root that an inclusion path leads to (RFC 9162 section 2.1.3.2)."""
    fn, sn, root = index, size - 1, leaf
    for sibling in path:
        if fn & 1 or fn == sn:
            root = hashlib.sha256(b"\1" + sibling + root).digest()
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            root = hashlib.sha256(b"\1" + root + sibling).digest()
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0
    return root


@pytest.mark.row("D-79", "D-80")
def test_same_events_are_in_a_log_of_c2sp_formats(account: Account) -> None:
    event = account.create(attributes={"a": "b"})
    log_id = account.server.node.identity.tenant(account.tenant).log_id
    checkpoint = account.anonymous.get(f"/log/{log_id}/checkpoint").text
    origin, size, _, _, signature, *_ = checkpoint.split("\n")
    assert signature.startswith(f"— {origin} ")
    index = int(size) - 1
    tile = account.anonymous.get(f"/log/{log_id}/tile/0/000.p/{size}").content
    row = account.server.node.store.rows(account.tenant, index, index + 1)[0]
    assert tile[32 * index :] == row.leaf
    entries = account.admin.get(f"/log/{log_id}/tile/entries/000.p/{size}").content
    assert entries.endswith(row.entry)
    assert event["identity"].removeprefix("events/").encode() in row.entry


@pytest.mark.row("D-73")
def test_log_only_grows_between_reads_under_load(account: Account) -> None:
    """Four writers write while the log is read again and again, and checked each time."""
    stop = threading.Event()
    errors: list[str] = []

    def write(number: int) -> None:
        client = account.http(account.key)
        for n in range(25):
            answer = client.post(
                "/archivist/v1/events", json={"attributes": {"n": f"{number} {n}"}}
            )
            if answer.status_code != 200:
                errors.append(answer.text)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    older: list[bytes] = []
    reads = 0
    while any(writer.is_alive() for writer in writers) or reads < 3:
        verified(account)
        newer = account.massifs()
        for before, after in zip(older, newer, strict=False):
            verifier.check_growth(before, after, height=HEIGHT)
        assert len(newer) >= len(older)
        older = newer
        reads += 1
    stop.set()
    assert errors == []
    total = int(account.search(top=0).headers["x-total-count"])
    assert total == 100
    last = account.search(top=1, skip=99).json()["events"][0]
    account.confirmed(last["identity"])
    log = verified(account)
    for skip in (0, 50):
        for event in account.search(top=50, skip=skip).json()["events"]:
            verifier.check_event(log, event, log_id=account.uuid)


def test_erased_event_keeps_its_leaf_and_its_receipt(account: Account) -> None:
    event = account.confirmed(account.create(attributes={"name": "Clouseau"})["identity"])
    before = verified(account)
    index = verifier.check_event(before, event, log_id=account.uuid)
    ledger = account.server.node.ledger
    ledger.retract(
        account.tenant,
        event["identity"].removeprefix("events/"),
        visible=Everything(),
        dialect="datatrails",
        erase=True,
    )
    shown = account.read(event["identity"])
    assert shown["attributes"] == {}
    after = eventually(lambda: verified(account), lambda log: len(log.leaves) > len(before.leaves))
    assert after.leaves[index] == before.leaves[index]
    with pytest.raises(verifier.Mismatch):
        verifier.check_event(after, shown, log_id=account.uuid)
    receipt = account.app.get(f"{RECEIPTS}/{event['identity']}").content
    assert verifier.check_inclusion(receipt, before.leaves[index].value, key_of(account))


def test_trails_are_told_with_their_events_and_the_last_of_them(
    account: Account, stranger: Account
) -> None:
    events: dict[str, Json] = {}
    for name, count in (("a", 3), ("b", 1), ("ünï <b>", 2)):
        for _ in range(count):
            events[name] = account.create(trails=[name, "all"], event_type=f"in {name}")
    events["all"] = events["ünï <b>"]
    path = "/extensions/datatrails/trails"
    told: Any = account.app.get(path)
    assert told.headers["x-tallystick-extension"] == "datatrails"
    trails = told.json()["trails"]
    assert [(trail["trail"], trail["events"]) for trail in trails] == [
        ("all", 6), ("a", 3), ("ünï <b>", 2), ("b", 1),
    ]  # fmt: skip
    for trail in trails:
        last = events[trail["trail"]]
        assert trail["last_event"] == {
            name: last[name] for name in ("identity", "event_type", "created_at")
        }
    page = account.app.get(path, params={"top": 2, "skip": 1}).json()["trails"]
    assert page == trails[1:3]
    assert stranger.app.get(path).json() == {"trails": []}
    for bad in ({"top": 51}, {"top": "x"}, {"skip": -1}):
        assert account.app.get(path, params=bad).status_code == 400
