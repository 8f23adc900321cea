"""Results that are kept in a cache as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .sim.verilator.cache import BuildCache

__all__ = ["Kept"]


class Kept:
    """JSON values in a cache, each under the hash of a text that tells all that it depends on.

    Parameters
    ----------
    cache
        Where they are kept. Several processes may share it: what one is making is not begun by
        another.
    file
        What the file with a value is called.
    """

    def __init__(self, cache: BuildCache, file: str) -> None:
        self._cache = cache
        self._file = file

    def find(self, told: str) -> Any:
        """The value of `told`, or None if it is not there."""
        folder = self._cache.find(_key(told))
        return None if folder is None else self._read(folder)

    def get(self, told: str, make: Callable[[], Any]) -> Any:
        """The value of `told`, which `make` gives if it is not there.

        Raises
        ------
        WeftError
            The cache cannot be written.
        """

        def fill(folder: Path) -> None:
            (folder / self._file).write_text(json.dumps(make()))

        key = _key(told)
        folder = self._cache.find(key) or self._cache.make(key, fill, waiting=lambda: None)
        return self._read(folder)

    def _read(self, folder: Path) -> Any:
        return json.loads((folder / self._file).read_text())


def _key(told: str) -> str:
    return hashlib.sha256(told.encode()).hexdigest()[:32]
