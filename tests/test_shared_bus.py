"""A system whose AXI port two channels of each direction share: driver, RTL and DRAM together."""

import dataclasses
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from support.engines import needs_compiler
from support.pairs import TINY, doubled
from weft.engines import open_simulation
from weft.hw.config import AcceleratorConfig
from weft.hw.top import Top
from weft.sim.dram import DramParameters
from weft.sim.simulation import Simulation
from weft.sw.blocked import contiguous
from weft.sw.descriptor import BufferDescriptor
from weft.sw.device import Device

assert TINY.dma is not None
BEAT = TINY.dma.data_bytes


class Pairs:
    """Transfers over either pair: written first, then begun at once, in that order."""

    def __init__(self, simulation: Simulation, config: AcceleratorConfig) -> None:
        self.device = Device(simulation, config)
        self.config = config
        self.written: list[tuple[str, int]] = []
        self.tasks = dict.fromkeys((mover.name for mover in config.movers), 0)

    def write(self, dram: str, array: Any, place: int) -> None:
        """A run for each row of `array`; of each row's parts, the first one."""
        scratchpad = self.config.mover(self.config.mover(dram).bind)
        rows, _, row = array.shape
        stride = array.strides[0]
        walk = contiguous(self.config.memory, scratchpad, base=place, length=rows * row)
        run = BufferDescriptor(
            base=array.device_address, bounds=(rows,), strides=(stride,), run_length=row
        )
        for mover, descriptor in ((dram, run), (scratchpad.name, walk)):
            slot = self.tasks[mover] % 4
            self.device.write_descriptor(mover, slot, descriptor)
            self.written.append((mover, slot))
            self.tasks[mover] += 1

    def begin(self) -> None:
        for mover, slot in self.written:
            self.device.push(mover, slot, interrupt=True)
        self.written.clear()

    def wait(self, *movers: str) -> None:
        """Until everything written for `movers` has been moved."""
        self.begin()
        for mover in movers:
            self.device.wait(mover, self.tasks[mover], timeout=50_000)


def transfers(simulation: Simulation, seed: int, rounds: int) -> list[int]:
    """In every round both pairs send at once, then both receive, each what the other one sent."""
    pick = random.Random(seed)
    pairs = Pairs(simulation, doubled())
    events = []
    for number in range(rounds):
        moves = []
        for pair in range(2):
            rows, row = pick.randint(1, 12), BEAT * pick.randint(1, 5)
            there, back = (
                pairs.device.allocate((rows, pick.randint(1, 2), row), np.uint8) for _ in range(2)
            )
            there[:] = np.random.default_rng([seed, number, pair]).integers(0, 256, there.shape)
            moves.append((there, back, 0x1000 * pair + 0x400 * (number % 3)))
        for pair, (there, _, place) in enumerate(moves):
            pairs.write(f"MM2S{pair}", there, place)
        pairs.wait("Y", "Y1")
        for pair, (_, back, place) in enumerate(reversed(moves)):
            pairs.write(f"S2MM{pair}", back, place)
        pairs.wait("S2MM0", "S2MM1")
        for there, back, _ in moves:
            np.testing.assert_array_equal(back[:, 0], there[:, 0])
            assert not back[:, 1:].any()
        events.append(simulation.cycles)
    return events


@pytest.mark.parametrize(
    ("channels", "programs", "bits"),
    [(1, 0, 1), (1, 1, 1), (2, 0, 1), (2, 1, 2), (3, 0, 2), (3, 1, 2), (4, 1, 3)],
)
def test_ids_are_as_wide_as_the_channels_need(channels: int, programs: int, bits: int) -> None:
    config = doubled()
    movers = [config.mover(name) for name in ("X", "Y", "MM2S0", "S2MM0")]
    for number in range(1, channels):
        names = {mover.name: f"{mover.name}_{number}" for mover in movers[:4]}
        for mover in movers[:4]:
            movers.append(
                dataclasses.replace(
                    mover,
                    name=names[mover.name],
                    bind=names[mover.bind],
                    shares_ports_with=names.get(mover.shares_ports_with, ""),
                )
            )
    sequencer = config.sequencer if programs else None
    top = Top(dataclasses.replace(config, movers=tuple(movers), sequencer=sequencer))
    for channel in ("ar", "aw", "r", "b"):
        assert len(getattr(top, f"m_axi_{channel}id")) == bits


DRAMS = [
    DramParameters(read_latency=0, write_latency=0),
    DramParameters(read_latency=60, write_latency=25),
    DramParameters(stall_ar=120, stall_r=90, stall_aw=120, stall_w=90, stall_b=200, seed=7),
    DramParameters(read_outstanding=1, write_outstanding=1),
]


@pytest.fixture(scope="module")
def shared_simulation() -> Iterator[Any]:
    """One for all: it is built once, and its memory may change its ways between two tests."""
    with open_simulation(doubled(), "python", memory_bytes=1 << 16) as simulation:
        yield simulation


@pytest.fixture
def simulation(shared_simulation: Any) -> Any:
    shared_simulation.dram.parameters = DramParameters()
    return shared_simulation


@pytest.mark.parametrize(
    "dram", [*(pytest.param(dram, marks=pytest.mark.soak) for dram in DRAMS[:2]), *DRAMS[2:]]
)
def test_both_pairs_move_their_own_bytes(dram: DramParameters, simulation: Any) -> None:
    simulation.dram.parameters = dram
    transfers(simulation, seed=DRAMS.index(dram), rounds=1)


