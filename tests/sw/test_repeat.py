"""Loops of stride 0 that are fetched once: the stream stays the same."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.hw.config import AcceleratorConfig, MemoryConfig, MoverConfig
from weft.hw.mover.descriptor import Descriptor
from weft.sim.golden.extensions import extended
from weft.sim.golden.tasks import Beat, ModelScratchpad, Walk, decode
from weft.sw.descriptor import BufferDescriptor, Guard
from weft.sw.errors import MappingError
from weft.sw.operators import elementwise_add, repeater
from weft.sw.repeat import replayed
from weft.sw.replay_mover import ReplayedMover
from weft.sw.task_queue import TaskQueue

CONFIG = AcceleratorConfig(
    name="repeating",
    memory=MemoryConfig(banks=4, bank_bits=32, rows=64, groups=(4,)),
    movers=(
        MoverConfig(
            name="R",
            kind="read",
            bind="export",
            spatial_bounds=(4,),
            loops=4,
            guards=1,
            extensions=("repeater", "max_pool"),
            replay_depth=4,
        ),
    ),
)
MOVER = CONFIG.movers[0]
SPEC = Descriptor(CONFIG, MOVER)


def stream(walk: BufferDescriptor) -> list[tuple[bytes, bool, bool]]:
    scratchpad = ModelScratchpad(CONFIG.memory)
    scratchpad.banks[:] = np.arange(scratchpad.banks.size).reshape(scratchpad.banks.shape) % 251
    found = decode(SPEC, walk.encode(SPEC))
    assert isinstance(found, Walk)
    data, last = scratchpad.read(found), len(found.addresses) - 1
    beats = [
        Beat(row, bool(mark), index == last)
        for index, (row, mark) in enumerate(zip(data, found.marks, strict=True))
    ]
    given = extended(beats, found.extensions, 1)
    return [(beat.data.tobytes(), beat.mark, beat.end) for beat in given]


@settings(max_examples=100, deadline=None)
@given(
    bounds=st.tuples(*[st.sampled_from([1, 1, 2, 3])] * 4),
    strides=st.tuples(*[st.sampled_from([0, 0, 16, 32])] * 4),
    mark_level=st.integers(0, 3),
    guarded=st.tuples(*[st.sampled_from([0, 0, 0, 1])] * 4),
    pooled=st.booleans(),
)
def test_the_stream_is_the_same(
    bounds: tuple[int, ...],
    strides: tuple[int, ...],
    mark_level: int,
    guarded: tuple[int, ...],
    pooled: bool,
) -> None:
    walk = BufferDescriptor(
        base=0,
        bounds=bounds,
        strides=strides,
        spatial_strides=(4,),
        mark_level=mark_level,
        guards=(Guard(limit=3, strides=guarded),),
        extensions=("max_pool",) if pooled else (),
    )
    short = replayed(MOVER, walk)
    assert stream(short) == stream(walk)
    idle = [
        np.prod(bounds[:level])
        for level, bound in enumerate(bounds)
        if bound > 1 and strides[level] == guarded[level] == 0
    ]
    still = bool(idle) and idle[0] <= MOVER.replay_depth and not pooled
    assert (np.prod(short.bounds) < np.prod(bounds)) == still


def test_what_cannot_repeat_stays_as_it_is() -> None:
    walk = BufferDescriptor(base=0, bounds=(3, 2), strides=(0, 16), spatial_strides=(4,))
    assert replayed(replace(MOVER, extensions=(), replay_depth=1), walk) == walk
    assert replayed(MOVER, replace(walk, bounds=(0, 2))) == replace(walk, bounds=(0, 2))
    once = replayed(MOVER, walk)
    assert (once.bounds, once.parameters) == ((1, 2), {"repeater": 3})
    assert replayed(MOVER, once) == once


def test_impossible_parameters() -> None:
    for count in (0, 1 << 16):
        with pytest.raises(MappingError, match=f"count = {count}: must be from 1 to 65535"):
            repeater(count)
    for length in (0, 65):
        with pytest.raises(MappingError, match=f"length = {length}: must be from 1 to 64"):
            repeater(1, length=length)
    with pytest.raises(MappingError, match="size = 3: must be one of 1, 2, 4, 8 bytes"):
        elementwise_add(3)


@settings(max_examples=50, deadline=None)
@given(
    bounds=st.tuples(*[st.sampled_from([1, 2, 3])] * 4),
    mark_level=st.integers(0, 3),
    parameter=st.builds(
        repeater, st.integers(1, 3), length=st.sampled_from([1, 3]), each=st.booleans()
    ),
    names=st.sampled_from([(), ("repeater",), ("max_pool",), ("repeater", "max_pool")]),
)
def test_a_replay_counts_the_beats_that_come_out(
    bounds: tuple[int, ...], mark_level: int, parameter: int, names: tuple[str, ...]
) -> None:
    walk = BufferDescriptor(
        base=0,
        bounds=bounds,
        strides=(16,) * 4,
        spatial_strides=(4,),
        mark_level=mark_level,
        extensions=names,
        parameters={"repeater": parameter} if "repeater" in names else {},
    )
    beats = stream(walk)
    queue = TaskQueue(depth=1)
    mover = ReplayedMover(config=MOVER, beat=16, queue=queue, slots={0: (walk, None)})
    assert mover.rows() == (len(beats), sum(mark for _, mark, _ in beats))
    assert mover.amount() == 16 * len(beats)
