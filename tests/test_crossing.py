"""Every path of the switch: random walks from any source to any sinks, against their meaning."""

import random
from typing import Any

import numpy as np
import pytest

import weft
from support.crossing import CROSSING, World, transfers
from support.engines import FASTEST
from weft.hw.mover.monitor import StallCause
from weft.sim.dram import DramParameters
from weft.sim.golden.operators import fill
from weft.sw.blocked import contiguous
from weft.sw.descriptor import BufferDescriptor
from weft.sw.device import Device
from weft.sw.errors import DeviceError, DeviceTimeout, MappingError, SequenceError
from weft.sw.locks import Lock
from weft.sw.sequence import RuntimeSequence

BATCH = 6
MEMORY_BYTES = 1 << 18
SCRATCHPAD = CROSSING.memory.bytes
HOME = 64 << 10
"""Bytes of DRAM that the test itself moves the scratchpad through; transfers use what follows."""


def any_dram(toss: random.Random) -> DramParameters:
    """Latency 0 to 200, and any backpressure up to 0.9."""
    stalls = {
        f"stall_{channel}": toss.choice([0, toss.randrange(231)])
        for channel in ("ar", "r", "aw", "w", "b")
    }
    return DramParameters(
        read_latency=toss.randrange(201),
        write_latency=toss.randrange(201),
        seed=toss.getrandbits(32),
        **stalls,
    )


class Player:
    """A device, and what its memories must hold."""

    def __init__(self, device: Device, toss: random.Random) -> None:
        self.device = device
        self.toss = toss
        self.world = World(CROSSING, device.transport.memory_base, device.transport.memory)
        self.descriptors = 0
        device.transport.memory[:] = np.frombuffer(toss.randbytes(MEMORY_BYTES), np.uint8)
        self.whole(inwards=True)
        self.world.scratchpad[:] = device.transport.memory[:SCRATCHPAD]

    def whole(self, *, inwards: bool) -> None:
        """The scratchpad, bank after bank, from or to the start of DRAM."""
        ends = ("MM2S0", "Y") if inwards else ("X", "S2MM0")
        walk = contiguous(CROSSING.memory, CROSSING.mover("X"), base=0, length=SCRATCHPAD)
        by_bank = {"mode": CROSSING.memory.groups.index(1)}
        run = {"run_length": SCRATCHPAD, "base": self.world.base, "bounds": (1,), "strides": (0,)}
        for name, other in (ends, ends[::-1]):
            fields = vars(walk) | by_bank if name in "XY" else run
            self.push(name, BufferDescriptor(**fields | {"route": (other,)}))
        self.finish()

    def push(self, mover: str, descriptor: BufferDescriptor) -> None:
        program = self.device.program
        program.wait_room(mover)
        program.push(mover, program.place(mover, descriptor), interrupt=True)
        self.descriptors += 1

    def finish(self) -> None:
        for mover in CROSSING.movers:
            self.device.wait(mover.name, self.device.program.pushed(mover.name))

    def batch(self) -> None:
        memory = self.device.transport.memory
        made = transfers(CROSSING, self.toss, self.world.base + HOME, BATCH)
        self.world.dram = memory.copy()
        for transfer in made:
            self.world.move(transfer)
            for step in transfer.steps:
                self.push(*step)
        self.finish()
        np.testing.assert_array_equal(memory, self.world.dram)
        self.whole(inwards=False)
        np.testing.assert_array_equal(memory[:SCRATCHPAD], self.world.scratchpad)


def play(engine: str, seed: int, descriptors: int) -> Player:
    toss = random.Random(seed)
    device: Any = weft.simulate(CROSSING, engine, memory_bytes=MEMORY_BYTES, dram=any_dram(toss))
    player = Player(device, toss)
    while player.descriptors < descriptors:
        player.batch()
    return player


@pytest.mark.soak
def test_random_transfers() -> None:
    play("python", 0, 40)


@pytest.mark.parametrize(
    "seed", [*range(6), *(pytest.param(s, marks=pytest.mark.soak) for s in range(6, 1000))]
)
def test_random_transfers_on_the_fastest_engine(seed: int) -> None:
    play(FASTEST, seed, 100 if FASTEST == "verilator" else 4)


