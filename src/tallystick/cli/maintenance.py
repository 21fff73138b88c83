"""Keeping what is stored well: fsck, backup, restore, rebuild."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import IO
from uuid import UUID

import click
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from tallystick import durable
from tallystick.cli.output import Output, progress_bar
from tallystick.cli.target import Reach, with_reach
from tallystick.data_folder import KEY_FILE, LEDGER_FILE
from tallystick.dialects.datatrails.publiclog.follower import KEY_PURPOSE
from tallystick.dialects.datatrails.publiclog.fsck import check_merklelog
from tallystick.errors import SettingsError, StoreCorrupt, for_operator
from tallystick.identity.records import Identity
from tallystick.ledger.blobs import Blobs, check_blobs
from tallystick.log.keys import LogKey, read_log_key
from tallystick.log.views import LogReader
from tallystick.maintenance import backup as backups
from tallystick.maintenance import fsck as checks
from tallystick.node.restoring import note_restored
from tallystick.store.truth import Truth, has_ledger, open_truth
from tallystick.tlog.note import Verifier

DAMAGED = 3


@click.command()
@with_reach
def fsck(reach: Reach) -> None:
    """Recompute everything in a data folder from its stored bytes.

    With --database, what the database holds, and the folder gives the signing key. Works beside
    running servers, and writes nothing: the folder may be on a read-only medium, and belong to
    somebody else. Exits with 3 and names the first difference if there is one.
    """
    report = _check(reach, reach.settings().database)
    told = {**msgspec.structs.asdict(report), "clean": report.clean}
    reach.show(told, lambda: _report(report))
    if not report.clean:
        raise SystemExit(DAMAGED)


def _check(reach: Reach, database: str | None) -> checks.Report:
    with progress_bar(reach, "checking", "entries") as progress:
        return check_folder(reach.folder, database, progress)


def check_folder(
    folder: Path, database: str | None, progress: Callable[[int, int], None]
) -> checks.Report:
    """Check everything in a folder, or in a database whose key it has, and write nothing.

    Raises: SettingsError when there is nothing to check.
    """
    if database is None and not has_ledger(folder):
        raise SettingsError(f"{folder} contains no store", hint="name the folder with --data")
    key = read_log_key(folder / KEY_FILE)
    while True:
        before = _state(folder)
        try:
            truth = open_truth(folder, database, read_only=True)
        except StoreCorrupt as error:
            return checks.Report(difference=for_operator(error))
        try:
            report = _check_truth(truth, key, progress)
        finally:
            truth.close()
        # A server that started meanwhile changes a file that was read as one that nobody changes.
        if report.clean or database is not None or _state(folder) == before:
            return report


def _state(folder: Path) -> list[tuple[bool, int, int]]:
    """Return what tells whether somebody began to write to a folder that was at rest."""
    stats = [(folder / name).stat() for name in backups.DATABASES if (folder / name).exists()]
    is_open = (folder / f"{LEDGER_FILE}-wal").exists()
    return [
        (is_open, 0 if is_open else stat.st_mtime_ns, 0 if is_open else stat.st_size)
        for stat in stats
    ]


def check_truth(output: Output, truth: Truth, key: LogKey) -> checks.Report:
    """Check everything in a place, showing how far it is."""
    with progress_bar(output, "checking", "entries") as progress:
        return _check_truth(truth, key, progress)


def _check_truth(truth: Truth, key: LogKey, progress: Callable[[int, int], None]) -> checks.Report:
    def verifier_of(origin: str) -> Verifier:
        return key.signer(origin).verifier

    report = checks.check(truth.store, verifier_of, progress=progress, replay=True)
    if report.clean:
        _check_beside(truth, key, report)
    return report


def _check_beside(truth: Truth, key: LogKey, report: checks.Report) -> None:
    """Check what stands beside the log: blobs, and what was published from it."""
    identity = Identity(truth.store)
    blobs = Blobs(truth.store, truth.blob_content)
    for difference in check_blobs(blobs, [tenant.id for tenant in identity.tenants()]):
        report.blobs += 1
        report.difference = report.difference or difference
    logs = check_merklelog(
        LogReader(truth.store),
        truth.public_files,
        log_id_of=lambda tenant: UUID(identity.tenant(tenant).uuid),
        key=key.derive_ec_key(ec.SECP384R1(), KEY_PURPOSE).public_key(),
    )
    for checked in logs:
        report.public_leaves += checked.leaves
        if report.difference is None and checked.difference is not None:
            report.difference, report.public_log_differs = checked.difference, True


def _report(report: checks.Report) -> str:
    removed = f", {report.removed} removed by policy" if report.removed else ""
    counted = (
        f"{report.logs} logs, {report.entries} entries, {report.sections} sections "
        f"({report.erased} erased{removed}), {report.tiles} tiles, {report.heads} heads, "
        f"{report.claims} claims, {report.identities} identity records, "
        f"{report.blobs} blobs, {report.public_leaves} public leaves"
    )
    if report.clean:
        return f"clean: {counted}"
    return f"DIFFERENCE: {report.difference}\nchecked so far: {counted}"


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, writable=True))
@with_reach
def backup(reach: Reach, file: Path) -> None:
    """Write a consistent backup of the data folder to FILE (tar), beside a running server."""
    if reach.settings().database is not None:
        raise SettingsError(
            "only a data folder can be backed up",
            hint="back up PostgreSQL with pg_dump, and keep log.key",
        )
    if file.exists():
        raise SettingsError(f"{file} already exists", hint="choose another name")
    with durable.creating_file(file) as out, progress_bar(reach, "copying", "pages") as progress:
        manifest = backups.back_up(reach.folder, out, progress)
    reach.show(
        {"file": str(file), "files": manifest.files},
        lambda: f"{len(manifest.files)} files in {file}; it holds the signing key: keep it safe",
    )


@click.command()
@click.argument("file", type=click.File("rb"), required=False)
@click.option(
    "--accept",
    metavar="NAME",
    help="Accept a copy that was restored by other means; NAME names the copy.",
)
@click.option(
    "--erasures",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The list of erasures (erasures.jsonl) of the folder that the backup is of.",
)
@with_reach
def restore(
    reach: Reach, file: IO[bytes] | None, accept: str | None, erasures: Path | None
) -> None:
    """Fill a new data folder (--data) from a backup FILE, and check all of it.

    What is remembered of later heads is forgotten on purpose, and an entry log.restored of every
    log says from which backup, at which size and time. With --accept instead of a FILE the same is
    done for a folder, or a --database, that was brought back by other means.

    What was erased since is erased again, as far as the list of erasures tells: the one of
    --erasures, and the one that the setting erasure_list names.
    """
    if (file is None) == (accept is None):
        raise click.UsageError("name a backup FILE, or what was brought back with --accept")
    manifest = None
    told: dict[str, object] = {"backup": accept}
    if file is not None:
        if reach.settings().database is not None:
            raise SettingsError(
                "a backup can only be restored into a data folder",
                hint="then copy it into the database: tallystick copy",
            )
        manifest = backups.restore(file, reach.folder)
        told = {"backup": Path(file.name).name, **_digest_of(file)}
    report = _check(reach, reach.settings().database)
    erased = 0
    if report.clean or report.public_log_differs:
        erased = note_restored(reach.folder, reach.settings(), told, erasures)
        if erasures is None and reach.settings().erasure_list is None:
            click.echo("warning: without --erasures, what was erased since is back", err=True)
    files = {} if manifest is None else manifest.files
    reach.show(
        {
            "files": files,
            "clean": report.clean,
            "difference": report.difference,
            "erased_again": erased,
        },
        lambda: (
            f"{len(files)} files restored to {reach.folder}\n{_report(report)}"
            f"\nentries erased again: {erased:,}"
        ),
    )
    if report.public_log_differs:
        click.echo("the log itself is restored; go on with: tallystick public-log remake", err=True)
    if not report.clean:
        raise SystemExit(DAMAGED)


def _digest_of(file: IO[bytes]) -> dict[str, object]:
    if not file.seekable():
        return {}
    file.seek(0)
    return {"sha256": hashlib.file_digest(file, "sha256").hexdigest()}  # type: ignore[arg-type]


@click.command()
@click.argument("index", type=click.Choice(["views", "search"]))
@with_reach
def rebuild(reach: Reach, index: str) -> None:
    """Rebuild an index from the log beside the one in use, then swap the two."""
    with reach.client() as client, progress_bar(reach, "rebuilding", "entries") as progress:
        for done, total in client.rebuild(index):
            progress(done, total)
    reach.show({"rebuilt": index}, lambda: f"{index} rebuilt")


COMMANDS = (fsck, backup, restore, rebuild)
