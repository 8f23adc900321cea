"""Where compiled models stay: one folder a key, made whole or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from weft.hw.errors import WeftError

__all__ = ["BuildCache", "cache_folder"]

STAGING = ".building-"


def cache_folder() -> Path:
    """``$WEFT_CACHE``, else ``$XDG_CACHE_HOME/weft``, else ``~/.cache/weft``."""
    own = os.environ.get("WEFT_CACHE")
    if own:
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "weft"


class BuildCache:
    """Folders by key in `root`, each filled in another place and moved there when complete.

    Any number of processes may use it at once: one builds a key, the others wait for it. A process
    that is killed leaves a folder ``KEY.building-*`` behind, which the next one that builds
    anything removes, and a lock file that the system has released. What stands under a key is
    never changed again, so it can be read without a lock, and from a cache that cannot be written.

    Parameters
    ----------
    root
        The folder, made when something is put there.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, key: str) -> Path | None:
        """The folder of `key` if it is there."""
        folder = self.root / key
        return folder if folder.is_dir() else None

    def note(self, name: str) -> str | None:
        """What :meth:`write_note` has put under `name`."""
        try:
            return (self.root / "notes" / name).read_text()
        except OSError:
            return None

    def write_note(self, name: str, text: str) -> None:
        """Keep a short `text`; a cache that cannot be written goes without."""
        folder = self.root / "notes"
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=folder, delete=False) as file:
                file.write(text)
            os.replace(file.name, folder / name)

    def make(self, key: str, fill: Callable[[Path], None], *, waiting: Callable[[], None]) -> Path:
        """The folder of `key`; if it is not there, `fill` is given an empty one to fill.

        Calls `waiting` once if another process is at it.

        Raises
        ------
        WeftError
            The cache cannot be written.
        """
        with self._explained():
            self.root.mkdir(parents=True, exist_ok=True)
            with self._locked(key, waiting):
                folder = self.root / key
                if folder.is_dir():
                    return folder
                self._remove_stale(key)
                staging = Path(tempfile.mkdtemp(prefix=f"{key}{STAGING}", dir=self.root))
                try:
                    fill(staging)
                    staging.rename(folder)
                finally:
                    shutil.rmtree(staging, ignore_errors=True)
                return folder

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise WeftError(
                f"cannot write the cache folder {self.root}: {error.strerror or error}; "
                "WEFT_CACHE names another one"
            ) from None

    @contextmanager
    def _locked(self, key: str, waiting: Callable[[], None]) -> Iterator[None]:
        with (self.root / f"{key}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _remove_stale(self, held: str) -> None:
        """Remove what killed builds have left: those whose lock is free, or is the `held` one."""
        for folder in self.root.glob(f"*{STAGING}*"):
            key = folder.name.partition(STAGING)[0]
            with (self.root / f"{key}.lock").open("w") as file:
                try:
                    if key != held:
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                shutil.rmtree(folder, ignore_errors=True)