def test_copies_on_every_path() -> None:
    """What a host asks for as a copy: transposed within DRAM, through the scratchpad, and back."""
    dev: Any = weft.simulate(CROSSING, FASTEST, memory_bytes=MEMORY_BYTES)
    a, b = dev.allocate((12, 16), np.int16), dev.allocate((16, 12), np.int16)
    out = dev.allocate((16, 12), np.int16)
    a[:] = np.arange(a.size).reshape(a.shape)
    with RuntimeSequence(dev) as seq:
        there, beside = seq.lock("there"), seq.lock("beside")
        seq.memcpy("turned", wait=True)(a.T, b)  # no lock keeps the next source from reading b
        seq.memcpy(there, 0, 1)(b, dev.scratchpad(0x100))
        seq.memcpy(beside, there.acquire_ge(1), 1)(
            dev.scratchpad(0x100), dev.scratchpad(0x800), nbytes=a.nbytes
        )
        seq.memcpy("back", beside.acquire_ge(1), 0)(dev.scratchpad(0x800), out)
    for via in ("registers", "program"):
        b[:] = out[:] = 0
        seq.run(via=via)
        np.testing.assert_array_equal(out, a.T)
    with pytest.raises(SequenceError, match="384 bytes do not fill 192"):
        seq.memcpy("turned")(a, b[:8])
    with pytest.raises(SequenceError, match="nbytes = 12: must be a positive multiple of the 8"):
        seq.memcpy("turned")(dev.scratchpad(0), dev.scratchpad(64), nbytes=12)


def test_a_padded_image_without_a_padded_copy() -> None:
    """Rows and columns around an image, as a convolution wants them: made by the reader's BD."""
    dev: Any = weft.simulate(CROSSING, FASTEST, memory_bytes=MEMORY_BYTES)
    image, out = dev.allocate((5, 6, 3), np.int8), dev.allocate((8, 9, 3), np.int8)
    image[:] = np.arange(image.size).reshape(image.shape)
    padding = ((1, 2), (2, 1), (0, 0))
    with RuntimeSequence(dev) as seq:
        seq.dma_memcpy_nd("MM2S0", image, route=("S2MM0",), padding=padding, pad=0x80)
        seq.dma_wait(seq.dma_memcpy_nd("S2MM0", out, route=("MM2S0",)))
    seq.run()
    np.testing.assert_array_equal(out, np.pad(image, padding, constant_values=-128))
    assert dev.registers.read("MM2S0", "ACCESSES") <= 5 * 4  # beats: what pads is not read
    # And back: what the target has no place for is dropped.
    image[:] = 0
    with RuntimeSequence(dev) as back:
        back.dma_memcpy_nd("MM2S0", out, route=("S2MM0",))
        end = back.dma_memcpy_nd("S2MM0", image, route=("MM2S0",), padding=padding)
        back.dma_wait(end)
    back.run()
    np.testing.assert_array_equal(image.reshape(-1), np.arange(image.size))


@pytest.mark.parametrize("pattern", [0x5A5A5A5A, 0x12345678])
def test_fill(pattern: int) -> None:
    dev: Any = weft.simulate(CROSSING, FASTEST, memory_bytes=MEMORY_BYTES)
    target, out = dev.allocate((6, 10), np.uint8), dev.allocate(42, np.uint8)
    with RuntimeSequence(dev) as seq:
        inner = seq.fill(target[:, 1:8], pattern)
        ready = seq.lock("ready")
        seq.fill(dev.scratchpad(0x40), pattern, 42, release=ready.release(1))
        seq.memcpy("out", ready.acquire_ge(1))(dev.scratchpad(0x40), out)
        seq.dma_wait(inner)
    seq.run()
    expected = np.frombuffer(fill(pattern, 42), np.uint8)
    np.testing.assert_array_equal(target[:, 1:8], expected.reshape(6, 7))
    assert not target[:, 0].any()
    assert not target[:, 8:].any()
    np.testing.assert_array_equal(out, expected)
    for mover in ("MM2S0", "MM2S1"):
        assert dev.registers.read(mover, "ACCESSES") == 0
    for wrong, text in (
        (lambda: seq.fill(out, 1 << 32), "pattern = 0x100000000: must be from 0 to 0xffffffff"),
        (lambda: seq.fill(dev.scratchpad(0), 0), "nbytes = None: says how much"),
        (lambda: seq.fill(out, 0, 7), "nbytes = 7: says how much"),
    ):
        with pytest.raises(SequenceError, match=text):
            wrong()


def test_a_source_and_a_sink_that_do_not_name_each_other() -> None:
    """Both wait, visibly, and the check says why before anything runs."""
    dev: Any = weft.simulate(CROSSING, FASTEST, memory_bytes=MEMORY_BYTES)
    a, b = dev.allocate(64, np.uint8), dev.allocate(64, np.uint8)
    seq = RuntimeSequence(dev, checked=False)
    seq.dma_memcpy_nd("MM2S0", a, route=("S2MM0",))
    end = seq.dma_memcpy_nd("S2MM0", b, route=("MM2S1",))
    seq.dma_wait(end)
    stuck = seq.check().errors[0]
    assert "S2MM0 (task 1, BD 0) waits for data from MM2S1; MM2S1 has no task" in stuck
    with pytest.raises(DeviceTimeout, match="waits for the mover at the other end") as caught:
        seq.run(timeout=500)
    assert str(caught.value).count("waits for the mover at the other end of its stream") == 2
    # Those whom they name come, and all go on.
    rest = RuntimeSequence(dev, checked=False)
    rest.dma_memcpy_nd("MM2S1", a, route=("S2MM0",))
    rest.dma_memcpy_nd("S2MM0", b, bd=2, route=("MM2S0",))
    rest.run()
    dev.wait("S2MM0", 2)
    dev.wait("MM2S1", 1)


