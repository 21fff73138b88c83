"""`copy`: from a data folder into a PostgreSQL, and back."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from tallystick import durable
from tallystick.cli.maintenance import DAMAGED, check_truth
from tallystick.cli.output import Output, progress_bar
from tallystick.data_folder import ERASURES_FILE, KEY_FILE, LEDGER_FILE, held
from tallystick.errors import Conflict, SettingsError
from tallystick.log.erasure_list import read_lines, unerased
from tallystick.log.keys import open_log_key
from tallystick.maintenance.copy import CopiedTruth, copy_truth
from tallystick.maintenance.fsck import Report
from tallystick.store.base import LogHead
from tallystick.store.truth import Truth, open_truth

_SCHEMES = ("postgresql://", "postgres://")


@click.command()
@click.option("--from", "source", required=True, metavar="PLACE", help="Source.")
@click.option("--to", "target", required=True, metavar="PLACE", help="Destination; must be empty.")
@click.option(
    "--signing-key",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The log.key of the servers; a database does not contain it.",
)
@click.option(
    "--erasures",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A list of erasures (erasures.jsonl): refuse a source that still has listed content.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def copy(
    source: str, target: str, signing_key: Path | None, erasures: Path | None, as_json: bool
) -> None:
    """Copy everything from one PLACE into another, and check all of it there.

    A PLACE is a data folder or the URL of a PostgreSQL. Indexes, leaves and checkpoints stay the
    same to the byte; identity, blobs and published seals come along, and into a folder the signing
    key. No server may write to either place meanwhile. A copy that was cut off goes on when the
    same command is run again; until it came to its end nobody can serve or extend the target.

    \b
    tallystick copy --from ./tallystick-data --to postgresql://user@host/tallystick
    tallystick copy --from postgresql://user@host/tallystick --to ./back \\
        --signing-key ./tallystick-data/log.key
    """
    output = Output(as_json)
    key_file = _key_file(source, signing_key)
    with _opened(source) as original, _opened(target, key_file) as image:
        _refuse_erased(original, _erasure_lists(source, erasures))
        with progress_bar(output, "copying", "entries") as progress:
            copied = copy_truth(original, image, progress=progress)
        report = check_truth(output, image, open_log_key(key_file, ""))
        heads = image.store.log_heads()
        if heads != original.store.log_heads():
            raise Conflict("the logs differ", hint="stop all servers, then copy again")
    output.show(_told(copied, heads, report), lambda: _text(copied, heads, report))
    if not report.clean:
        raise SystemExit(DAMAGED)


def _erasure_lists(source: str, given: Path | None) -> list[Path]:
    own = [] if _is_database(source) else [Path(source) / ERASURES_FILE]
    return own if given is None else [*own, given]


def _refuse_erased(original: Truth, lists: list[Path]) -> None:
    """Raise Conflict for a source that still has what a list says was erased."""
    lines = [line for path in lists for line in read_lines(path)]
    for tenant, found in unerased(original.store, lines).items():
        raise Conflict(
            f"the source still has {len(found)} entries of {tenant!r} that were erased",
            hint="erase them there first: tallystick restore --accept NAME --erasures FILE",
        )


def _key_file(source: str, signing_key: Path | None) -> Path:
    if signing_key is not None:
        return signing_key
    if _is_database(source):
        raise SettingsError(
            "a database does not hold the signing key", hint="pass it with --signing-key"
        )
    folder = Path(source)
    for name in (LEDGER_FILE, KEY_FILE):
        if not (folder / name).exists():
            raise SettingsError(f"{folder} holds no {name}")
    return folder / KEY_FILE


@contextlib.contextmanager
def _opened(place: str, key_file: Path | None = None) -> Iterator[Truth]:
    """Open a place that nobody else may write to; a target is given the signing key."""
    with contextlib.ExitStack() as stack:
        if _is_database(place):
            # Blobs on their way in need a folder.
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tallystick-")))
            database: str | None = place
        else:
            folder, database = Path(place), None
            stack.enter_context(held(folder))
            if key_file is not None:
                _install_key(key_file, folder / KEY_FILE)
        truth = open_truth(folder, database)
        stack.callback(truth.close)
        yield truth


def _is_database(place: str) -> bool:
    return place.startswith(_SCHEMES)


def _install_key(source: Path, target: Path) -> None:
    content = source.read_bytes()
    with contextlib.suppress(FileNotFoundError):
        if target.read_bytes() == content:
            return
        raise SettingsError(
            f"{target.parent} has another signing key", hint="copy into a new folder"
        )
    durable.create_file(target, content)


def _told(copied: CopiedTruth, heads: list[LogHead], report: Report) -> dict[str, Any]:
    logs = [{"tenant": one.tenant, "size": one.size, "root": one.root.hex()} for one in heads]
    return {
        "copied": {**copied.store._asdict(), "blobs": copied.blobs, "files": copied.files},
        "logs": logs,
        "clean": report.clean,
        "difference": report.difference,
    }


def _text(copied: CopiedTruth, heads: list[LogHead], report: Report) -> str:
    moved = copied.store
    lines = [
        f"copied {moved.entries} entries of {moved.logs} logs, {moved.identities} identity "
        f"records, {copied.blobs} blobs, {copied.files} public files"
    ]
    lines += [f"same root: {one.tenant} {one.size} {one.root.hex()}" for one in heads]
    if report.clean:
        lines.append(
            f"verified: {report.entries} entries, {report.blobs} blobs and "
            f"{report.public_leaves} public leaves recomputed from the copy"
        )
    else:
        lines.append(f"DIFFERENCE: {report.difference}")
    return "\n".join(lines)


COMMANDS = (copy,)
