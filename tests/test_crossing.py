"""Every path of the switch: random walks from any source to any sinks, against their meaning."""

import random
from typing import Any

import numpy as np
import pytest

import weft
from support.crossing import CROSSING, World, transfers
from support.engines import needs_compiler
from weft.sim.dram import DramParameters
from weft.sw.blocked import contiguous
from weft.sw.descriptor import BufferDescriptor
from weft.sw.device import Device

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
            fields = by_bank | vars(walk) | by_bank if name in "XY" else run
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


def test_random_transfers() -> None:
    play("python", 0, 10)


@needs_compiler
@pytest.mark.parametrize(
    "seed", [*range(6), *(pytest.param(s, marks=pytest.mark.soak) for s in range(6, 1000))]
)
def test_random_transfers_on_the_compiled_engine(seed: int) -> None:
    play("verilator", seed, 100)
