"""``make cosim`` where it has nothing to run with, and the memory that it lends to the models."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

import cosim.suite
from cosim import simulators
from cosim.__main__ import SUITE, main, outcomes
from cosim.memory import DeviceMemory, RefusedError
from weft.sim.verilator.toolchain import ToolchainError


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine with cocotb and without any simulator."""

    def no_toolchain() -> Any:
        raise ToolchainError("the verilator engine needs a C++ compiler")

    shared = SimpleNamespace(find_libpython=lambda: "libpython.so")
    monkeypatch.setitem(sys.modules, "find_libpython", shared)
    monkeypatch.setattr(simulators.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(simulators, "find_toolchain", no_toolchain)
    monkeypatch.setattr(simulators.shutil, "which", lambda name: None)
    return monkeypatch


def test_without_a_simulator_a_line_says_what_was_looked_for(bare: Any) -> None:
    done = CliRunner().invoke(main)
    assert (done.exit_code, done.output.count("\n")) == (0, 1)
    for part in ("nothing was run", "C++ compiler", "no iverilog in PATH"):
        assert part in done.output


def test_what_is_asked_for_is_not_replaced(bare: Any) -> None:
    bare.setattr(simulators.shutil, "which", lambda name: f"/bin/{name}")
    assert simulators.find_simulator().name == "icarus"
    with pytest.raises(simulators.NoSimulatorError, match=r"C\+\+ compiler$"):
        simulators.find_simulator("verilator")


@pytest.mark.parametrize("absent", ["cocotb", "cocotbext"])
def test_without_cocotb_a_line_says_how_to_get_it(bare: Any, absent: str) -> None:
    bare.setattr(
        simulators.importlib.util, "find_spec", lambda name: None if name == absent else name
    )
    with pytest.raises(simulators.NoSimulatorError, match=rf"no {absent}: .*weft\[cosim\]"):
        simulators.find_simulator()


def test_every_module_of_the_suite_is_run() -> None:
    (folder,) = cosim.suite.__path__
    modules = {file.stem for file in Path(folder).glob("*.py")} - {"__init__"}
    assert set(SUITE) == modules
    assert CliRunner().invoke(main, ["elsewhere"]).exit_code == 2


def test_results_name_tests_and_reasons(tmp_path: Path) -> None:
    results = tmp_path / "results.xml"
    results.write_text(
        '<testsuites><testsuite><testcase classname="cosim.suite.errors" name="a" time="0.5"/>'
        '<testcase classname="cosim.suite.errors" name="b" time="1">'
        '<failure type="AssertionError" message="assert 1 == 2&#10;more"/></testcase>'
        "</testsuite></testsuites>"
    )
    assert list(outcomes(results)) == [
        ("errors.a", 0.5, ""),
        ("errors.b", 1.0, "AssertionError: assert 1 == 2"),
    ]


def test_the_memory_is_its_bytes_and_refuses_what_it_is_told() -> None:
    memory = DeviceMemory(base=0x1000, size=64)
    memory[0x1010:0x1014] = b"\1\2\3\4"
    assert memory.data[0x10:0x14].tolist() == [1, 2, 3, 4]
    assert memory[0x1012:0x1015] == b"\3\4\0"
    memory.refused = range(0x1012, 0x1013)
    for start, stop in ((0xFFF, 0x1001), (0x103F, 0x1041), (0x1010, 0x1020)):
        with pytest.raises(RefusedError):
            memory[start:stop]
        with pytest.raises(RefusedError):
            memory[start:stop] = bytes(stop - start)
    assert memory[0x1013:0x1014] == b"\4"
    assert memory.touched == {0, 1}
