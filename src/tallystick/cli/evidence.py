"""Evidence: bundles, and the verification of everything that the log hands out."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import msgspec

from tallystick.cli.exported_rows import (
    compare_with_bundle,
    compare_with_receipt,
    rows_of_bundle,
)
from tallystick.cli.output import progress_bar
from tallystick.cli.target import Reach
from tallystick.cli.verify_url import is_url, verify_url
from tallystick.client.client import Client, Json
from tallystick.client.remembered_heads import FOLDER_VARIABLE
from tallystick.errors import TallystickError, VerificationError
from tallystick.identity.credentials import KEY_PREFIX
from tallystick.tlog.hashing import leaf_hash
from tallystick.tlog.note import Verifier
from tallystick.tlog.receipt import VerifiedReceipt, verify_receipt

_RECEIPT_BYTES_MAX = 16 * 1024 * 1024
_PAUSE_S = 0.2


def write_bundle(reach: Reach, bundle: Path, params: Json) -> None:
    """Write the evidence bundle of a question to a file, and show what it holds."""
    with reach.client() as client:
        job = _finished(reach, client, params)
        partial = bundle.with_name(f"{bundle.name}.download")
        with partial.open("wb") as file:
            client.download(job["content"], file)
        if _sha256(partial) != job["sha256"]:
            partial.unlink()
            raise VerificationError("the bundle was damaged in transit")
        partial.replace(bundle)
    if job["begun_again"]:
        click.echo("something was erased meanwhile, so the bundle was begun again", err=True)
    told = {name: job[name] for name in ("size", "entries", "events", "sha256")}
    reach.show(
        {**told, "file": str(bundle)},
        lambda: (
            f"{job['events']:,} events, {job['entries']:,} entries, of a log of {job['size']:,}\n"
            f"sha256 {job['sha256']}\ncheck it: tallystick verify {bundle}"
        ),
    )


def _finished(reach: Reach, client: Client, params: Json) -> Json:
    job: Json = client.request("POST", "/v1/bundles", params=params)
    with progress_bar(reach, "reading the log", "entries") as progress:
        while job["status"] == "running":
            time.sleep(_PAUSE_S)
            job = client.request("GET", f"/v1/bundles/{job['id']}")
            if job["total"]:
                progress(job["done"], job["total"])
    if job["status"] == "failed":
        raise TallystickError(job["error"])
    return job


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@click.command()
@click.argument("what")
@click.option(
    "--key", help="The log's verifier key (`tallystick keys log`); of a URL, the API key to use."
)
@click.option("--pin", metavar="VKEY", help="The verifier key to expect; of a URL, from now on.")
@click.option(
    "--with",
    "bundle",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="BUNDLE",
    help="Of exported lines: the evidence bundle that proves them.",
)
@click.option("--once", is_flag=True, help="Of a URL: check once and end, as cron wants it.")
@click.option(
    "--every",
    "interval_s",
    type=click.FloatRange(0.1, 86_400),
    metavar="SECONDS",
    default=60.0,
    show_default=True,
    help="For a URL: time between two checks.",
)
@click.option(
    "--heads",
    type=click.Path(path_type=Path, file_okay=False),
    envvar=FOLDER_VARIABLE,
    help="Of a URL: folder of pinned keys and remembered heads.  [default: in the home folder]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(
    what: str,
    *,
    key: str | None,
    pin: str | None,
    bundle: Path | None,
    once: bool,
    interval_s: float,
    heads: Path | None,
    as_json: bool,
) -> None:
    """Verify a receipt, exported lines, an evidence bundle, a data folder, or the log at a URL.

    WHAT is a file, a folder, or - for standard input: all of these are verified offline. Without
    --key a receipt or bundle is checked against the key it names itself, which shows that it is
    whole but not whose it is.

    A URL is that of a log, https://HOST/log/ID, or of a server with --key or TALLYSTICK_KEY as API
    key. The log is compared with the last head that is remembered of it, again and again, or once
    with --once. At the first contact its key is pinned, unless --pin names it.

    Exits with 3 when anything does not hold.
    """
    if is_url(what):
        verify_url(
            what, credential=key, pin=pin, heads=heads, as_json=as_json,
            interval_s=None if once else interval_s,
        )  # fmt: skip
        return
    vkey = _vkey(key, pin)
    path = Path(what)
    if path.is_dir():
        _verify_folder(path, as_json)
        return
    data = sys.stdin.buffer.read() if what == "-" else None
    if data is None and not path.exists():
        raise click.BadParameter(f"no file or folder {what!r}", param_hint="WHAT")
    if data is None and _is_zip(path):
        _verify_bundle(path, vkey, as_json)
        return
    verifier = None if vkey is None else Verifier.parse(vkey)
    content = path.read_bytes() if data is None else data
    lines = _lines_of(content)
    if lines is None:
        if len(content) > _RECEIPT_BYTES_MAX:
            content = content[: _RECEIPT_BYTES_MAX + 1]
        _show_receipt(verify_receipt(content, verifier=verifier), as_json)
    else:
        _verify_lines(lines, verifier, bundle, as_json)


def _vkey(key: str | None, pin: str | None) -> str | None:
    """Return the verifier key for what is verified offline."""
    if key is not None and key.startswith(KEY_PREFIX):
        raise click.UsageError("--key is an API key; offline, the log's verifier key is needed")
    if key is not None and pin is not None and key != pin:
        raise click.UsageError("--key and --pin name different keys")
    return key or pin


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")


def _lines_of(content: bytes) -> list[bytes] | None:
    """Return the lines of an export, None for what is a single receipt."""
    lines = [line for line in content.split(b"\n") if line.strip()]
    if len(lines) < 1:
        return None
    with contextlib.suppress(ValueError):
        first = json.loads(lines[0])
        if isinstance(first, dict) and (len(lines) > 1 or "proof" in first or "revision" in first):
            return lines
    return None


def _verify_lines(
    lines: list[bytes], verifier: Verifier | None, bundle: Path | None, as_json: bool
) -> None:
    """Verify receipts, or exported rows that carry theirs or stand in a bundle, one a line."""
    rows = [_row(number, line) for number, line in enumerate(lines, start=1)]
    bare = [row for row in rows if "proof" not in row and "inclusion_proof" not in row]
    told: dict[int, Json] = {}
    keys: set[str] = set()
    if bare and bundle is not None:
        keys.add(_checked_bundle(bundle, None if verifier is None else str(verifier)).vkey)
        told = rows_of_bundle(bundle, (row.get("index", -1) for row in bare))
    unproven: set[str] = set()
    for number, row in enumerate(rows, start=1):
        try:
            unproven |= _verify_row(row, verifier, told, keys)
        except VerificationError as error:
            raise VerificationError(f"line {number}: {error.message}", hint=error.hint) from error
    answer = {"verified": True, "lines": len(lines), "key_pinned": verifier is not None,
              "keys": sorted(keys), "not_proven": sorted(unproven)}  # fmt: skip
    whose = "the log's, as pinned" if verifier else f"not pinned: {', '.join(sorted(keys))}"
    text = f"verified: {len(lines):,} lines, each in the log\n  key  {whose}"
    if unproven:
        text += f"\n  not proven, as only the server says it: {', '.join(sorted(unproven))}"
    _show(answer, text, as_json)


def _row(number: int, line: bytes) -> Json:
    try:
        row = json.loads(line)
    except ValueError:
        raise VerificationError(f"line {number} is not JSON") from None
    if not isinstance(row, dict):
        raise VerificationError(f"line {number} is not a JSON object")
    return row


def _verify_row(
    row: Json, verifier: Verifier | None, told: dict[int, Json], keys: set[str]
) -> set[str]:
    """Verify one line; return its members that nothing proves. Raises: VerificationError."""
    if "proof" not in row and "inclusion_proof" not in row:
        known = told.get(row.get("index", -1))
        if known is None:
            raise VerificationError(
                "it has no receipt and is in no bundle",
                hint="name a bundle that holds the events: tallystick export --bundle FILE, then "
                "verify --with FILE; or fetch receipts (GET /v1/receipts)",
            )
        return compare_with_bundle(row, known)
    receipt = row.get("proof", row)
    if not isinstance(receipt, dict):
        raise VerificationError("its receipt is not a JSON object")
    found = verify_receipt(receipt, verifier=verifier)
    keys.add(found.key)
    if receipt is row:
        return set()
    return compare_with_receipt(row, found, leaf_hash(str(receipt["entry"]).encode()))


def _checked_bundle(path: Path, vkey: str | None) -> Any:
    """Return a bundle that holds. Raises: VerificationError."""
    # The script that travels in bundles: one verifier less to be wrong.
    script: Any = import_module("tallystick.evidence.verify")
    try:
        with path.open("rb") as file:
            found: Any = script.Verification(file, vkey)
    except script.Wrong as error:
        raise VerificationError(f"the bundle is invalid: {error}") from None
    except (ValueError, LookupError, TypeError, RecursionError, StopIteration) as error:
        raise VerificationError("the bundle is invalid: it is malformed") from error
    return found


def _verify_bundle(path: Path, vkey: str | None, as_json: bool) -> None:
    found = _checked_bundle(path, vkey)
    told = {
        "verified": True,
        "key_pinned": vkey is not None,
        "key": found.vkey,
        "origin": found.origin,
        "size": found.size,
        "entries": found.changes.entries,
        "events": found.events,
        "range": found.manifest["range"],
        "left_out": found.omitted,
        "erased": found.erased,
        "missing": found.unproven,
    }
    _show(told, found.verdict(vkey is not None), as_json)


def _verify_folder(folder: Path, as_json: bool) -> None:
    from tallystick.cli.maintenance import fsck

    arguments = ["--data", str(folder), *(["--json"] if as_json else [])]
    fsck.main(arguments, standalone_mode=False)


def _show(told: Json, text: str, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(told), indent=2).decode())
    else:
        click.echo(text)


def _show_receipt(found: VerifiedReceipt, as_json: bool) -> None:
    told: Json = {
        "verified": True,
        "key_pinned": found.pinned,
        "key": found.key,
        "origin": found.origin,
        "index": found.index,
        "size": found.size,
        "entry": found.entry,
        "sections": found.sections,
        "not_included_or_erased": list(found.erased),
    }
    _show(told, _verdict(told), as_json)


def _verdict(told: Json) -> str:
    entry = told["entry"]
    lines = [
        f"verified: entry {told['index']} of the log {told['origin']}",
        f"  kind        {entry['kind']}",
        f"  id          {entry['id']}",
        f"  log size    {told['size']} when the checkpoint was signed",
        f"  sections    {', '.join(told['sections']) or 'none'}",
    ]
    if told["not_included_or_erased"]:
        lines.append(f"  not included or erased: {', '.join(told['not_included_or_erased'])}")
    lines.append(
        "  key         pinned: it is the log's"
        if told["key_pinned"]
        else "  key         not pinned: pass --key to be sure whose log this is"
    )
    return "\n".join(lines)


COMMANDS = (verify,)
