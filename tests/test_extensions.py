"""Extensions, channel enable and byte mask in a system, from the driver to memory."""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import weft
from weft.hw.config import AcceleratorConfig, DmaConfig, MemoryConfig, MoverConfig
from weft.hw.mover.descriptor import Descriptor
from weft.hw.registry import EXTENSIONS
from weft.sim.golden.extensions import extended
from weft.sim.golden.operators import fill
from weft.sim.golden.tasks import Beat, ModelScratchpad, Walk, decode
from weft.sw.blocked import consecutive
from weft.sw.descriptor import BufferDescriptor
from weft.sw.operators import add_constant, elementwise_add, repeater

BEAT = 16
CHAIN = ("transposer", "repeater", "max_pool", "add_constant", "elementwise_add", "broadcaster")


def mover(name: str, kind: str, **options: Any) -> MoverConfig:
    return MoverConfig(name=name, kind=kind, bind="switch", **options)


EXTENDED = AcceleratorConfig(
    name="extended",
    memory=MemoryConfig(banks=4, bank_bits=32, rows=128, groups=(4, 1)),
    movers=(
        mover(
            "X",
            "read",
            spatial_bounds=(2, 2),
            guards=1,
            extensions=(*CHAIN, "xor"),
            channel_enable=True,
        ),
        mover("Y", "write", spatial_bounds=(4,), channel_enable=True, byte_mask=True),
        mover("MM2S0", "mm2s", guards=1),
        mover("S2MM0", "s2mm", guards=1),
    ),
    dma=DmaConfig(data_bits=8 * BEAT, read_buffer=32, write_buffer=32),
)
SPECS = {m.name: Descriptor(EXTENDED, m) for m in EXTENDED.movers}


def random_walk(toss: random.Random, **options: Any) -> BufferDescriptor:
    """Rows anywhere in the scratchpad."""
    bounds = tuple(toss.choice([1, 2, 3]) for _ in range(3))
    strides = tuple(toss.choice([0, 4, 16, 32]) for _ in bounds)
    last = sum((b - 1) * s for b, s in zip(bounds, strides, strict=True))
    base = toss.randrange(0, EXTENDED.memory.bytes - last - BEAT + 1, 4)
    return BufferDescriptor(
        base=base, bounds=bounds, strides=strides, mark_level=toss.randrange(3), **options
    )


def random_parameters(toss: random.Random, names: tuple[str, ...]) -> dict[str, int]:
    words = {
        "repeater": repeater(toss.randint(1, 3), each=toss.random() < 0.5),
        "add_constant": add_constant(toss.randint(-999, 999), toss.choice([1, 2, 4, 8])),
        "elementwise_add": elementwise_add(toss.choice([1, 2, 4, 8])),
        "xor": toss.getrandbits(32),
    }
    return {name: words[name] for name in names if name in words}


def check(seed: int, engine: str) -> None:
    """Random reads of what lies there, then random writes to it, several tasks in flight."""
    toss = random.Random(seed)
    dev = weft.simulate(EXTENDED, engine, latency=toss.choice([0, 20]))
    scratchpad, size = ModelScratchpad(EXTENDED.memory), EXTENDED.memory.bytes
    content = dev.allocate(size, np.uint8)
    content[:] = np.frombuffer(toss.randbytes(size), np.uint8)
    whole = BufferDescriptor(
        base=0,
        bounds=(size // BEAT,),
        strides=(BEAT,),
        spatial_strides=consecutive(EXTENDED.memory, EXTENDED.mover("Y")),
        route=("MM2S0",),
    )

    def push(name: str, walk: BufferDescriptor) -> None:
        dev.program.wait_room(name)
        dev.program.push(name, dev.program.place(name, walk))

    def run_of(data: Any, name: str) -> BufferDescriptor:
        ends = {"MM2S0": ("Y",), "S2MM0": ("X",)}
        return BufferDescriptor(
            base=data.device_address,
            bounds=(1,),
            strides=(0,),
            run_length=data.size,
            route=ends[name],
        )

    def written(walk: BufferDescriptor, data: Any) -> None:
        found = decode(SPECS["Y"], walk.encode(SPECS["Y"]))
        assert isinstance(found, Walk)
        for row in range(len(found.addresses)):
            scratchpad.write(found, row, data[row * BEAT :][:BEAT])

    push("MM2S0", run_of(content, "MM2S0"))
    push("Y", whole)
    written(whole, np.asarray(content))
    for _ in range(4):
        # Writes with masks; what two rows of one both write is left to no race of channels.
        walk = replace(
            random_walk(toss),
            spatial_strides=(4,),
            channels=toss.getrandbits(4),
            byte_mask=toss.getrandbits(4),
            route=("MM2S0",),
            strides=(16, 48, 144),
            base=toss.randrange(0, 512, 16),
        )
        rows = int(np.prod(walk.bounds))
        data = dev.allocate(rows * BEAT, np.uint8)
        data[:] = np.frombuffer(toss.randbytes(rows * BEAT), np.uint8)
        push("MM2S0", run_of(data, "MM2S0"))
        push("Y", walk)
        written(walk, np.asarray(data))
    dev.wait("Y", dev.program.pushed("Y"))
    results = []
    for _ in range(12):
        names = tuple(name for name in (*CHAIN, "xor") if toss.random() < 0.4)
        walk = replace(
            random_walk(toss, pad=toss.getrandbits(8)),
            spatial_strides=(4, 8),
            channels=toss.getrandbits(4),
            extensions=names,
            parameters=random_parameters(toss, names),
            route=("S2MM0",),
        )
        found = decode(SPECS["X"], walk.encode(SPECS["X"]))
        assert isinstance(found, Walk)
        fetched, last = scratchpad.read(found), len(found.addresses) - 1
        beats = [
            Beat(row, bool(mark), index == last)
            for index, (row, mark) in enumerate(zip(fetched, found.marks, strict=True))
        ]
        through = [(name, word) for name, word in found.extensions if EXTENSIONS[name].beats]
        given = np.concatenate([beat.data for beat in extended(beats, through, 2)])
        if "xor" in names:
            given = given ^ np.frombuffer(fill(walk.parameters["xor"], given.size), np.uint8)
        out = dev.allocate(given.size, np.uint8)
        push("X", walk)
        push("S2MM0", run_of(out, "S2MM0"))
        results.append((out, given))
    dev.wait("S2MM0", dev.program.pushed("S2MM0"))
    for out, given in results:
        np.testing.assert_array_equal(out, given)


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=pytest.mark.soak if seed else ()) for seed in range(10)]
)
def test_random_walks_through_every_extension(seed: int) -> None:
    check(seed, "python")
