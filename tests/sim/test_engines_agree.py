"""The same calls give the same bytes in the same cycles on both engines."""

import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Cat, Const, Module, Signal

from support.copier import Copier
from support.engines import needs_compiler, simulate_copier
from weft.config import load_config
from weft.engines import open_simulation
from weft.hw.bus.axi import Response
from weft.hw.errors import WeftError
from weft.sim.axi import AxiProtocolError
from weft.sim.dram import DramParameters, ErrorRange
from weft.sim.simulation import MEMORY_BASE, Simulation, SimulationError
from weft.sw.device import Device
from weft.sw.errors import DeviceError

pytestmark = needs_compiler
TINY = load_config("tiny")
PROGRAMS = 9
SOURCE, TARGET, LENGTH, SIZE, GO, CLEAR, RESPONSE = range(0x04, 0x20, 4)


def random_dram(pick: random.Random, size: int, errors: int) -> DramParameters:
    """Any timing; `errors` ranges somewhere in the upper half of a memory of `size` bytes."""

    def ranges() -> tuple[ErrorRange, ...]:
        starts = [MEMORY_BASE + pick.randrange(size // 2, size) for _ in range(errors)]
        return tuple(
            ErrorRange(
                start=start,
                stop=start + pick.randint(1, 200),
                response=pick.choice([Response.SLVERR, Response.DECERR]),
            )
            for start in starts
        )

    stalls = {
        f"stall_{channel}": pick.choice([0, pick.randrange(231)])
        for channel in ("ar", "r", "aw", "w", "b")
    }
    return DramParameters(
        read_latency=pick.choice([0, 1, pick.randrange(100)]),
        write_latency=pick.choice([0, 1, pick.randrange(100)]),
        read_interval=pick.choice([1, 1, pick.randint(2, 9)]),
        write_interval=pick.choice([1, 1, pick.randint(2, 9)]),
        read_outstanding=pick.choice([1, 2, 64]),
        write_outstanding=pick.choice([1, 2, 64]),
        read_errors=ranges(),
        write_errors=ranges(),
        seed=pick.getrandbits(64),
        **stalls,
    )


def both(open_engine: Callable[[str], Simulation], run: Callable[[Simulation], Any]) -> Any:
    """What `run` makes of both engines, if it is the same; with cycles and memory in the end."""
    ends = []
    for engine in ("python", "verilator"):
        with open_engine(engine) as simulation:
            ends.append((run(simulation), simulation.cycles, simulation.memory.copy()))
    (python, python_cycles, python_memory), (compiled, compiled_cycles, compiled_memory) = ends
    assert compiled == python
    assert compiled_cycles == python_cycles
    assert np.array_equal(compiled_memory, python_memory)
    return python


@pytest.mark.parametrize("data_bits", [32, 64, 1024])
@pytest.mark.parametrize("seed", range(3))
def test_random_copies(data_bits: int, seed: int) -> None:
    size, beat = 1 << 14, data_bits // 8

    def run(simulation: Simulation) -> list[Any]:
        pick = random.Random(seed)
        simulation.memory[:] = np.random.default_rng(seed).integers(0, 256, size, np.uint8)
        events = []
        for _ in range(8):
            # Some bursts lie beyond the memory.
            beats = pick.randint(1, min(40, 4096 // beat))
            for register in (SOURCE, TARGET):
                page = 4096 * pick.randrange(size // 4096 + 1)
                offset = beat * pick.randrange(4096 // beat - beats + 1)
                simulation.write_register(register, MEMORY_BASE + page + offset)
            simulation.write_register(LENGTH, beats - 1)
            simulation.write_register(GO, 1)
            events.append(simulation.wait_interrupt(pick.randint(1, 500)))
            while not simulation.wait_interrupt(5_000):
                pass
            simulation.write_register(CLEAR, 1)
            events += [simulation.read_register(RESPONSE), simulation.cycles]
        return events

    dram = random_dram(random.Random(seed), size, errors=3)
    both(
        lambda engine: simulate_copier(engine, data_bits=data_bits, dram=dram, memory_bytes=size),
        run,
    )


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(50))
def test_random_programs(seed: int) -> None:
    size = 1 << 16

    def run(simulation: Simulation) -> list[Any]:
        pick = random.Random(seed)
        device = Device(simulation, TINY)
        events: list[Any] = []
        for _ in range(PROGRAMS):
            try:
                events.append(program(device, pick))
            except DeviceError as error:
                events.append(str(error))
                device.reset()
            events += [simulation.cycles, device.counters(), device.array_counters()]
        return events

    # Half of the runs meet errors of the memory.
    dram = random_dram(random.Random(seed), size, errors=3 * (seed % 2))
    both(lambda engine: open_simulation(TINY, engine, memory_bytes=size, dram=dram), run)


def program(device: Device, pick: random.Random) -> Any:
    """A product, or bytes to the scratchpad and back."""
    if pick.random() < 0.5:
        M, N, K = (pick.randint(1, 12) for _ in range(3))
        a, b = device.allocate((M, K), np.int8), device.allocate((K, N), np.int8)
        out = device.allocate((M, N), np.int32)
        for operand in (a, b):
            values = np.random.default_rng(pick.getrandbits(32))
            operand[:] = values.integers(-128, 128, operand.shape)
        report = device.gemm(a, b, out=out)
        assert np.array_equal(out, a.astype(np.int32) @ b.astype(np.int32))
        return report.cycles_total
    size = pick.randint(1, 300)
    there, back = device.allocate(size, np.uint8), device.allocate(size, np.uint8)
    there[:] = np.random.default_rng(size).integers(0, 256, size)
    place = device.scratchpad(TINY.memory.word_bytes * pick.randrange(16))
    device.send(there, to=place).wait(50_000)
    device.recv(back, from_=place).wait(50_000)
    assert np.array_equal(there, back)
    return size


class Rude(Copier):
    """Breaks the rule `breach` of the AXI port after a write to GO."""

    def __init__(self, *, breach: str) -> None:
        super().__init__()
        self.breach = breach

    def _copy(self, m: Module, go, source, target, length, size, response) -> None:
        with m.If(go):
            m.d.sync += self.irq.eq(0)
        with m.FSM():
            with m.State("idle"):
                with m.If(go):
                    m.next = "offer"
            with m.State("offer"):
                self._offer(m, source)
                m.next = "hold"
            with m.State("hold"):
                if self.breach == "valid fell":
                    m.next = "idle"
                else:
                    self._offer(m, source + 64 * (self.breach == "the payload changed"))
                    m.d.comb += self.m_axi_awid.eq(self.breach == "the payload changed: ID")
                    with m.If(self.m_axi_awready):
                        m.next = "data"
            with m.State("data"):
                m.d.comb += [
                    self.m_axi_wvalid.eq(1),
                    self.m_axi_wstrb.eq(0x5A),
                    self.m_axi_wdata.eq(0x0123456789ABCDEF),
                    self.m_axi_wlast.eq(self.breach != "wlast = 0"),
                ]
                if self.breach == "the payload changed on W":
                    m.d.sync += response.eq(response + 1)
                    m.d.comb += self.m_axi_wdata.eq(response)

    def _offer(self, m: Module, address: Any) -> None:
        beyond = self.breach == "cross 4 KiB"
        m.d.comb += [
            self.m_axi_awvalid.eq(1),
            self.m_axi_awaddr.eq(address + (4088 if beyond else 0) + (self.breach == "multiple")),
            self.m_axi_awlen.eq(int(beyond)),
            self.m_axi_awsize.eq(2 if self.breach == "size = 2" else 3),
            self.m_axi_awburst.eq(2 if self.breach == "burst = 2" else 1),
        ]


@pytest.mark.parametrize(
    "breach",
    [
        "valid fell",
        "the payload changed on W",
        "cross 4 KiB",
        *(
            pytest.param(breach, marks=pytest.mark.soak)
            for breach in (
                "the payload changed",
                "the payload changed: ID",
                "size = 2",
                "burst = 2",
                "multiple",
                "wlast = 0",
            )
        ),
    ],
)
def test_broken_rules_have_the_same_words(breach: str) -> None:
    def run(simulation: Simulation) -> tuple[str, str]:
        simulation.write_register(SOURCE, MEMORY_BASE)
        simulation.write_register(GO, 1)
        with pytest.raises(
            AxiProtocolError, match=breach.partition(" on ")[0].partition(":")[0]
        ) as broken:
            simulation.wait_interrupt(1_000)
        with pytest.raises(WeftError) as after:
            simulation.read_register(0)
        return str(broken.value), str(after.value)

    dram = DramParameters(stall_aw=200, stall_w=200, seed=3)
    both(lambda engine: simulate_copier(engine, Rude, breach=breach, dram=dram), run)


@pytest.mark.parametrize(
    ("name", "size", "observed"),
    [
        ("tiny", 20, False),
        pytest.param("tiny", 64, True, marks=pytest.mark.soak),
        pytest.param("datamaestro", 64, True, marks=pytest.mark.soak),
    ],
)
def test_a_product_s_figures_are_the_same(name: str, size: int, observed: bool) -> None:
    """Every counter, and every change of the trace where it is observed."""
    config = load_config(name)

    def run(simulation: Simulation) -> Any:
        device = Device(simulation, config)
        a, b = device.allocate((size, size), np.int8), device.allocate((size, size), np.int8)
        out = device.allocate((size, size), np.int32)
        a[:], b[:] = 3, -5
        report = device.gemm(a, b, out=out)
        changes = list(simulation.observed()) if observed else []
        return report, device.counters(), device.array_counters(), changes

    both(
        lambda engine: open_simulation(config, engine, memory_bytes=1 << 20, observed=observed), run
    )


class Watched(Copier):
    """Shows on ``trace`` what it does with a burst, in so many bits."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        count = Signal(7)
        m.d.sync += count.eq(count + (self.m_axi_rvalid | self.m_axi_wvalid))
        m.d.comb += self.trace.eq(Cat(self.irq, self.m_axi_wready, Const(0, 60), count, ~count))
        return m


@pytest.mark.parametrize(
    "trace_bits", [70, *(pytest.param(bits, marks=pytest.mark.soak) for bits in (1, 40, 200))]
)
def test_observed_changes_are_the_same(trace_bits: int) -> None:
    def run(simulation: Simulation) -> list[tuple[int, int]]:
        assert list(simulation.observed()) == []
        simulation.memory[:64] = 1
        for register, value in ((SOURCE, 0), (TARGET, 0x100)):
            simulation.write_register(register, MEMORY_BASE + value)
        simulation.write_register(LENGTH, 9)
        simulation.write_register(GO, 1)
        assert simulation.wait_interrupt(10_000)
        changes = list(simulation.observed())
        simulation.write_register(CLEAR, 1)
        simulation.close()
        assert list(simulation.observed())[: len(changes)] == changes
        return list(simulation.observed())

    changes = both(
        lambda engine: simulate_copier(engine, Watched, trace_bits=trace_bits, observed=True), run
    )
    cycles, values = zip(*changes, strict=True)
    assert cycles[0] == 0
    assert list(cycles) == sorted(set(cycles))
    assert all(before != after for before, after in pairwise(values))
    assert values[-1] & 1 == 0
    assert max(values).bit_length() == {1: 1, 40: 2, 70: 70, 200: 76}[trace_bits]


def test_a_design_without_a_trace_is_not_observed() -> None:
    with pytest.raises(SimulationError, match="copier has no output to observe"):
        simulate_copier("verilator", observed=True)
    with simulate_copier("verilator") as simulation:
        with pytest.raises(SimulationError, match="without observed=True"):
            simulation.observed()
