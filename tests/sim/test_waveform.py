"""Windows of waveforms: the same moments and values as in the whole one, on both engines."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from support.copier import Mute
from support.engines import ENGINES, needs_compiler, simulate_copier
from weft.hw.errors import ConfigError
from weft.sim.simulation import MEMORY_BASE, Simulation, SimulationError
from weft.sim.waveform import Waveform

CYCLES = 60
SOURCE, TARGET, LENGTH, SIZE, GO = range(0x04, 0x18, 4)


def run(simulation: Simulation) -> None:
    """A copy, and idle time up to CYCLES."""
    for register, value in ((SOURCE, 0), (TARGET, 0x100)):
        simulation.write_register(register, MEMORY_BASE + value)
    simulation.write_register(LENGTH, 3)
    simulation.write_register(GO, 1)
    simulation.memory[:64] = 0xA5
    while simulation.cycles < CYCLES:
        simulation.wait_interrupt(1)


def history(path: Path) -> dict[int, dict[str, str]]:
    """The value of every signal in the middle of each cycle that `path` has, by cycle."""
    text = path.read_text()
    header, _, body = text.partition("$enddefinitions $end")
    scale = re.search(r"\$timescale\s+1\s*(fs|ns)\s+\$end", header)
    assert scale is not None
    half = 5 if scale[1] == "ns" else 5_000_000
    names: dict[str, list[str]] = {}
    scopes: list[str] = []
    for words in map(str.split, header.splitlines()):
        if words[:1] == ["$scope"]:
            scopes.append(words[2])
        elif words[:1] == ["$upscope"]:
            scopes.pop()
        elif words[:1] == ["$var"]:
            names.setdefault(words[3], []).append(".".join((*scopes, words[4])))
    values: dict[str, str] = {}
    cycles: dict[int, dict[str, str]] = {}
    for line in body.split("\n"):
        if line.startswith("#"):
            cycle = (int(line[1:]) // half + 1) // 2
        elif line and not line.startswith("$"):
            value, code = line.split() if line[0] in "bs" else (line[0], line[1:])
            for name in names[code]:
                values[name] = value.lstrip("b").lstrip("0") or "0"
            cycles[cycle] = dict(values)
    assert list(cycles) == list(range(min(cycles), max(cycles) + 1))
    return {
        cycle: {name: value for name, value in now.items() if not name.endswith("clk")}
        for cycle, now in cycles.items()
    }


@pytest.fixture(params=ENGINES)
def record(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Path]:
    """Makes a waveform of `run` on one of the engines."""

    def recorded(name: str = "run.vcd", **window: int) -> Path:
        path = tmp_path / name
        with simulate_copier(request.param, waveform=Waveform(path=path, **window)) as simulation:
            run(simulation)
            assert simulation.cycles == CYCLES
        return path

    return recorded


@pytest.mark.parametrize(
    ("window", "first", "end"),
    [
        ({"first": 20}, 20, CYCLES),
        ({"first": 17, "end": 31}, 17, 31),
        ({"end": 25}, 0, 25),
        ({"last": 1}, CYCLES - 1, CYCLES),
        ({"last": 13}, CYCLES - 13, CYCLES),
        ({"last": 20}, CYCLES - 20, CYCLES),
        ({"last": 1000}, 0, CYCLES),
        ({"first": 1000}, 1000, 0),
    ],
)
def test_a_window_shows_what_the_whole_shows(
    record: Callable[..., Path], window: dict[str, int], first: int, end: int
) -> None:
    whole = history(record("whole.vcd"))
    # Neither engine says anything of a last cycle that the clock has not finished.
    assert set(range(CYCLES)) <= set(whole)
    if first > CYCLES:
        assert "#" not in record(**window).read_text().partition("$enddefinitions")[2]
        return
    part = history(record(**window))
    assert min(part) in (first, first - 1 if "last" in window else first)
    for cycle in range(first, end):
        assert part[cycle] == whole[cycle], cycle
    assert max(part) <= end if end < CYCLES else max(part) >= CYCLES - 1
    assert not list(record().parent.glob("*.vcd.*"))


def test_bad_windows_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.vcd"
    for window, text in (
        ({"first": -1}, "waveform.first = -1: must be at least 0"),
        ({"first": 9, "end": 9}, "waveform.end = 9: must be after first = 9"),
        ({"last": 0}, "waveform.last = 0: must be at least 1"),
        ({"last": 5, "first": 3}, "waveform.last = 5: goes without first and end"),
        ({"last": 5, "format": "fst"}, "waveform.last = 5: is for VCD"),
        ({"format": "png"}, "waveform.format = 'png': one of vcd, fst"),
    ):
        with pytest.raises(ConfigError, match=text):
            Waveform(path=path, **window)  # type: ignore[arg-type]
    assert Waveform(path=tmp_path / "run.FST").format == "fst"
    assert Waveform(path=path, format="fst").format == "fst"
    with pytest.raises(ConfigError, match="'fst': needs the verilator engine"):
        simulate_copier("python", waveform=Waveform(path=tmp_path / "run.fst"))


@pytest.mark.parametrize("engine", ENGINES)
def test_the_last_cycles_before_a_failure(engine: str, tmp_path: Path) -> None:
    path = tmp_path / "run.vcd"
    with pytest.raises(SimulationError, match="no answer"):
        with simulate_copier(engine, Mute, waveform=Waveform(path=path, last=10)) as simulation:
            simulation.read_register(0)
    cycles = history(path)
    assert min(cycles) >= simulation.cycles - 11
    assert max(cycles) >= simulation.cycles - 1


@needs_compiler
def test_fst(tmp_path: Path) -> None:
    path = tmp_path / "run.fst"
    with simulate_copier("verilator", waveform=Waveform(path=path, first=3, end=40)) as simulation:
        run(simulation)
    content = path.read_bytes()
    # Header block of 329 bytes; two 64-bit times after its type and length.
    assert content[0] == 0
    assert int.from_bytes(content[1:9], "big") == 329
    start, stop = (int.from_bytes(content[at : at + 8], "big") for at in (9, 17))
    assert (start, stop) == (25, 390)
