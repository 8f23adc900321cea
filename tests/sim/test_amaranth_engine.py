"""The engine around a small stand-in: register access, interrupt, DRAM, errors, waveform."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module

from support.copier import Copier
from weft.hw.config import AcceleratorConfig
from weft.sim.amaranth_engine import ANSWER_CYCLES, AmaranthSimulation
from weft.sim.axi import AxiProtocolError, Channel
from weft.sim.dram import DramParameters, ErrorRange
from weft.sim.simulation import MEMORY_BASE, Simulation, SimulationError
from weft.sim.waveform import Waveform
from weft.sw.transport import BusError, Transport

CONFIG = AcceleratorConfig.from_toml(Path(__file__).parents[2] / "configs" / "tiny.toml")
SOURCE, TARGET, LENGTH, SIZE, GO, CLEAR, RESPONSE = range(0x04, 0x20, 4)
BEAT = 8


def simulate(**options: Any) -> AmaranthSimulation:
    return AmaranthSimulation(CONFIG, dut=Copier(), memory_bytes=1 << 16, **options)


def copy(sim: Simulation, source: int, target: int, beats: int) -> int:
    """Copy `beats` within DRAM; the worst response."""
    sim.write_register(SOURCE, MEMORY_BASE + source)
    sim.write_register(TARGET, MEMORY_BASE + target)
    sim.write_register(LENGTH, beats - 1)
    sim.write_register(GO, 1)
    assert sim.wait_interrupt(10_000)
    sim.write_register(CLEAR, 1)
    return sim.read_register(RESPONSE)


def test_is_a_transport() -> None:
    with simulate() as sim:
        assert isinstance(sim, Transport)
        assert sim.memory_base == MEMORY_BASE
        assert sim.memory.size == 1 << 16
        assert sim.read_register(0) == Copier.IDENTITY


def test_register_access_takes_the_cycles_of_its_handshakes_and_no_more() -> None:
    sim = simulate()
    assert sim.cycles == 0
    assert sim.read_register(0) == Copier.IDENTITY
    # The stand-in is ready in the second cycle and answers in the third.
    assert sim.cycles == 3
    sim.write_register(SOURCE, 0x89ABCDEF)
    assert sim.cycles == 6
    assert sim.read_register(SOURCE) == 0x89ABCDEF
    assert sim.cycles == 9


def test_host_time_stands_still_between_calls() -> None:
    sim = simulate()
    cycles = []
    for _ in range(5):
        sim.write_register(SOURCE, 1)
        cycles.append(sim.cycles)
    assert np.diff(cycles).tolist() == [3] * 4


def test_bus_errors_name_the_address() -> None:
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


def test_wait_interrupt_runs_out() -> None:
    sim = simulate()
    assert sim.wait_interrupt(17) is False
    assert sim.cycles == 17
    with pytest.raises(SimulationError, match="timeout_cycles = 0"):
        sim.wait_interrupt(0)


@pytest.mark.parametrize("latency", [0, 1, 100])
@pytest.mark.parametrize("stall", [0, 128, 230])
def test_copies_whatever_the_memory_does(latency: int, stall: int) -> None:
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


def test_cycles_depend_on_nothing_but_the_parameters() -> None:
    def run(seed: int) -> int:
        sim = simulate(dram=DramParameters(stall_r=128, stall_w=128, seed=seed))
        copy(sim, 0, 0x1000, 64)
        return sim.cycles

    assert run(1) == run(1)
    assert len({run(seed) for seed in range(4)}) > 1


def test_errors_of_the_memory_reach_the_master() -> None:
    start = MEMORY_BASE + 0x1000
    sim = simulate(dram=DramParameters(read_errors=(ErrorRange(start=start, stop=start + 1),)))
    assert copy(sim, 0x1000, 0x2000, 2) == 2
    assert copy(sim, 0x1008, 0x2000, 2) == 0
    assert copy(sim, 0x0000, 1 << 16, 2) == 3


def test_protocol_errors_surface_and_end_the_simulation() -> None:
    sim = simulate()
    sim.write_register(SIZE, 2)
    with pytest.raises(AxiProtocolError, match="on AR: size = 2") as caught:
        copy(sim, 0, 0x1000, 2)
    assert caught.value.channel == Channel.AR
    with pytest.raises(SimulationError, match="cannot go on: AXI protocol broken"):
        sim.read_register(0)
    sim.close()


def test_ctrl_c_leaves_a_simulation_that_closes(tmp_path: Path) -> None:
    def interrupt(cycles: int) -> None:
        raise KeyboardInterrupt

    sim = simulate(progress=interrupt, waveform=Waveform(path=tmp_path / "run.vcd"))
    with pytest.raises(KeyboardInterrupt):
        sim.wait_interrupt(10_000)
    with pytest.raises(SimulationError, match="KeyboardInterrupt"):
        sim.wait_interrupt(1)
    sim.close()
    assert (tmp_path / "run.vcd").read_text().rstrip().splitlines()[-1].startswith("#")


def test_progress_reports_cycles() -> None:
    reports: list[int] = []
    sim = simulate(progress=reports.append)
    sim.wait_interrupt(1000)
    assert len(reports) > 10
    assert reports == sorted(reports)
    assert reports[-1] <= 1000


def test_waveform_has_the_hierarchy_and_closing_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "run.vcd"
    with simulate(waveform=Waveform(path=path)) as sim:
        copy(sim, 0, 0x1000, 2)
    text = path.read_text()
    for name in ("s_axil_awaddr", "m_axi_araddr", "fsm_state", "module buffer"):
        assert name in text
    with pytest.raises(SimulationError, match="closed"):
        sim.read_register(0)
    sim.close()


def test_a_design_without_axi_runs() -> None:
    sim = AmaranthSimulation(CONFIG, dut=Copier(master=False), memory_bytes=4096)
    assert sim.dram is None
    assert sim.read_register(0) == Copier.IDENTITY
    assert sim.cycles == 3
    sim.write_register(GO, 1)
    assert sim.wait_interrupt(100)
    assert sim.cycles < 20


class Mute(Copier):
    """Never answers."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += self.irq.eq(0)
        return m


def test_silence_is_an_error() -> None:
    sim = AmaranthSimulation(CONFIG, dut=Mute(), memory_bytes=4096)
    with pytest.raises(SimulationError, match="no answer to a read of register 0x8"):
        sim.read_register(8)
    assert sim.cycles >= ANSWER_CYCLES - 1


def test_seconds_are_accounted_for() -> None:
    sim = simulate()
    sim.wait_interrupt(500)
    assert sim.build_seconds > 0
    assert sim.evaluation_seconds > 0
