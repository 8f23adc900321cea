"""The highest frequency of a system's parts, and the path that limits each."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from amaranth.back import rtlil

from weft.hw.config import AcceleratorConfig
from weft.hw.top import Top

from ..area.yosys import yosys_version
from ..generate import TOP_NAME
from ..kept import Kept
from ..sim.verilator.cache import BuildCache, cache_folder
from ..yowasp import ProgramError, Programs
from .harness import Harness, enclose
from .route import DEVICE, PART, SYSTEM, Flow, Routed, nextpnr_version, place_and_route

__all__ = ["METHOD", "measure"]

METHOD = (
    "each part alone between registers (a shift register drives its inputs, registered XORs fold "
    "its outputs), synthesized, placed and routed, the multipliers of an array's elements side by "
    "side; the harness is not counted in LUTs and FFs"
)
RESULT = "routed.json"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A part to measure: its name in the table and its place in the netlist; none for all."""

    module: str
    path: str

    @property
    def flow(self) -> Flow:
        return PART if self.path else SYSTEM


def measure(
    config: AcceleratorConfig,
    *,
    parts: tuple[str, ...] = (),
    seeds: int = 1,
    progress: Callable[[int, int, str], None] = lambda done, of, name: None,
) -> dict[str, Any]:
    """Place and route `config` and its parts: ``rows``, a part each, and their ``summary``.

    Parameters
    ----------
    config
        The system.
    parts
        Instances to measure, as ``accelerator.A.core``; none: the array's element, the mover of A
        (or the first), the crossbar, and the system as a whole.
    seeds
        How often each is placed; the median counts.
    progress
        Called with the number of runs that are done, that of all, and a part's name.

    Raises
    ------
    NetlistError
        There is no such part.
    ProgramError
        A tool is absent.
    """
    kept = Kept(BuildCache(cache_folder() / "fmax"), RESULT)
    versions = {"yosys": yosys_version(), "nextpnr": nextpnr_version()}
    subjects = [Subject(module=path, path=path) for path in parts] or list(_usual(config))
    netlist = rtlil.convert(Top(config), name=TOP_NAME, emit_src=False)
    total = len(subjects) * seeds
    rows = []
    with Programs() as programs:
        for index, subject in enumerate(subjects):
            progress(index * seeds, total, subject.module)
            harness = enclose(netlist, f"{TOP_NAME}.{subject.path}".rstrip("."))
            runs: list[Routed] = []
            reason = ""
            for seed in range(1, seeds + 1):
                try:
                    runs.append(_routed(programs, harness, seed, subject, kept, versions))
                except ProgramError as error:
                    reason = str(error)
                    break
                progress(index * seeds + seed, total, subject.module)
            rows.append(_row(subject.module, runs, reason))
    found = [row["fmax_mhz"] for row in rows if row["fmax_mhz"] is not None]
    summary = {
        "fmax_mhz": min(found) if found else None,
        "device": DEVICE,
        "seeds": seeds,
        "flows": {"part": str(PART), "system": str(SYSTEM)},
        "method": METHOD,
        **versions,
    }
    return {"rows": rows, "summary": summary}


def _usual(config: AcceleratorConfig) -> Iterator[Subject]:
    if config.array is not None:
        yield Subject(module="element", path="accelerator.array.mesh.element_0_0")
    mover = config.bound_to("array.a") or config.movers[0]
    yield Subject(module=f"mover {mover.name}", path=f"accelerator.{mover.name}")
    yield Subject(module="crossbar", path="accelerator.scratchpad")
    yield Subject(module="system", path="")


def _routed(
    programs: Programs,
    harness: Harness,
    seed: int,
    subject: Subject,
    kept: Kept,
    versions: dict[str, str],
) -> Routed:
    build = [str(subject.flow), METHOD, DEVICE, seed, versions]
    told = json.dumps([harness.text, harness.luts, harness.ffs, *build])
    values = kept.get(
        told,
        lambda: asdict(
            place_and_route(programs, harness, flow=subject.flow, seed=seed, name=subject.module)
        ),
    )
    return Routed(**values | {"path": tuple(values["path"])})


def _row(module: str, runs: list[Routed], reason: str) -> dict[str, Any]:
    """The row of a part: of the run with the median, or of the reason why there is none."""
    if reason:
        return {
            "module": module,
            "fmax_mhz": None,
            "fmax_runs_mhz": [run.fmax_mhz for run in runs],
            **dict.fromkeys(("luts", "ffs", "bram", "dsps")),
            "critical_path": reason,
        }
    speeds = [run.fmax_mhz for run in runs]
    middle = next(run for run in runs if run.fmax_mhz == statistics.median_low(speeds))
    return {
        "module": module,
        "fmax_mhz": middle.fmax_mhz,
        "fmax_runs_mhz": speeds,
        **{name: getattr(middle, name) for name in ("luts", "ffs", "bram", "dsps")},
        "critical_path": middle.critical_path,
    }
