"""Imports `porc` 0.5.4 as published on a Python it does not know.

Two things keep it from being imported: a method is named with what is a reserved word since 3.7,
and two names left `collections` in 3.10. Both are cured in memory; no file is touched or written.
"""

from __future__ import annotations

import collections
import collections.abc
import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

_MOVED = ("Iterator", "MutableMapping")


class _Loader(SourceFileLoader):
    def get_data(self, path: str) -> bytes:
        """Return a source as if its author had chosen another name."""
        return super().get_data(path).replace(b"def async(", b"def async_(")

    def set_data(self, path: str, data: Any, *, _mode: int = 0) -> None:
        """Keep no compiled copy: it would be that of another source."""


class _Finder:
    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "porc" and not name.startswith("porc."):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(name, spec.origin)
        return spec


def import_porc() -> Any:
    """Return the module `porc`."""
    for name in _MOVED:
        setattr(collections, name, getattr(collections.abc, name))
    sys.meta_path.insert(0, _Finder)
    try:
        return importlib.import_module("porc")
    finally:
        sys.meta_path.remove(_Finder)
        for name in _MOVED:
            delattr(collections, name)
