"""Each distinct block is synthesized once, and never again."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from weft.area.netlist import Block
from weft.area.parts import rows
from weft.area.synthesis import Request, Synthesis
from weft.area.targets import TARGETS, Area
from weft.area.yosys import Mapped, Yosys
from weft.hw.errors import WeftError
from weft.sim.verilator.cache import BuildCache
from weft.yowasp import ProgramError

from .designs import lanes

TOP, LANE, _, _, OTHER = range(5)


class Recorder:
    """Stands in for Yosys: notes what it is asked, and answers by the length of the text."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, fails: bool = False) -> None:
        self.names: list[str] = []
        self.scripts: list[str] = []
        self._fails = fails
        monkeypatch.setattr(Yosys, "warm_up", lambda yosys: None)
        monkeypatch.setattr(Yosys, "synthesize", lambda yosys, *asked: self._answer(*asked))

    def _answer(self, text: str, script: str, name: str) -> Mapped:
        self.names.append(name)
        self.scripts.append(script)
        if self._fails:
            raise ProgramError(f"yosys failed on {name}")
        return Mapped(cells={"LUT6": len(text), "FDRE": 1}, memory_bits=0)


def areas(store: Path, target: str = "xcup", no_dsp: bool = False, **options: Any) -> Any:
    """The synthesis of the lanes, the areas by key, the calls of progress."""
    blocks = lanes()
    keys = dict.fromkeys(block.key for block in blocks)
    calls: list[tuple[int, int, str]] = []
    synthesis = Synthesis(target=TARGETS[target], no_dsp=no_dsp, cache=BuildCache(store))
    found = synthesis.areas(
        [Request(key=key, name=f"part {key[:4]}") for key in keys],
        options.get("blocks", lambda: {block.key: block for block in blocks}),
        lambda *call: calls.append(call),
    )
    return synthesis, found, calls


def no_blocks() -> Mapping[str, Block]:
    raise AssertionError("everything is in the cache")


def test_identical_blocks_are_synthesized_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(monkeypatch)
    blocks = lanes()
    synthesis, found, calls = areas(tmp_path)
    assert synthesis.synthesized == len(recorder.names) == 3  # of five
    assert found[blocks[LANE].key] == Area(
        luts=len(blocks[LANE].text), ffs=1, cells=len(blocks[LANE].text) + 1
    )
    assert calls[0] == (0, 3, "")
    assert [call[:2] for call in calls[1:]] == [(1, 3), (2, 3), (3, 3)]


def test_what_is_in_the_cache_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(monkeypatch)
    _, first, _ = areas(tmp_path)
    recorder.names.clear()
    synthesis, again, calls = areas(tmp_path, blocks=no_blocks)
    assert again == first
    assert recorder.names == []
    assert synthesis.synthesized == 0
    assert calls == [(3, 3, "")]


def test_another_script_or_version_is_another_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(monkeypatch)
    for number, (target, no_dsp) in enumerate(
        [("xcup", False), ("xcup", True), ("ecp5", False), ("generic", False)], 1
    ):
        areas(tmp_path, target, no_dsp)
        assert len(recorder.names) == 3 * number
    areas(tmp_path, "generic", True)  # has no multiplier blocks: the same script
    assert len(recorder.names) == 12
    monkeypatch.setattr("weft.area.synthesis.yosys_version", lambda: "1.0")
    areas(tmp_path)
    assert len(recorder.names) == 15
    assert ["-nodsp" in script for script in recorder.scripts] == [False] * 3 + [True] * 3 + [
        False
    ] * 9


def test_a_failure_is_told_and_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Recorder(monkeypatch, fails=True)
    with pytest.raises(ProgramError, match="yosys failed on part "):
        areas(tmp_path)
    recorder = Recorder(monkeypatch)
    areas(tmp_path)
    assert len(recorder.names) == 3


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Recorder(monkeypatch)
    (tmp_path / "file").touch()
    with pytest.raises(WeftError, match=r"cannot write the cache folder .*WEFT_CACHE"):
        areas(tmp_path / "file" / "area")


def test_instances_are_multiplied_on_the_real_thing(tmp_path: Path) -> None:
    blocks = lanes()
    _, found, _ = areas(tmp_path, "generic")
    # A register of ten bits each, all of which a product of a byte can reach.
    assert found[blocks[LANE].key].ffs == 10
    assert found[blocks[OTHER].key].ffs == 10
    assert found[blocks[TOP].key] == Area()
    plan = {
        "top": {blocks[TOP].key: 1},
        "lane": dict(Counter(block.key for block in blocks[1:])),
    }
    (row,) = rows(plan, found)
    each, other = found[blocks[LANE].key], found[blocks[OTHER].key]
    assert row["module"] == "lane"
    assert (row["instances"], row["distinct"]) == (4, 2)
    assert row["luts"] == 3 * each.luts + other.luts
    assert row["ffs"] == 40
    assert row["share_luts"] == row["share_ffs"] == 1


def test_yosys_says_what_it_did_not_like() -> None:
    with Yosys() as yosys, pytest.raises(ProgramError) as caught:
        yosys.synthesize("module \\a\n  wire\nend\n", "synth -top a", "a part")
    assert str(caught.value).startswith("yosys failed on a part: ")
    assert "ERROR" in str(caught.value)


def test_a_closed_yosys_starts_nothing() -> None:
    with Yosys() as yosys:
        pass
    with pytest.raises(ProgramError, match="yosys was stopped before a part"):
        yosys.synthesize("", "", "a part")


@pytest.mark.parametrize(
    ("target", "cells", "area"),
    [
        (
            "xcup",
            {"LUT1": 1, "LUT6": 2, "INV": 4, "CARRY4": 8, "RAM32M16": 1, "SRL16E": 1, "FDSE": 5}
            | {"RAMB36E2": 1, "RAMB18E2": 1, "DSP48E2": 3},
            Area(luts=12, ffs=5, cells=27, bram=1.5, dsps=3),
        ),
        (
            "ecp5",
            {"LUT4": 3, "CCU2C": 2, "TRELLIS_DPR16X4": 1, "TRELLIS_FF": 4, "DP16KD": 2}
            | {"MULT18X18D": 1},
            Area(luts=13, ffs=4, cells=13, bram=2, dsps=1),
        ),
        (
            "generic",
            {"$lut": 7, "$_SDFFE_PP0P_": 2, "$_DFF_P_": 1},
            Area(luts=7, ffs=3, cells=10, memory_bits=64),
        ),
    ],
)
def test_counting(target: str, cells: dict[str, int], area: Area) -> None:
    assert TARGETS[target].area(cells, area.memory_bits) == area
