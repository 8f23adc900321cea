"""Matrix products as programs of the sequencer, on the gateware."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import weft
from support.engines import needs_compiler
from weft.config import load_config
from weft.engines import dram_parameters
from weft.sim.amaranth_engine import AmaranthSimulation
from weft.sim.dram import DramParameters, ErrorRange
from weft.sim.trace import timeline
from weft.sw.allocator import Allocator
from weft.sw.device import Device
from weft.sw.errors import DeviceError, DeviceTimeout

TINY = load_config("tiny")
SMALL = replace(TINY, name="small", memory=replace(TINY.memory, rows=16))
"""A scratchpad of 1 KiB: a product of a few cycles has several tiles."""
BY_HOST = replace(SMALL, sequencer=None)
SHAPE = (9, 9, 12)
SOAK = pytest.mark.soak


class Product:
    """Operands on a device, and what must come of them."""

    def __init__(self, dev: Any, shape: tuple[int, int, int] = SHAPE, c: bool = False) -> None:
        (M, N, K), random = shape, np.random.default_rng(1)
        self.dev = dev
        self.a, self.b = dev.allocate((M, K), np.int8), dev.allocate((K, N), np.int8)
        self.out = dev.allocate((M, N), np.int32)
        self.a[:] = random.integers(-128, 128, (M, K))
        self.b[:] = random.integers(-128, 128, (K, N))
        self.expected = self.a.astype(np.int32) @ self.b.astype(np.int32)
        self.c = None
        if c:
            self.c = dev.allocate((M, N), np.int32)
            self.c[:] = random.integers(-1000, 1000, (M, N))
            self.expected = self.expected + np.asarray(self.c)

    def run(self, **options: Any) -> Any:
        self.out[:] = 0
        report = self.dev.gemm(self.a, self.b, self.out, self.c, **options)
        np.testing.assert_array_equal(self.out, self.expected)
        return report


def observed(config: Any, **dram: Any) -> tuple[AmaranthSimulation, Device]:
    """A device whose trace and tasks are recorded."""
    simulation = AmaranthSimulation(
        config, memory_bytes=1 << 16, dram=dram_parameters(**dram), observed=True
    )
    device = Device(simulation, config)
    device.program.log = []
    return simulation, device


@pytest.fixture(scope="module")
def device() -> Any:
    return weft.simulate(SMALL, "python")


@pytest.fixture
def dev(device: Any) -> Any:
    """The device as new; its memory may change its ways."""
    device.transport.dram.parameters = DramParameters()
    device.reset()
    device.allocator = Allocator(device.transport.memory, device.transport.memory_base)
    return device


@pytest.mark.soak
@pytest.mark.parametrize("with_c", [False, True])
def test_both_ways_of_playing_do_the_same(with_c: bool) -> None:
    """In bytes, tasks and names: of the log, and of what the timeline shows of tasks."""
    reports, names, retired, counts = [], [], [], []
    for config in (SMALL, BY_HOST):
        simulation, dev = observed(config, latency=0)
        reports.append(Product(dev, (20, 9, 12), with_c).run())
        assert dev.locks.values == [0] * config.locks
        assert dev.program.log is not None
        events = timeline(
            config, simulation.observed(), cycles=simulation.cycles, tasks=dev.program.log
        )["traceEvents"]
        tracks = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
        # A task without rows, which only releases a lock, is an instant.
        shown = [(tracks[e["tid"]], e) for e in events if e["ph"] in "Xi"]
        names.append(
            {
                mover.name: [e["name"] for track, e in shown if track == f"{mover.name} tasks"]
                for mover in config.movers
            }
        )
        logged = {
            m.name: [t.label for t in dev.program.log if t.mover == m.name] for m in config.movers
        }
        assert logged == names[-1]
        retired.append([dev.registers.read(m.name, "RETIRED") for m in config.movers])
        counts.append({name: c["accesses"] for name, c in dev.counters().items() if name in "ABCD"})
    assert [report.via for report in reports] == ["program", "registers"]
    assert reports[0] == replace(reports[1], via="program", cycles_total=reports[0].cycles_total)
    assert reports[0].tiles > 2
    for pair in (names, retired, counts):
        assert pair[0] == pair[1]
    assert names[0]["MM2S0"][0] == "load A 0,0"


def test_the_cycles_are_those_from_the_doorbell_to_the_end(dev: Any) -> None:
    product = Product(dev, (3, 6, 7))
    buffers, copies = dev.buffers, dev.stats.host_copies
    first = dev.transport.cycles
    reports = []
    for _ in range(2):
        dev.reset()  # arbiters go on where the run before has left them
        reports.append(product.run())
    assert dev.buffers == buffers
    assert dev.stats.host_copies == copies
    # Whatever the host does before and after is not counted, and does not count.
    assert reports[0].cycles_total == reports[1].cycles_total
    assert 2 * reports[0].cycles_total < dev.transport.cycles - first
    assert dev.registers.read_wide("sequencer", "CYCLES") == reports[1].cycles_total


@pytest.mark.parametrize(
    "engine", [pytest.param("verilator", marks=needs_compiler), pytest.param("python", marks=SOAK)]
)
def test_between_chained_tiles_there_is_no_bubble(engine: str) -> None:
    dev: Any = weft.simulate("tiny", engine)
    report = Product(dev, (64, 64, 128)).run()
    assert report.tiles == 16
    counters, array = dev.array_counters(), TINY.array
    assert counters["array_steps"] == report.cycles_ideal == 8192
    assert counters["array_bubbles"] == 0
    # One stretch: the results of one tile are on their way out when the steps of the next begin.
    assert counters["array_active"] == 8192 + 2 * array.mu + array.nu + 1


@needs_compiler
@pytest.mark.parametrize(("with_c", "more"), [(False, 10), (True, 13)])
def test_the_array_s_movers_begin_when_all_is_loaded(with_c: bool, more: int) -> None:
    """Whoever began before would only wait, and the first address counts."""
    dev: Any = weft.simulate("tiny", "verilator", latency=200)
    assert Product(dev, (16, 16, 32), with_c).run().tiles == 1
    counters = dev.array_counters()
    span = counters["span_last"] - counters["span_first"] + 1
    assert span == counters["array_active"] + more


def test_a_fault_in_the_middle_names_mover_bd_and_address(dev: Any) -> None:
    product = Product(dev)
    # In the last row of A, which the last row of tiles needs.
    hit = product.a[-1:, -1].device_address
    bad = ErrorRange(start=hit, stop=hit + 1)
    dev.transport.dram.parameters = DramParameters(read_errors=(bad,))
    buffers = dev.buffers
    with pytest.raises(DeviceError, match=r"mover MM2S0, BD \d+, .* a read with SLVERR") as caught:
        product.run()
    assert hit - 4096 < caught.value.address <= hit
    assert dev.buffers == buffers
    assert 0 < dev.registers.read("D", "RETIRED") < dev.program.pushed("D")
    dev.reset()
    Product(dev, (3, 6, 7)).run()


def test_a_timeout_in_the_middle_shows_every_mover(dev: Any) -> None:
    dev.transport.dram.parameters = DramParameters(read_latency=500)
    product = Product(dev, (3, 6, 7))
    buffers = dev.buffers
    with pytest.raises(DeviceTimeout, match=r"program is at word \d+ after 200 cycles; ") as caught:
        product.run(timeout=200)
    for mover in SMALL.movers:
        assert f"{mover.name}: 0 of {dev.program.pushed(mover.name)} tasks" in str(caught.value)
    assert caught.value.__notes__[0].startswith("that is command ")
    # It may still run, so that nobody else gets its memory.
    assert len(dev.buffers) == len(buffers) + 1
    dev.reset()
    assert dev.buffers == buffers
    dev.transport.dram.parameters = DramParameters()
    product.run()


def test_tasks_before_it_do_not_count_for_its_waits(dev: Any) -> None:
    product = Product(dev, (3, 6, 7))
    data, back = dev.allocate(200, np.uint8), dev.allocate(200, np.uint8)
    data[:] = np.arange(200)
    dev.send(data, to=dev.scratchpad(0)).wait()
    parts = [slice(first, first + 40) for first in range(0, 200, 40)]
    for part in parts:
        dev.recv(back[part], from_=dev.scratchpad(part.start))
    product.run()
    np.testing.assert_array_equal(back, data)
