"""A system whose DMA movers all meet in the switch, and random transfers for it."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from support.switching import cut
from weft.hw.config import (
    SWITCH,
    AcceleratorConfig,
    DmaConfig,
    MemoryConfig,
    MoverConfig,
    SequencerConfig,
)
from weft.sim.golden.operators import add_constant as summed
from weft.sim.golden.operators import compared, fill
from weft.sim.golden.places import NOWHERE, places, scratchpad_bytes
from weft.sw.descriptor import BufferDescriptor
from weft.sw.guard import Guard
from weft.sw.operators import add_constant
from weft.sw.transfer import Step

__all__ = ["CROSSING", "Transfer", "World", "transfers"]

BEAT = 8
DRAM_REGION, SCRATCHPAD_REGION = 2048, 1024
LONGEST = 160


def _mover(name: str, kind: str, **options: Any) -> MoverConfig:
    options = {"loops": 3, "descriptors": 4, "queue_depth": 4} | options
    return MoverConfig(name=name, kind=kind, bind=SWITCH, **options)


CROSSING = AcceleratorConfig(
    name="crossing",
    memory=MemoryConfig(banks=4, bank_bits=32, rows=512, groups=(4, 2, 1)),
    movers=(
        _mover(
            "X",
            "read",
            spatial_bounds=(2,),
            shares_ports_with="Y",
            guards=1,
            extensions=("crc32c",),
        ),
        _mover("Y", "write", spatial_bounds=(2,), shares_ports_with="X", guards=1),
        _mover("P", "read", spatial_bounds=(2, 1), extensions=("add_constant",), loops=4),
        _mover("Q", "write", spatial_bounds=(2, 1), loops=4),
        _mover("MM2S0", "mm2s", guards=2, extensions=("crc32c",)),
        _mover("MM2S1", "mm2s", loops=5, guards=1, high_priority=False, extensions=("xor",)),
        _mover("MM2S2", "mm2s", extensions=("compare",)),
        _mover("S2MM0", "s2mm", guards=2),
        _mover("S2MM1", "s2mm", loops=5, high_priority=False),
    ),
    dma=DmaConfig(
        data_bits=8 * BEAT,
        read_outstanding=8,
        write_outstanding=8,
        read_buffer=64,
        write_buffer=64,
        windows=2,
        records=True,
    ),
    sequencer=SequencerConfig(),
    locks=4,
)
"""Two readers and two writers of the scratchpad, two channels of each direction to DRAM, and one
more that reads and compares."""


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """From one source to any sinks, each with as many BDs as it likes.

    There may be a source that compares each of its BDs with its own: `compared`.
    """

    source: list[Step]
    sinks: list[list[Step]]
    compared: list[Step]

    @property
    def steps(self) -> Iterator[Step]:
        """In an order that no queue can block."""
        for steps in (self.source, *self.sinks, self.compared):
            yield from steps


@dataclass
class World:
    """DRAM, and the scratchpad in the order of its banks, as bytes."""

    config: AcceleratorConfig
    base: int
    dram: NDArray[np.uint8]
    scratchpad: NDArray[np.uint8] = field(init=False)

    def __post_init__(self) -> None:
        self.scratchpad = np.zeros(self.config.memory.bytes, np.uint8)

    def move(self, transfer: Transfer) -> None:
        """What it must leave."""
        parts = [self.given(name, descriptor) for name, descriptor in transfer.source]
        given = np.concatenate(parts)
        for steps in transfer.sinks:
            at = 0
            for name, descriptor in steps:
                mover = self.config.mover(name)
                where = places(self.config, mover, descriptor)
                taken = given[at : at + len(where)]
                at += len(where)
                exists = where[: len(taken)] != NOWHERE
                content, found = self._locate(mover, descriptor, where[: len(taken)][exists])
                content[found] = taken[exists]

    def resemble(self, transfer: Transfer, toss: random.Random) -> None:
        """Have what is compared be the same in DRAM, but for a byte, or for none."""
        for step, (_, walk) in zip(transfer.source, transfer.compared, strict=False):
            length = walk.run_length
            place = self.dram[walk.base - self.base :][:length]
            same = self.given(*step)[:length]
            place[: len(same)] = same
            if toss.random() < 0.7:
                place[toss.randrange(length)] ^= 1 << toss.randrange(8)

    def results(self, transfer: Transfer) -> list[int]:
        """What the records of its comparisons must have."""
        pairs = zip(transfer.source, transfer.compared, strict=False)
        return [
            compared(
                self.given(*one).tobytes(),
                self.given(*other).tobytes(),
                other[1].parameters["compare"],
            )
            for one, other in pairs
        ]

    def given(self, name: str, descriptor: BufferDescriptor) -> NDArray[np.uint8]:
        """What a source gives."""
        mover = self.config.mover(name)
        where = places(self.config, mover, descriptor)
        given = np.full(len(where), descriptor.pad, np.uint8)
        content, found = self._locate(mover, descriptor, where[where != NOWHERE])
        given[where != NOWHERE] = content[found]
        if "add_constant" in descriptor.extensions:
            word = descriptor.parameters["add_constant"]
            size = 1 << (word & 3)
            constant = (word >> 2) - (word >> 31 << 30)
            given = np.frombuffer(summed(given.tobytes(), size, constant), np.uint8)
        if "xor" in descriptor.extensions:
            given = given ^ np.frombuffer(fill(descriptor.parameters["xor"], len(given)), np.uint8)
        return given

    def _locate(
        self, mover: MoverConfig, descriptor: BufferDescriptor, where: NDArray[np.int64]
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        if mover.is_scratchpad:
            return self.scratchpad, scratchpad_bytes(self.config, descriptor.mode, where)
        return self.dram, where - self.base


class _Walks:
    """Random descriptors for a batch of transfers: none touches what another one writes."""

    def __init__(self, config: AcceleratorConfig, toss: random.Random, base: int) -> None:
        self.config = config
        self.toss = toss
        self.mode = toss.randrange(len(config.memory.groups))
        self.regions = {True: 0, False: base}

    def make(self, mover: MoverConfig, nbytes: int, *, reads: bool) -> BufferDescriptor:
        """A walk of `nbytes` (of a scratchpad mover: of the beats that hold them)."""
        toss, scratchpad = self.toss, mover.is_scratchpad
        unit, most = self.config.memory.word_bytes, mover.loops
        spatial: tuple[int, ...] = mover.spatial_bounds
        if scratchpad:
            rows = -(-nbytes // BEAT)
        else:
            sizes = [n for n in (1, 2, 4, 8, toss.randint(1, nbytes)) if nbytes % n == 0]
            unit = toss.choice([*sizes, nbytes])
            rows = nbytes // unit
        bounds = self._factors(rows, toss.randint(1, most))
        extents = [*spatial, *bounds]
        strides, low, high = self._strides(extents, unit, injective=not reads)
        region = SCRATCHPAD_REGION if scratchpad else DRAM_REGION
        assert high - low <= region, (extents, strides)
        slack = (region - (high - low)) // unit * unit if scratchpad else region - (high - low)
        offset = toss.randrange(slack + 1)
        if scratchpad:
            offset = offset // unit * unit
        base = self.regions[scratchpad] + offset - low
        made = BufferDescriptor(
            base=base,
            bounds=tuple(bounds),
            strides=tuple(strides[len(spatial) :]),
            pad=toss.randrange(256),
            guards=tuple(self._guard(mover, bounds) for _ in range(toss.randint(0, mover.guards))),
        )
        if scratchpad:
            return replace(made, mode=self.mode, spatial_strides=tuple(strides[: len(spatial)]))
        return replace(made, run_length=unit)

    def next_region(self, scratchpad: bool) -> bool:
        """Whether there is another one."""
        self.regions[scratchpad] += SCRATCHPAD_REGION if scratchpad else DRAM_REGION
        return not scratchpad or self.regions[True] < self.config.memory.bytes

    def _factors(self, total: int, count: int) -> list[int]:
        bounds = []
        for _ in range(count - 1):
            divisors = [n for n in range(1, total + 1) if total % n == 0]
            bounds.append(self.toss.choice(divisors))
            total //= bounds[-1]
        bounds.append(total)
        self.toss.shuffle(bounds)
        return bounds

    def _strides(
        self, extents: list[int], unit: int, *, injective: bool
    ) -> tuple[list[int], int, int]:
        """Strides in any order of the dimensions, with gaps and signs; lowest and highest byte."""
        toss, strides, step = self.toss, [0] * len(extents), unit
        low = high = 0
        for dimension in toss.sample(range(len(extents)), len(extents)):
            if not injective and toss.random() < 0.15:
                continue
            sign = toss.choice([1, 1, -1])
            strides[dimension] = sign * step
            reach = (extents[dimension] - 1) * step
            low, high = (low - reach, high) if sign < 0 else (low, high + reach)
            gap = toss.choice([0, 0, unit]) if step * extents[dimension] < 8 * unit else 0
            step = step * extents[dimension] + gap
        return strides, low, high + unit

    def _guard(self, mover: MoverConfig, bounds: list[int]) -> Guard:
        toss = self.toss
        guard = Guard(
            offset=toss.randint(-4, 4),
            limit=toss.choice([0, toss.randint(1, 12), 1000]),
            strides=tuple(toss.randint(-2, 3) for _ in bounds),
        )
        if mover.is_scratchpad:
            dimension = toss.randrange(len(mover.spatial_bounds))
            return replace(guard, coefficient=toss.randint(-2, 2), dimension=dimension)
        return replace(guard, run=toss.randrange(2))


def transfers(
    config: AcceleratorConfig, toss: random.Random, base: int, count: int
) -> list[Transfer]:
    """Up to `count` that may run at once; DRAM from `base` on is theirs."""
    walks, made = _Walks(config, toss, base), []
    for _ in range(count):
        transfer = _transfer(config, toss, walks)
        if transfer is None:
            break
        made.append(transfer)
    return made


def _transfer(config: AcceleratorConfig, toss: random.Random, walks: _Walks) -> Transfer | None:
    source = config.mover(toss.choice(config.switch_sources))
    possible = [name for name in config.switch_sinks if name != source.name]
    several = toss.randint(1, len(possible)) if toss.random() < 0.3 else 1
    names = toss.sample(possible, several)
    sinks = [mover for mover in map(config.mover, names) if not mover.is_source]
    # Where a beat is a row, what a BD moves is whole beats; only the last one's may be a part.
    rows = any(mover.is_scratchpad for mover in (source, *sinks))
    nbytes = BEAT * toss.randint(1, LONGEST // BEAT)
    if not source.is_scratchpad:
        nbytes -= toss.randrange(BEAT)

    def parts(mover: MoverConfig, route: tuple[str, ...], reads: bool) -> list[Step] | None:
        grain = BEAT if rows else 1
        made: list[Step] = []
        for size in cut(toss, -(-nbytes // grain), 2):
            left = nbytes - sum(math.prod(d.bounds) * (d.run_length or BEAT) for _, d in made)
            walk = walks.make(mover, min(size * grain, left), reads=reads)
            if not walks.next_region(mover.is_scratchpad):
                return None
            walk = replace(walk, route=route)
            if mover.extensions and not mover.compares and toss.random() < 0.7:
                word = toss.getrandbits(32)
                if "add_constant" in mover.extensions:
                    constant = toss.randint(-(1 << 29), (1 << 29) - 1)
                    word = add_constant(constant, toss.choice([1, 2, 4, 8]))
                (name,) = mover.extensions
                walk = replace(walk, extensions=(name,), parameters={name: word})
            made.append((mover.name, walk))
        return made

    given = parts(source, tuple(names), True)
    taken = [parts(sink, (source.name,), False) for sink in sinks]
    if given is None or any(part is None for part in taken):
        return None
    others: list[Step] = []
    for name in names:
        for _, walk in given if config.mover(name).is_source else ():
            length = math.prod(walk.bounds) * (walk.run_length or BEAT)
            other = BufferDescriptor(
                base=walks.regions[False] + toss.randrange(64),
                bounds=(1,),
                strides=(0,),
                run_length=length if toss.random() < 0.7 else toss.randint(1, LONGEST),
                route=(source.name,),
                extensions=("compare",),
                parameters={"compare": toss.choice([0, toss.randrange(100)])},
            )
            walks.next_region(False)
            others.append((name, other))
    taken_parts = [part for part in taken if part is not None]
    return Transfer(source=given, sinks=taken_parts, compared=others)
