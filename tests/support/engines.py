"""Both simulation engines around the same small design or system."""

from functools import cache
from typing import Any

import pytest
from amaranth.back import verilog

from support.copier import Copier
from weft.config import load_config
from weft.sim.amaranth_engine import AmaranthSimulation
from weft.sim.simulation import Simulation
from weft.sim.verilator import VerilatorSimulation
from weft.sim.verilator.build import ModelSource, find_toolchain
from weft.sim.verilator.toolchain import ToolchainError

__all__ = [
    "ENGINES",
    "FASTEST",
    "FASTEST_FIRST",
    "copier_source",
    "needs_compiler",
    "simulate_copier",
]


def _missing() -> str:
    try:
        find_toolchain()
    except ToolchainError as error:
        return str(error)
    return ""


needs_compiler = pytest.mark.skipif(bool(_missing()), reason=_missing() or "all is there")
"""For tests of the compiled engine: without a compiler they are skipped and say what is missing."""

ENGINES = ("python", pytest.param("verilator", marks=needs_compiler))

FASTEST = "python" if _missing() else "verilator"
"""The engine for what takes long and is not about engines."""

FASTEST_FIRST = (
    (FASTEST,) if FASTEST == "python" else (FASTEST, pytest.param("python", marks=pytest.mark.soak))
)
"""Each of the two, for what takes long: the slower one in soak."""


@cache
def _copier_verilog(kind: type[Copier], options: tuple[tuple[str, Any], ...]) -> str:
    return verilog.convert(kind(**dict(options)), name="copier", emit_src=False)


def copier_source(kind: type[Copier] = Copier, **options: Any) -> ModelSource:
    """The stand-in of support.copier, for Verilator."""
    text = _copier_verilog(kind, tuple(options.items()))
    return ModelSource(name="copier", top="copier", verilog=lambda: text)


def simulate_copier(engine: str, kind: type[Copier] = Copier, **options: Any) -> Simulation:
    """It in a simulation of 64 KiB; some options are the stand-in's own."""
    names = ("data_bits", "master", "breach", "trace_bits")
    own = {name: options.pop(name) for name in names if name in options}
    options = {"memory_bytes": 1 << 16} | options
    if engine == "verilator":
        return VerilatorSimulation(copier_source(kind, **own), **options)
    return AmaranthSimulation(load_config("tiny"), dut=kind(**own), **options)