def test_a_sink_that_waits_for_ever_holds_nobody_else_up() -> None:
    """Its source has read what it may buffer; the port, the switch and the sequencer go on."""
    dev: Any = weft.simulate(
        CROSSING, FASTEST, memory_bytes=MEMORY_BYTES, latency=40, backpressure=0.3, seed=1
    )
    gate = Lock(3, "gate")
    stuck, late = dev.allocate(4096, np.uint8), dev.allocate(4096, np.uint8)
    stuck[:] = np.arange(4096) % 251
    waiting = RuntimeSequence(dev, checked=False)
    waiting.dma_memcpy_nd("MM2S1", stuck, route=("S2MM1",))
    waiting.dma_memcpy_nd("S2MM1", late, route=("MM2S1",), acquire=gate.acquire_ge(1))
    waiting.run()
    a, out = dev.allocate(600, np.uint8), dev.allocate(600, np.uint8)
    with RuntimeSequence(dev) as busy:
        there, beside = busy.lock("there"), busy.lock("beside")
        busy.memcpy(there, 0, 1)(a, dev.scratchpad(0x100))
        busy.memcpy(beside, there.acquire_ge(1), 1)(
            dev.scratchpad(0x100), dev.scratchpad(0x800), nbytes=600
        )
        busy.memcpy("back", beside.acquire_ge(1), 0)(dev.scratchpad(0x800), out)
    for run in range(8):
        a[:] = np.random.default_rng(run).integers(0, 256, 600)
        busy.run(via=("registers", "program")[run % 2])
        np.testing.assert_array_equal(out, a)
        states = {state.mover.name: state for state in dev.program.diagnose()}
        assert (states["S2MM1"].lock, states["S2MM1"].retired) == (3, 0)
        assert states["MM2S1"].stall in (StallCause.SWITCH, StallCause.BLOCKED)
    assert not late.any()
    assert CROSSING.dma is not None
    assert dev.registers.read("MM2S1", "ACCESSES") <= CROSSING.dma.read_buffer + 8
    dev.locks.release(gate.release(1))
    dev.wait("S2MM1", 1)
    np.testing.assert_array_equal(late, stuck)


def test_a_mover_is_confined_to_its_windows() -> None:
    dev: Any = weft.simulate(CROSSING, FASTEST, memory_bytes=MEMORY_BYTES)
    a, b = dev.allocate(64, np.uint8), dev.allocate(3 * 4096, np.uint8)
    a[:] = range(64)
    page = -(-b.device_address // 4096) * 4096
    first = page - b.device_address
    dev.confine("S2MM0", [(page, 4096)])
    dev.confine("MM2S0", [(page + 4096, 4096), (a.device_address // 4096 * 4096, 4096)])
    for _ in range(2):  # a reset does not open them
        dev.reset()
        with RuntimeSequence(dev) as inside:
            inside.memcpy("t")(a, b[first + 4096 - 64 : first + 4096])
            inside.dma_wait("t")
        inside.run()
        np.testing.assert_array_equal(b[first + 4096 - 64 : first + 4096], a)
        with RuntimeSequence(dev) as across:
            across.memcpy("t")(a, b[first + 4096 - 32 : first + 4096 + 32])
            across.dma_wait("t")
        message = f"mover S2MM0, BD 0, address {page + 4096:#x}: an address lies outside the win"
        with pytest.raises(DeviceError, match=message):
            across.run()
        assert not b[first + 4096 :].any()
        b[:] = 0
    dev.reset()
    dev.confine("S2MM0", [])
    across.run()
    np.testing.assert_array_equal(b[first + 4096 - 32 : first + 4096 + 32], a)
    for mover, pieces, text in (
        ("X", [(0, 4096)], "'X' is not a DRAM mover"),
        ("MM2S0", [(0, 4096)] * 3, "3 pieces: MM2S0 has 2 windows"),
        ("MM2S0", [(100, 4096)], "4096 bytes at 0x64: must be whole pages of 4096"),
        ("MM2S0", [(0, 0)], "0 bytes at 0x0: must be whole pages"),
        ("MM2S0", [((1 << 64) - 4096, 8192)], "leave 64 address bits"),
    ):
        with pytest.raises(MappingError, match=text):
            dev.confine(mover, pieces)
