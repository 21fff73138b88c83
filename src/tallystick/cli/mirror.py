"""`mirror` and `publish`: copies of logs that others may hold against the server."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import click

from tallystick.cli.output import Output, progress_bar
from tallystick.cli.target import Reach, tenant_path, with_reach
from tallystick.client.client import Client
from tallystick.client.log_check import parse_rotations
from tallystick.clock import SystemClock
from tallystick.durable import replace_file
from tallystick.errors import MalformedNote, SettingsError, VerificationError
from tallystick.tlog.checkpoint import open_checkpoint
from tallystick.tlog.note import Verifier
from tallystick.tlog.rotation import follow_rotations
from tallystick.witness.mirror import Fetch, Mirrored, mirror_log
from tallystick.witness.mirror_folder import KEY_FILE, ROTATIONS_FILE, MirrorFolder, folder_of
from tallystick.witness.published_log import publish_pages


@click.command()
@click.argument("url")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option("--pin", metavar="VKEY", help="The log's key; needed at first, then kept in DIR.")
@click.option("--key", envvar="TALLYSTICK_KEY", help="API key of the tenant, to copy entries too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def mirror(url: str, folder: Path, pin: str | None, key: str | None, as_json: bool) -> None:
    """Keep a verified copy of the log at URL in DIR, as static files.

    URL is a prefix of C2SP tiles, such as https://log.example/log/ID or the one with /cosigned
    behind it. Checkpoint and hash tiles are copied, with --key the entries too. Run it again to
    follow the log; it may be interrupted at any time. A log that was set back or forked changes
    nothing in DIR and exits with 3.
    """
    output = Output(as_json)
    with Client(url.rstrip("/"), key, watch=False) as client:
        verifier = _verifier(folder, pin, client)
        kept = MirrorFolder(folder_of(folder, verifier.name), verifier)
        mirrored = _mirror(output, client.fetch, kept, verifier, entries=key is not None)
    _show(output, mirrored, kept.path)


@click.command()
@click.argument("target", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option("--entries", is_flag=True, help="Publish the entries too: kinds, times, API names.")
@with_reach
def publish(reach: Reach, target: Path, entries: bool) -> None:
    """Write a tenant's log into DIR as static files for any web server.

    Checkpoint with cosignatures, tiles, a page that explains them, and how the log grew. Run it
    again, from cron, to follow the log.
    """
    with reach.client() as client:
        tenant = reach.tenant(client)
        key: str = client.request("GET", tenant_path(tenant, "log-key"))["verifier_key"]
        verifier = Verifier.parse(key)
        prefix = f"/log/{verifier.name.rpartition('/')[2]}/cosigned"
        kept = MirrorFolder(folder_of(target, verifier.name), verifier)

        def fetch(path: str) -> bytes:
            return client.fetch(prefix + path)

        mirrored = _mirror(reach, fetch, kept, verifier, entries=entries)
        replace_file(kept.path / ROTATIONS_FILE, fetch("/rotations"), mode=0o644)
    now_ms = SystemClock().now_ms()
    publish_pages(kept.path, mirrored, key, now_ms=now_ms, verifier_page=_verifier_page())
    _show(reach, mirrored, kept.path)


def _mirror(
    output: Output, fetch: Fetch, kept: MirrorFolder, verifier: Verifier, *, entries: bool
) -> Mirrored:
    try:
        with progress_bar(output, "copying", "tiles") as progress:
            return mirror_log(fetch, kept, verifier, entries=entries, progress=progress)
    except OSError as error:
        raise SettingsError(f"{kept.path} cannot be written: {error.strerror}") from error


def _show(output: Output, mirrored: Mirrored, path: Path) -> None:
    told = {
        "origin": mirrored.origin,
        "old_size": mirrored.old_size,
        "size": mirrored.size,
        "entries": mirrored.has_entries,
        "folder": str(path),
    }
    what = "hashes and entries" if mirrored.has_entries else "hashes"
    grown = f"{mirrored.old_size:,} to {mirrored.size:,}"
    output.show(told, lambda: f"{mirrored.origin}: {grown} entries, {what} verified, in {path}")


def _verifier(folder: Path, pin: str | None, client: Client) -> Verifier:
    """Return the log's key: as it is pinned, as DIR has it, or as the server says at first."""
    note = client.fetch("/checkpoint").decode("utf-8", "replace")
    origin = note.partition("\n")[0]
    path = folder_of(folder, origin) / KEY_FILE
    try:
        kept = Verifier.parse(path.read_text("utf-8").strip()) if path.exists() else None
        wanted = None if pin is None else Verifier.parse(pin.strip())
    except MalformedNote as error:
        raise SettingsError(f"the log's key cannot be read: {error.message}") from None
    if kept is not None and wanted not in (None, kept):
        raise SettingsError(f"{path} names another key than --pin")
    found = kept or wanted
    if found is None:
        raise SettingsError(
            "the key of the log is unknown",
            hint="pass it with --pin; the operator prints it with: tallystick keys log",
        )
    return _followed(found, note, client)


def _followed(key: Verifier, note: str, client: Client) -> Verifier:
    """Return the key that statements of rotations lead to, if the checkpoint needs it."""
    try:
        open_checkpoint(note, [key])
    except VerificationError:
        data = client.fetch_if_there("/rotations")
        return key if data is None else follow_rotations(parse_rotations(data), key)
    return key


def _verifier_page() -> bytes | None:
    """Return the page that verifies bundles, where this version has one."""
    try:
        return resources.files("tallystick.evidence").joinpath("verify.html").read_bytes()
    except (ModuleNotFoundError, FileNotFoundError):
        return None


COMMANDS = (mirror, publish)
