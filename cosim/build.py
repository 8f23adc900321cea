"""A simulator with the design in it, made by Verilator and a C++ compiler."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cocotb_tools.config import libs_dir, share_dir

from weft.generate import TOP_NAME
from weft.sim.verilator.cache import BuildCache
from weft.sim.verilator.jobs import run_all
from weft.sim.verilator.toolchain import Toolchain

__all__ = ["build"]

PREFIX = "Vtop"
"""What cocotb's main program calls the model."""
VERILATE = [
    *("--cc", "--vpi", "-O3", "--prefix", PREFIX, "--top-module", TOP_NAME),
    *("--timescale", "1ns/1ps", "--x-assign", "unique", "--x-initial", "unique"),
    *("-Wno-fatal", "-Wno-lint", "-Wno-style", "--output-split", "60000"),
]
VISIBLE = f'`verilator_config\npublic_flat_rw -module "{TOP_NAME}" -var "*"\n'
"""What cocotb may see: the ports. All signals would take many times as long to compile."""
COMPILE = ["-c", "-std=c++20"]
FAST, SLOW = "-O1", "-O0"
"""What runs in every cycle, and what hardly runs: compiling takes longer than the suite."""
RUNTIME = ("verilated.cpp", "verilated_threads.cpp", "verilated_vpi.cpp")
MACROS = ("COVERAGE", "SC", "TIMING", "TRACE", "TRACE_VCD", "TRACE_FST", "TRACE_SAIF")


def build(verilog: Path, toolchain: Toolchain, folder: Path, log: Path) -> Path:
    """A folder with the program, named as the top; made in `folder` unless it is there.

    Raises
    ------
    CommandError
        Verilator or the compiler refused; their words are in `log`.
    """
    tools = [*toolchain.versions.values(), *toolchain.compiler.command, str(libs_dir)]
    texts = [verilog.read_text(), Path(__file__).read_text(), *tools]
    key = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]

    def fill(place: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as work:
            _make(verilog, toolchain, Path(work), place / TOP_NAME, log)

    return BuildCache(folder).make(key, fill, waiting=_wait)


def _wait() -> None:
    print("cosim: another process builds this simulator, waiting", flush=True)


def _make(verilog: Path, toolchain: Toolchain, work: Path, program: Path, log: Path) -> None:
    """Make `program` by way of files in `work`."""
    verilator, compiler = toolchain.verilator, toolchain.compiler
    visible = work / "visible.vlt"
    visible.write_text(VISIBLE)
    verilate = [*VERILATE, "--Mdir", str(work), str(visible), str(verilog)]
    _run([[str(verilator.binary), *verilate]], verilator.environment, log)
    sources = [
        *work.glob("*.cpp"),
        *(verilator.include / name for name in RUNTIME),
        Path(share_dir) / "lib" / "verilator" / "verilator.cpp",
    ]
    # The longest work first.
    sources.sort(key=lambda source: source.stat().st_size, reverse=True)
    includes = [work, verilator.include, verilator.include / "vltstd"]
    common = [
        *compiler.command,
        *COMPILE,
        *compiler.flags,
        *(f"-DVM_{name}=0" for name in MACROS),
        *(f"-I{include}" for include in includes),
    ]
    objects = [str(work / f"{source.stem}.o") for source in sources]
    commands = [
        [*common, SLOW if "Slow" in source.name else FAST, str(source), "-o", target]
        for source, target in zip(sources, objects, strict=True)
    ]
    environment = verilator.environment | compiler.environment
    _run(commands, environment, log)
    libraries = [f"-L{libs_dir}", f"-Wl,-rpath,{libs_dir}", "-lcocotbvpi_verilator", "-pthread"]
    _run([[*compiler.command, *objects, *libraries, "-o", str(program)]], environment, log)


def _run(commands: Sequence[list[str]], environment: dict[str, str], log: Path) -> None:
    run_all(commands, environment, log, lambda done: None)