@pytest.mark.soak
@needs_compiler
@pytest.mark.parametrize("dram", DRAMS)
def test_both_engines_share_alike(dram: DramParameters) -> None:
    ends = []
    for engine in ("python", "verilator"):
        with open_simulation(doubled(), engine, memory_bytes=1 << 16, dram=dram) as simulation:
            ends.append((transfers(simulation, seed=5, rounds=12), simulation.memory.tobytes()))
    assert ends[0] == ends[1]


@contextmanager
def logged(simulation: Any) -> Iterator[dict[str, list[tuple[int, int]]]]:
    """Cycle and ID of what is taken on AR, R, AW and W meanwhile; W has no ID."""
    dram = simulation.dram
    log: dict[str, list[tuple[int, int]]] = {name: [] for name in ("ar", "r", "aw", "w")}

    def step(inputs: Any) -> Any:
        outputs, now = dram.outputs, dram.cycle
        for name, taken, number in (
            ("ar", inputs.arvalid and outputs.arready, inputs.arid),
            ("r", outputs.rvalid and inputs.rready, outputs.rid),
            ("aw", inputs.awvalid and outputs.awready, inputs.awid),
            ("w", inputs.wvalid and outputs.wready, 0),
        ):
            if taken:
                log[name].append((now, number))
        return type(dram).step(dram, inputs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dram, "step", step)
        yield log


def busy_share(events: list[tuple[int, int]]) -> float:
    """Beats a cycle from the first to the last."""
    cycles = [cycle for cycle, _ in events]
    return len(cycles) / (cycles[-1] - cycles[0] + 1)


@pytest.mark.parametrize("shape", [(48, 2, 16), pytest.param((6, 2, 128), marks=pytest.mark.soak)])
def test_two_channels_fill_the_port(shape: tuple[int, ...], simulation: Any) -> None:
    """A beat in every cycle while either moves, though every burst has one beat."""
    # One-beat bursts of one channel alone, as at the beginning, would not cover a long latency.
    simulation.dram.parameters = DramParameters(read_latency=5)
    pairs = Pairs(simulation, doubled())
    with logged(simulation) as log:
        for kind, done in (("MM2S", ["Y", "Y1"]), ("S2MM", ["S2MM0", "S2MM1"])):
            for pair in range(2):
                array = pairs.device.allocate(shape, np.uint8)
                pairs.write(f"{kind}{pair}", array, 0x1000 * pair)
            pairs.wait(*done)
    for name in ("r", "w"):
        assert len(log[name]) == 96
        assert busy_share(log[name][10:-10]) == 1
    for name in ("ar", "aw"):
        numbers = [number for _, number in log[name]]
        assert numbers.count(0) == numbers.count(1)


@pytest.mark.parametrize(
    ("kind", "channel"), [("MM2S", "ar"), ("S2MM", "aw")], ids=["reads", "writes"]
)
def test_the_low_class_gives_way_and_is_not_starved(
    kind: str, channel: str, simulation: Any
) -> None:
    """On a port that takes few bursts, it has one after every `aging` of the high class."""
    simulation.dram.parameters = DramParameters(read_outstanding=2, write_outstanding=2)
    pairs = Pairs(simulation, doubled())
    with logged(simulation) as log:
        for pair in (1, 0):
            array = pairs.device.allocate((48, 2, BEAT), np.uint8)
            pairs.write(f"{kind}{pair}", array, 0x1000 * pair)
        pairs.wait(f"{kind}0", f"{kind}1")
    numbers = [number for _, number in log[channel]]
    assert numbers.count(0) == numbers.count(1) == 48
    first, last = numbers.index(0), len(numbers) - numbers[::-1].index(0)
    # Bursts of the high class between two of the low one.
    runs = [len(run) for run in "".join(map(str, numbers[first:last])).split("1")]
    assert len(runs) > 2
    assert TINY.dma is not None
    assert set(runs[1:-1]) == {TINY.dma.aging}


@pytest.mark.soak
def test_a_product_while_the_other_pair_streams() -> None:
    config = doubled(array=True)
    with open_simulation(config, "python", memory_bytes=1 << 17) as simulation:
        pairs = Pairs(simulation, config)
        device = pairs.device
        random = np.random.default_rng(0)
        a, b = device.allocate((12, 16), np.int8), device.allocate((16, 8), np.int8)
        out = device.allocate((12, 8), np.int32)
        for operand in (a, b):
            operand[:] = random.integers(-128, 128, operand.shape)
        # The products' tiles lie at the beginning of the scratchpad, this at its end.
        place = config.memory.bytes - 64 * BEAT
        there, back = (device.allocate((64, 2, BEAT), np.uint8) for _ in range(2))
        there[:] = random.integers(0, 256, there.shape)
        pairs.write("MM2S1", there, place)
        pairs.begin()
        device.gemm(a, b, out=out)
        pairs.wait("Y1")
        pairs.write("S2MM1", back, place)
        pairs.wait("S2MM1")
        np.testing.assert_array_equal(out, a.astype(np.int32) @ b.astype(np.int32))
        np.testing.assert_array_equal(back[:, 0], there[:, 0])


def test_a_reset_in_mid_flight_drains_both_channels(simulation: Any) -> None:
    simulation.dram.parameters = DramParameters(
        read_latency=40, write_latency=40, stall_ar=100, stall_w=100, seed=1
    )
    pairs = Pairs(simulation, doubled())
    array = pairs.device.allocate((16, 1, 32), np.uint8)
    for pair in range(2):
        pairs.write(f"MM2S{pair}", array, 0x1000 * pair)
        pairs.write(f"S2MM{pair}", array, 0x2000 + 0x800 * pair)
    pairs.begin()
    with logged(simulation) as log:
        pairs.device.reset()
    assert log["r"]
    with logged(simulation) as log:
        simulation.read_register(0)
    assert not any(log.values())
    transfers(simulation, seed=9, rounds=1)
