"""Both engines around a small stand-in: register access, interrupt, DRAM, errors, waveform."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from support.copier import Copier, Mute
from support.engines import ENGINES, simulate_copier
from weft.hw.errors import ConfigError
from weft.sim.amaranth_engine import ANSWER_CYCLES
from weft.sim.axi import AxiProtocolError, Channel
from weft.sim.dram import DramParameters, ErrorRange
from weft.sim.simulation import MEMORY_BASE, Simulation, SimulationError
from weft.sim.verilator.engine import CHUNK_CYCLES
from weft.sim.waveform import Waveform
from weft.sw.transport import BusError, Transport

SOURCE, TARGET, LENGTH, SIZE, GO, CLEAR, RESPONSE = range(0x04, 0x20, 4)
BEAT = 8


Simulate = Callable[..., Simulation]


@pytest.fixture(params=ENGINES)
def simulate(request: pytest.FixtureRequest) -> Simulate:
    """Opens a simulation on one of the engines."""
    return partial(simulate_copier, request.param)


def copy(sim: Simulation, source: int, target: int, beats: int) -> int:
    """Copy `beats` within DRAM; the worst response."""
    sim.write_register(SOURCE, MEMORY_BASE + source)
    sim.write_register(TARGET, MEMORY_BASE + target)
    sim.write_register(LENGTH, beats - 1)
    sim.write_register(GO, 1)
    assert sim.wait_interrupt(10_000)
    sim.write_register(CLEAR, 1)
    return sim.read_register(RESPONSE)


def test_is_a_transport(simulate: Simulate) -> None:
    with simulate() as sim:
        assert isinstance(sim, Transport)
        assert sim.memory_base == MEMORY_BASE
        assert sim.memory.size == 1 << 16
        assert sim.read_register(0) == Copier.IDENTITY


def test_register_access_takes_the_cycles_of_its_handshakes_and_no_more(simulate: Simulate) -> None:
    sim = simulate()
    assert sim.cycles == 0
    assert sim.read_register(0) == Copier.IDENTITY
    # The stand-in is ready in the second cycle and answers in the third.
    assert sim.cycles == 3
    sim.write_register(SOURCE, 0x89ABCDEF)
    assert sim.cycles == 6
    assert sim.read_register(SOURCE) == 0x89ABCDEF
    assert sim.cycles == 9


def test_host_time_stands_still_between_calls(simulate: Simulate) -> None:
    sim = simulate()
    cycles = []
    for _ in range(5):
        sim.write_register(SOURCE, 1)
        cycles.append(sim.cycles)
    assert np.diff(cycles).tolist() == [3] * 4


def test_bus_errors_name_the_address(simulate: Simulate) -> None:
    sim = simulate()
    with pytest.raises(BusError, match="0x40"):
        sim.read_register(0x40)
    with pytest.raises(BusError, match="0x44"):
        sim.write_register(0x44, 0)
    with pytest.raises(BusError, match="0x10000"):
        sim.read_register(0x10000)
    assert sim.read_register(0) == Copier.IDENTITY
    with pytest.raises(SimulationError, match="4294967296: must fit 32 bits"):
        sim.write_register(SOURCE, 1 << 32)


def test_wait_interrupt_runs_out(simulate: Simulate) -> None:
    sim = simulate()
    assert sim.wait_interrupt(17) is False
    assert sim.cycles == 17
    with pytest.raises(SimulationError, match="timeout_cycles = 0"):
        sim.wait_interrupt(0)


@pytest.mark.parametrize("latency", [0, 1, 100])
@pytest.mark.parametrize("stall", [0, 128, 230])
def test_copies_whatever_the_memory_does(simulate: Simulate, latency: int, stall: int) -> None:
    channels = ("ar", "r", "aw", "w", "b")
    sim = simulate(
        dram=DramParameters(
            read_latency=latency,
            write_latency=latency,
            seed=stall,
            **{f"stall_{channel}": stall for channel in channels},
        )
    )
    expected = np.random.default_rng(1).integers(0, 256, 1 << 16, np.uint8)
    sim.memory[:] = expected
    for source, target, beats in ((0, 0x1000, 256), (0x2008, 0x3010, 1), (0x4000, 0x4100, 32)):
        assert copy(sim, source, target, beats) == 0
        expected[target : target + BEAT * beats] = expected[source : source + BEAT * beats]
        assert np.array_equal(sim.memory, expected)
    if stall == 0:
        # Half a beat a cycle, and per copy: registers, two latencies, and the FSM's own cycles.
        assert sim.cycles < 2 * (256 + 1 + 32) + 3 * (2 * latency + 40)


def test_cycles_depend_on_nothing_but_the_parameters(simulate: Simulate) -> None:
    def run(seed: int) -> int:
        sim = simulate(dram=DramParameters(stall_r=128, stall_w=128, seed=seed))
        copy(sim, 0, 0x1000, 64)
        return sim.cycles

    assert run(1) == run(1)
    assert len({run(seed) for seed in range(4)}) > 1


def test_errors_of_the_memory_reach_the_master(simulate: Simulate) -> None:
    start = MEMORY_BASE + 0x1000
    sim = simulate(dram=DramParameters(read_errors=(ErrorRange(start=start, stop=start + 1),)))
    assert copy(sim, 0x1000, 0x2000, 2) == 2
    assert copy(sim, 0x1008, 0x2000, 2) == 0
    assert copy(sim, 0x0000, 1 << 16, 2) == 3


def test_protocol_errors_surface_and_end_the_simulation(simulate: Simulate) -> None:
    sim = simulate()
    sim.write_register(SIZE, 2)
    with pytest.raises(AxiProtocolError, match="on AR: size = 2") as caught:
        copy(sim, 0, 0x1000, 2)
    assert caught.value.channel == Channel.AR
    with pytest.raises(SimulationError, match="cannot go on: AXI protocol broken"):
        sim.read_register(0)
    sim.close()


def test_ctrl_c_leaves_a_simulation_that_closes(simulate: Simulate, tmp_path: Path) -> None:
    def interrupt(cycles: int) -> None:
        raise KeyboardInterrupt

    sim = simulate(progress=interrupt, waveform=Waveform(path=tmp_path / "run.vcd"))
    with pytest.raises(KeyboardInterrupt):
        sim.wait_interrupt(10_000)
    with pytest.raises(SimulationError, match="KeyboardInterrupt"):
        sim.wait_interrupt(1)
    sim.close()
    lines = (tmp_path / "run.vcd").read_text().splitlines()
    assert any(line.startswith("#") for line in lines)
    assert "$enddefinitions" in " ".join(lines)


def test_progress_reports_cycles(simulate: Simulate) -> None:
    reports: list[int] = []
    sim = simulate(progress=reports.append)
    cycles = 1_000 if sim.engine == "python" else 10 * CHUNK_CYCLES
    sim.wait_interrupt(cycles)
    assert len(reports) >= 10
    assert reports == sorted(reports)
    assert reports[-1] <= cycles


def test_waveform_has_the_hierarchy_and_closing_ends_it(simulate: Simulate, tmp_path: Path) -> None:
    path = tmp_path / "run.vcd"
    with simulate(waveform=Waveform(path=path)) as sim:
        copy(sim, 0, 0x1000, 2)
    text = path.read_text()
    scope = "module top" if sim.engine == "python" else "module copier"
    for name in ("s_axil_awaddr", "m_axi_araddr", "fsm_state", scope):
        assert name in text
    with pytest.raises(SimulationError, match="closed"):
        sim.read_register(0)
    sim.close()


def test_a_design_without_axi_runs(simulate: Simulate) -> None:
    sim = simulate(master=False)
    assert sim.read_register(0) == Copier.IDENTITY
    assert sim.cycles == 3
    sim.write_register(GO, 1)
    assert sim.wait_interrupt(100)
    assert sim.cycles < 20


def test_silence_is_an_error(simulate: Simulate) -> None:
    sim = simulate(kind=Mute)
    with pytest.raises(SimulationError, match="no answer to a read of register 0x8"):
        sim.read_register(8)
    assert sim.cycles == ANSWER_CYCLES


def test_bad_memories_are_refused(simulate: Simulate) -> None:
    for options in ({"memory_bytes": 100}, {"memory_base": 1}, {"memory_base": (1 << 64) - 4096}):
        with pytest.raises(ConfigError, match=r"memory_bytes|dram\.base"):
            simulate(**options)


def test_a_waveform_that_cannot_be_written(simulate: Simulate, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        simulate(waveform=Waveform(path=tmp_path / "no" / "run.vcd"))


def test_seconds_are_accounted_for(simulate: Simulate) -> None:
    sim = simulate()
    sim.wait_interrupt(500)
    assert sim.build_seconds > 0
    assert sim.evaluation_seconds > 0
