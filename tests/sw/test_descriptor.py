"""Descriptors: the words say what was asked, and what cannot be is refused."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.pages import named_config
from weft.hw.mover.descriptor import Descriptor
from weft.sim.golden.agu import locate, rows
from weft.sim.golden.tasks import Walk, decode
from weft.sw.descriptor import BufferDescriptor, Guard
from weft.sw.errors import DescriptorError

TINY = named_config("tiny")
SPECS = {mover.name: Descriptor(TINY, mover) for mover in TINY.movers}
READ = BufferDescriptor(base=0, bounds=(4, 3), strides=(16, 256), spatial_strides=(4,))
DRAM = BufferDescriptor(base=1 << 31, bounds=(4, 3), strides=(100, -8), run_length=10)

bounds = st.lists(st.integers(0, 6), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), bounds=bounds, run=st.integers(1, 40))
def test_dram_words_mean_the_nested_loops(data: Any, bounds: list[int], run: int) -> None:
    steps = st.lists(st.integers(-5000, 5000), min_size=len(bounds), max_size=len(bounds))
    guard = st.builds(
        Guard,
        offset=st.integers(-50, 50),
        limit=st.integers(0, 99),
        run=st.integers(0, 1),
        strides=st.lists(st.integers(-9, 9), max_size=len(bounds)).map(tuple),
    )
    descriptor = BufferDescriptor(
        base=1 << 33,
        bounds=tuple(bounds),
        strides=tuple(data.draw(steps)),
        run_length=run,
        guards=tuple(data.draw(st.lists(guard, max_size=2))),
        pad=data.draw(st.integers(0, 255)),
    )
    walk = decode(SPECS["MM2S0"], descriptor.encode(SPECS["MM2S0"]))
    assert isinstance(walk, Walk)
    expected = rows(bounds, descriptor.strides, descriptor.base)
    np.testing.assert_array_equal(walk.addresses, expected)
    exists = np.ones((expected.size, run), bool)
    for entry in descriptor.guards:
        strides = [*entry.strides, *[0] * (len(bounds) - len(entry.strides))]
        value = rows(bounds, strides, entry.offset)[:, None] + entry.run * np.arange(run)
        exists &= (value >= 0) & (value < entry.limit)
    np.testing.assert_array_equal(walk.exists, exists)
    assert walk.pad == descriptor.pad


@settings(max_examples=40, deadline=None)
@given(
    bounds=st.tuples(*[st.integers(0, 3)] * 3),
    strides=st.tuples(*[st.integers(-40, 40)] * 3),
    mode=st.integers(0, 3),
    mark=st.integers(0, 5),
)
def test_decode_undoes_encode(
    bounds: tuple[int, ...], strides: tuple[int, ...], mode: int, mark: int
) -> None:
    descriptor = BufferDescriptor(
        base=4096,
        bounds=bounds,
        strides=tuple(4 * stride for stride in strides),
        spatial_strides=(4,),
        mode=mode,
        mark_level=mark,
        operator=1,
    )
    decoded = BufferDescriptor.decode(SPECS["A"], descriptor.encode(SPECS["A"]))
    assert decoded.bounds == (*bounds, 1, 1, 1)
    assert decoded.strides == (*descriptor.strides, 0, 0, 0)
    assert replace(decoded, bounds=bounds, strides=descriptor.strides) == descriptor


@pytest.mark.parametrize(
    ("mover", "change", "text"),
    [
        ("A", {"base": -4}, r"descriptor of A: base = -4: must be from 0"),
        ("A", {"base": 2}, "base = 2: must be a multiple of a word of 4 bytes"),
        ("A", {"bounds": (65536, 1)}, r"bounds\[0\] = 65536: must be from 0 to 65535"),
        ("A", {"bounds": (1,)}, "one a bound, and there are 1"),
        ("A", {"bounds": (1,) * 7, "strides": (0,) * 7}, "at most 6 loops"),
        (
            "A",
            {"strides": (1 << 32, 0)},
            "strides = 4294967296: a byte stride must be from -16384 to 16383",
        ),
        ("A", {"strides": (18, 0)}, r"strides = 18: must be a multiple"),
        ("A", {"spatial_strides": (3,)}, "spatial_strides = 3: must be a multiple"),
        ("A", {"spatial_strides": (4, 4)}, "the mover has 1 spatial dimensions"),
        ("A", {"strides": (16, 8192)}, "address = 16432: channel 0 leaves the scratchpad of 16384"),
        ("A", {"strides": (-16, 0)}, "address = -48: channel 0 leaves"),
        ("A", {"bounds": (600, 1), "strides": (16, -8192)}, "strides = -17776: what loop 1"),
        ("A", {"mode": 4}, "mode = 4: must be from 0 to 3"),
        ("A", {"mark_level": 6}, "mark_level = 6: must be from 0 to 5"),
        ("A", {"operator": 2}, "operator = 2: must be from 0 to 1"),
        ("A", {"pad": 256}, "pad = 256: must be from 0 to 255"),
        ("A", {"run_length": 1}, "run_length = 1: this hardware does not have the field"),
        ("A", {"guards": (Guard(),)}, "guards = 1: the mover has 0"),
        ("B", {"operator": 1}, "operator = 1: this hardware does not have"),
        ("B", {"base": 4}, "channel 0 only reaches banks that are 0 modulo 4, not bank 1"),
        ("B", {"spatial_strides": (8,)}, "channel 1 only reaches banks that are 1 modulo 4"),
        ("MM2S0", {"mode": 1}, "mode = 1: this hardware does not have the field"),
        ("MM2S0", {"spatial_strides": (4,)}, "the mover has 0 spatial dimensions"),
        ("MM2S0", {"run_length": 1 << 24}, "run_length = 16777216: must be from 0 to 16777215"),
        ("MM2S0", {"strides": (1 << 31, 0)}, "strides = 2147483648: a byte stride must be"),
        ("MM2S0", {"base": 1}, "addresses from -0xf to 0x137 leave 64 bits"),
        ("MM2S0", {"guards": (Guard(limit=1 << 31),)}, r"guards\[0\].limit = 2147483648"),
        (
            "MM2S0",
            {"bounds": (3, 3), "guards": (Guard(strides=(1 << 30, 0)),)},
            r"guards.strides = \(1073741824, 0\): values from 0 to 2147483648 leave the 32 bits",
        ),
        (
            "MM2S0",
            {"bounds": (1, 2), "guards": (Guard(offset=-(1 << 31), strides=(0, -1)),)},
            "values from -2147483649 to -2147483648 leave",
        ),
        ("MM2S0", {"guards": (Guard(), Guard(), Guard())}, "guards = 3: the mover has 2"),
        ("MM2S0", {"guards": (Guard(run=2),)}, r"guards\[0\].run = 2: must be from 0 to 1"),
    ],
)
def test_an_impossible_field_is_named_with_its_value_and_limit(
    mover: str, change: dict[str, Any], text: str
) -> None:
    good = READ if SPECS[mover].mover.is_scratchpad else DRAM
    good.encode(SPECS[mover])
    with pytest.raises(DescriptorError, match=text):
        replace(good, **change).encode(SPECS[mover])


def test_every_field_without_hardware_is_refused_when_set() -> None:
    names = {entry.name for entry in fields(BufferDescriptor)}
    for mover, spec in SPECS.items():
        good = READ if spec.mover.is_scratchpad else DRAM
        spatial = (4, 16)[: len(spec.mover.spatial_bounds)]
        good = replace(good, spatial_strides=spatial)
        assert set(spec.unsupported) <= names
        for name in spec.unsupported:
            with pytest.raises(DescriptorError, match=f"descriptor of {mover}: {name} = 1: "):
                replace(good, **{name: 1}).encode(spec)


def test_a_bound_of_zero_moves_nothing_and_so_leaves_nothing() -> None:
    words = replace(READ, bounds=(0, 3), strides=(8192, 1000)).encode(SPECS["A"])
    walk = decode(SPECS["A"], words)
    assert isinstance(walk, Walk)
    assert walk.addresses.size == 0


@settings(max_examples=60, deadline=None)
@given(
    base=st.integers(0, 255),
    bounds=st.tuples(*[st.integers(1, 4)] * 3),
    strides=st.tuples(*[st.integers(-20, 600)] * 3),
    spatial=st.tuples(st.integers(-4, 20), st.integers(0, 20)),
    mode=st.integers(0, 3),
)
def test_reach_is_judged_as_by_looking_at_every_word(
    base: int,
    bounds: tuple[int, ...],
    strides: tuple[int, ...],
    spatial: tuple[int, ...],
    mode: int,
) -> None:
    memory, mover = TINY.memory, TINY.mover("C")
    words = rows(bounds, strides, base)[:, None] + rows(mover.spatial_bounds, spatial, 0)
    good = bool((words >= 0).all() and (words < memory.bytes // 4).all())
    for row in words.tolist() if good else []:
        for channel, word in enumerate(row):
            bank, _ = locate(memory, word, memory.groups[mode])
            good &= bank % mover.reach == channel % mover.reach
    descriptor = BufferDescriptor(
        base=4 * base,
        bounds=bounds,
        strides=tuple(4 * stride for stride in strides),
        spatial_strides=tuple(4 * stride for stride in spatial),
        mode=mode,
    )
    if good:
        descriptor.encode(SPECS["C"])
    else:
        with pytest.raises(DescriptorError, match="address = "):
            descriptor.encode(SPECS["C"])
