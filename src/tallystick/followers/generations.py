"""Where a follower's folder lies, and how a rebuilt one takes its place.

    <root>/CURRENT      the name of the generation that is served
    <root>/<n>/         a generation: what one follower wrote, with the rules it was told

A rebuild fills a generation beside the current one; naming it in CURRENT, one rename, is the swap.
A generation that CURRENT does not name is left over and removed at the next start.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tallystick import durable
from tallystick.errors import StoreFailed
from tallystick.events.dialect_rules import Rules
from tallystick.json_text import NOT_JSON

_CURRENT = "CURRENT"
_RULES = "rules.json"
_FOLDER_MODE = 0o700

Versions = Mapping[str, int]


class Generations:
    """The generations of one follower."""

    def __init__(self, root: Path, rules: Rules) -> None:
        self._root = root
        self._versions = {name: rule.version for name, rule in rules.items()}
        with _files():
            root.mkdir(_FOLDER_MODE, parents=True, exist_ok=True)

    def current(self) -> Path:
        """Return the folder that is served, an empty one if there is none yet."""
        with _files():
            folder = self._named()
            if folder is None or not folder.is_dir():
                folder = self.begin()
                self.promote(folder)
            return folder

    def _named(self) -> Path | None:
        """Return the folder that is named as the current one; None where nothing sound names it."""
        try:
            name = (self._root / _CURRENT).read_bytes().decode("ascii", "replace")
        except FileNotFoundError:
            return None
        return self._root / name if name.isdecimal() else None

    def folder(self, name: str) -> Path:
        """Return the folder of a generation by its name."""
        return self._root / name

    def begin(self) -> Path:
        """Make an empty generation for these rules and return its folder."""
        with _files():
            number = max((int(path.name) for path in self._all()), default=0) + 1
            folder = self._root / str(number)
            folder.mkdir()
            durable.create_file(
                folder / _RULES, msgspec.json.encode(self._versions, order="sorted")
            )
            return folder

    def promote(self, folder: Path) -> None:
        """Serve a generation from here on."""
        with _files():
            durable.replace_file(self._root / _CURRENT, folder.name.encode())

    def remove_others(self, kept: Path) -> None:
        """Remove every generation but one."""
        with _files():
            for folder in self._all():
                if folder != kept:
                    self.remove(folder)

    def remove(self, folder: Path) -> None:
        """Remove a generation that is not served."""
        shutil.rmtree(folder, ignore_errors=True)

    def unknown_to(self, folder: Path) -> frozenset[str]:
        """Return the dialects whose rules a generation was not made with, added or changed."""
        try:
            known = msgspec.json.decode((folder / _RULES).read_bytes(), type=dict[str, int])
        except (OSError, *NOT_JSON):
            known = {}
        return frozenset(
            name for name, version in self._versions.items() if known.get(name) != version
        )

    def is_outdated(self, folder: Path) -> bool:
        """Tell whether a generation was made with other rules than these."""
        try:
            text = (folder / _RULES).read_bytes()
        except OSError:
            return True
        return text != msgspec.json.encode(self._versions, order="sorted")

    def _all(self) -> list[Path]:
        return [path for path in self._root.iterdir() if path.name.isdecimal() and path.is_dir()]


class _files:
    """Turns failures of the file system into ours."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise StoreFailed(
                "the index folder cannot be used", hint="check disk and rights"
            ) from error
