"""Operands get the places at which the model of the crossbar sees the fewest conflicts."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from support.pages import named_config
from weft.hw.config import AcceleratorConfig
from weft.sw.conflicts import Stream, predict
from weft.sw.descriptor import BufferDescriptor
from weft.sw.errors import MappingError
from weft.sw.regions import Operand, Region, Traffic, place

TINY = named_config("tiny")
WORDS = 4
"""Channels of A and of B."""


def walk(region: Region) -> BufferDescriptor:
    """Beats of consecutive words, one after the other."""
    word = TINY.memory.word_bytes
    return BufferDescriptor(
        base=region.base,
        bounds=(16, 4000),
        strides=(WORDS * word, 0),
        spatial_strides=(word,),
        mode=region.mode,
    )


def traffic(placed: Mapping[str, tuple[Region, ...]]) -> Iterator[Traffic]:
    streams = [
        Stream(mover=name.upper(), walk=walk(regions[0])) for name, regions in placed.items()
    ]
    yield Traffic(streams=streams, in_step=("A", "B"))


def operand(size: int, reach: int = 0) -> Operand:
    return Operand(
        size=size, parts=1, reach=reach, words=WORDS, high_priority=True, moved=float(WORDS)
    )


def counted(config: AcceleratorConfig, placed: Mapping[str, tuple[Region, ...]]) -> dict[str, int]:
    (only,) = traffic(placed)
    return predict(config, only.streams, cycles=60, settling=20, in_step=only.in_step).movers


def test_streams_that_set_the_pace_do_not_meet() -> None:
    placed = place(TINY, {"a": operand(4096), "b": operand(4096, reach=4)}, traffic)
    assert counted(TINY, placed) == {"A": 0, "B": 0}
    assert placed == place(TINY, {"a": operand(4096), "b": operand(4096, reach=4)}, traffic)


def test_where_they_must_meet_it_is_as_seldom_as_it_can_be() -> None:
    # Neither fits half of the banks.
    operands = {"a": operand(TINY.memory.bytes // 2 + 64), "b": operand(4096, reach=4)}
    placed = place(TINY, operands, traffic)
    assert placed["a"][0].group == 16
    crowded = place(replace(TINY, memory=replace(TINY.memory, groups=(16,))), operands, traffic)
    assert sum(counted(TINY, placed).values()) <= sum(counted(TINY, crowded).values())


def test_what_does_not_fit_is_refused() -> None:
    half = TINY.memory.bytes // 2 + 64
    with pytest.raises(MappingError, match="have no place in a scratchpad of 16384 bytes"):
        place(TINY, {"a": operand(half), "b": operand(half)}, traffic)
    everywhere = tuple(replace(mover, reach=0) for mover in TINY.movers)
    narrow = replace(TINY, memory=replace(TINY.memory, groups=(1,)), movers=everywhere)
    with pytest.raises(MappingError, match="none for a reach of 4"):
        place(narrow, {"a": operand(64, reach=4)}, traffic)
