"""Descriptors: the words say what was asked, and what cannot be is refused."""

import re
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.crossing import CROSSING
from support.pages import named_config
from weft.hw.config import AcceleratorConfig, MemoryConfig, MoverConfig
from weft.hw.mover.descriptor import Descriptor
from weft.sim.golden.agu import Window, flaws, indices, locate, rows
from weft.sim.golden.tasks import ModelScratchpad, Walk, decode
from weft.sw.descriptor import BufferDescriptor, Guard
from weft.sw.errors import DescriptorError, MappingError
from weft.sw.operators import add_constant

TINY = named_config("tiny")
SPECS = {
    mover.name: Descriptor(TINY, replace(mover, guards=0) if mover.is_scratchpad else mover)
    for mover in TINY.movers
}
GUARDED = {
    mover.name: Descriptor(TINY, replace(mover, guards=2))
    for mover in TINY.movers
    if mover.is_scratchpad
}
READ = BufferDescriptor(base=0, bounds=(4, 3), strides=(16, 256), spatial_strides=(4,))
DRAM = BufferDescriptor(base=1 << 31, bounds=(4, 3), strides=(100, -8), run_length=10)

LIMIT = 1 << 31
FURTHEST = 2 * TINY.memory.bytes

bounds = st.lists(st.integers(0, 6), min_size=1, max_size=4)


def windows(loops: int, dimensions: int) -> st.SearchStrategy[Guard]:
    """Guards of a scratchpad mover that often cut."""
    return st.builds(
        Guard,
        offset=st.integers(-4, 4),
        limit=st.sampled_from([1, 3, 5, 9, 99]),
        strides=st.lists(st.integers(-1, 3), max_size=loops).map(tuple),
        coefficient=st.sampled_from([0, 0, 1, 2, -1]),
        dimension=st.integers(0, dimensions - 1),
    )


def existing(
    descriptor: BufferDescriptor, spatial_bounds: tuple[int, ...]
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Of every row and channel, whether it exists, by the definition."""
    places = indices(spatial_bounds)
    exists = np.ones((rows(descriptor.bounds, descriptor.strides, 0).size, len(places)), np.bool_)
    for guard in descriptor.guards:
        strides = [*guard.strides, *[0] * (len(descriptor.bounds) - len(guard.strides))]
        value = rows(descriptor.bounds, strides, guard.offset)[:, None]
        value = value + guard.coefficient * places[:, guard.dimension]
        exists &= (value >= 0) & (value < guard.limit)
    return exists


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


@settings(max_examples=60, deadline=None)
@given(data=st.data(), bounds=st.tuples(*[st.integers(0, 4)] * 3))
def test_scratchpad_words_mean_the_windows(data: Any, bounds: tuple[int, ...]) -> None:
    spec = GUARDED["D"]
    descriptor = BufferDescriptor(
        base=8192,
        bounds=bounds,
        strides=(16, 64, 256),
        spatial_strides=(4, 16),
        guards=tuple(data.draw(st.lists(windows(3, 2), max_size=2))),
        pad=data.draw(st.integers(0, 255)),
    )
    words = descriptor.encode(spec)
    walk = decode(spec, words)
    assert isinstance(walk, Walk)
    np.testing.assert_array_equal(walk.exists, existing(descriptor, (4, 4)))
    assert walk.pad == descriptor.pad
    back = BufferDescriptor.decode(spec, words)
    assert back.encode(spec) == words
    assert back.base == descriptor.base
    for guard, given_guard in zip(back.guards, descriptor.guards, strict=False):
        # What a loop of one iteration, or one inside an empty loop, adds is nowhere seen.
        if all(bound > 1 for bound in bounds):
            missing = (0,) * (3 - len(given_guard.strides))
            assert guard == replace(given_guard, strides=(*given_guard.strides, *missing))


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
        ("B", {"mode": 3}, "mode = 3: must be from 0 to 3 with groups of at least 4 banks"),
        ("A", {"mark_level": 6}, "mark_level = 6: must be from 0 to 5"),
        ("A", {"operator": 2}, "operator = 2: must be within the bits 0x1 that the array knows"),
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
        ("A", {"use_next": 2}, "use_next = 2: must be 0 or 1"),
        ("A", {"use_next": 1, "next": 4}, "next = 4: must be from 0 to 3"),
        ("A", {"next": 1}, "next = 1: has no meaning without use_next"),
        ("A", {"acquire_enable": 1, "acquire_id": 16}, "acquire_id = 16: must be from 0 to 15"),
        ("A", {"acquire_value": 1}, "acquire_value = 1: has no meaning without acquire_enable"),
        ("A", {"acquire_enable": 1, "acquire_value": 64}, "acquire_value = 64: must be from 0 to"),
        ("A", {"acquire_enable": 1, "acquire_mode": 2}, "acquire_mode = 2: must be 0 or 1"),
        ("A", {"release_delta": 32}, "release_delta = 32: must be from -32 to 31 in its field"),
        ("A", {"release_delta": 1, "release_id": -1}, "release_id = -1: must be from 0 to 15"),
        ("A", {"release_id": 3}, "release_id = 3: has no meaning without release_delta"),
        ("A", {"iteration_stride": 4}, "iteration_stride = 4: has no meaning without iteration_s"),
        (
            "A",
            {"iteration_size": 3, "iteration_current": 3},
            "iteration_current = 3: must be from 0 to 2 with an iteration_size of 3",
        ),
        ("A", {"iteration_size": 1 << 16}, "iteration_size = 65536: must be from 0 to 65535"),
        (
            "A",
            {"iteration_size": 3, "iteration_stride": 8000},
            "address = 16560: channel 0 leaves the scratchpad",
        ),
        ("A", {"iteration_size": 3, "iteration_stride": 2}, "strides = 2: must be a multiple"),
        (
            "MM2S0",
            {"iteration_size": 5, "iteration_stride": 1 << 30},
            "iteration_stride = 4294967296: the last offset must be from -2147483648 to",
        ),
        (
            "MM2S0",
            {"iteration_size": 3, "iteration_stride": -(1 << 30)},
            "base = 0x80000000: addresses from -0x10 to",
        ),
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


@pytest.mark.parametrize(
    ("guard", "text"),
    [
        ({"limit": LIMIT}, r"guards\[0\].limit = 2147483648: must be from 0 to 2147483647"),
        ({"limit": -1}, r"guards\[0\].limit = -1: must be from 0"),
        ({"offset": LIMIT}, "values from 2147483648 to 2147483648 leave the 32 bits of a guard"),
        ({"coefficient": 1 << 15}, r"coefficient = 32768: must be from -32768 to 32767"),
        ({"coefficient": -32769}, r"coefficient = -32769: must be from -32768 to 32767"),
        ({"dimension": 1}, "guards.dimension = 1: must be from 0 to 0"),
        ({"dimension": -1}, "guards.dimension = -1: must be from 0 to 0"),
        ({"run": 1}, "guards.run = 1: a guard of this mover does not have the field"),
        ({"strides": (0,) * 7}, "at most 6 loops"),
        ({"strides": (1 << 30, 0)}, "values from 0 to 3221225472 leave the 32 bits of a guard"),
        ({"strides": (1 << 29, -(1 << 30))}, r"guards\[0\].deltas\[1\] = -2684354560"),
    ],
)
def test_an_impossible_guard_is_refused(guard: dict[str, Any], text: str) -> None:
    READ.encode(GUARDED["A"])
    with pytest.raises(DescriptorError, match=f"descriptor of A: .*{text}"):
        replace(READ, guards=(Guard(**guard),)).encode(GUARDED["A"])


@pytest.mark.parametrize("field", ["coefficient", "dimension"])
def test_a_dram_guard_has_no_channels(field: str) -> None:
    descriptor = replace(DRAM, guards=(Guard(**{field: 1}),))
    with pytest.raises(DescriptorError, match=f"guards.{field} = 1: a guard of this mover"):
        descriptor.encode(SPECS["MM2S0"])


def test_every_field_without_hardware_is_refused_when_set() -> None:
    names = {entry.name for entry in fields(BufferDescriptor)}
    for mover, spec in SPECS.items():
        good = READ if spec.mover.is_scratchpad else DRAM
        spatial = (4, 16)[: len(spec.mover.spatial_bounds)]
        good = replace(good, spatial_strides=spatial)
        assert set(spec.unsupported) <= names
        for name in spec.unsupported:
            value = ("Y",) if name in ("extensions", "route") else 1
            named = re.escape(f"descriptor of {mover}: {name} = {value}: ")
            with pytest.raises(DescriptorError, match=named):
                replace(good, **{name: value}).encode(spec)


@pytest.mark.parametrize(
    ("mover", "change", "message"),
    [
        (
            "X",
            {"route": ()},
            r"route = \(\): names one or more of the sinks Y, Q, MM2S2, S2MM0, S2MM1",
        ),
        ("X", {"route": ("Y", "Y")}, "each once"),
        ("X", {"route": ("P",)}, "names one or more of the sinks"),
        ("X", {"route": "Y"}, "route = Y: must be a tuple of names"),
        ("Y", {"route": ()}, "names one of the sources X, P, MM2S0, MM2S1, MM2S2"),
        ("Y", {"route": ("X", "P")}, "names one of the sources"),
        ("Y", {"route": ("X",), "extensions": ("add_constant",)}, "the mover has none"),
        ("X", {"route": ("Y",), "record": 2}, "record = 2: must be 0 or 1"),
        ("P", {"route": ("Y",), "operator": 5}, "operator = 5: this hardware does not have"),
        (
            "P",
            {"route": ("Y",), "parameters": {"add_constant": 5}},
            r"parameters\[add_constant\] = 5: has no meaning without add_constant in extensions",
        ),
        ("P", {"route": ("Y",), "extensions": ("crc",)}, "each is one of add_constant, once"),
        ("MM2S2", {"route": ("MM2S2",)}, "sinks Y, Q, S2MM0, S2MM1, each once"),
        (
            "MM2S2",
            {"route": ("S2MM0",), "extensions": ("compare",)},
            "route = .*: names one of the sources X, P, MM2S0, MM2S1",
        ),
        (
            "MM2S2",
            {"route": ("X", "P"), "extensions": ("compare",)},
            "names one of the sources X, P, MM2S0, MM2S1",
        ),
        (
            "MM2S2",
            {"route": ("MM2S2",), "extensions": ("compare",)},
            "names one of the sources X, P, MM2S0, MM2S1",
        ),
        (
            "P",
            {
                "route": ("Y",),
                "extensions": ("add_constant",),
                "parameters": {"add_constant": 1 << 32},
            },
            "parameters.add_constant = 4294967296: must be from 0 to 4294967295",
        ),
    ],
)
def test_impossible_streams(mover: str, change: dict[str, Any], message: str) -> None:
    spec = Descriptor(CROSSING, CROSSING.mover(mover))
    dimensions = len(spec.mover.spatial_bounds)
    good = BufferDescriptor(
        base=0, bounds=(1,), strides=(0,), spatial_strides=(4,) * dimensions, run_length=0
    )
    with pytest.raises(DescriptorError, match=message):
        replace(good, **change).encode(spec)


MASKED = AcceleratorConfig(
    name="masked",
    memory=MemoryConfig(banks=8, bank_bits=32, rows=64, groups=(8, 1)),
    movers=(
        MoverConfig(
            name="R", kind="read", bind="export", spatial_bounds=(8, 5), channel_enable=True
        ),
        MoverConfig(
            name="W",
            kind="write",
            bind="export",
            spatial_bounds=(4,),
            reach=4,
            guards=1,
            channel_enable=True,
            byte_mask=True,
        ),
    ),
)


def test_masks_come_back_from_their_words() -> None:
    read, write = (Descriptor(MASKED, mover) for mover in MASKED.movers)
    beat = BufferDescriptor(base=0, bounds=(2,), strides=(160,), spatial_strides=(4, 32))
    for channels in (None, 0, 1 << 39 | 1 << 32 | 5):
        given = replace(beat, channels=channels)
        words = given.encode(read)
        expected = (1 << 40) - 1 if channels is None else channels
        assert words[-2] | words[-1] << 32 == expected
        assert BufferDescriptor.decode(read, words).channels == channels
    beat = BufferDescriptor(base=0, bounds=(2,), strides=(16,), spatial_strides=(4,))
    for channels, mask in ((None, None), (5, 0b0110), (0, 0)):
        given = replace(beat, channels=channels, byte_mask=mask)
        found = BufferDescriptor.decode(write, given.encode(write))
        assert (found.channels, found.byte_mask) == (channels, mask)


@pytest.mark.parametrize(
    ("mover", "change", "message"),
    [
        ("R", {"channels": 1 << 40}, "channels = 1099511627776: must be from 0 to 1099511627775"),
        ("R", {"channels": -1}, "channels = -1: must be from 0"),
        ("R", {"byte_mask": 1}, "byte_mask = 1: this hardware does not have the field"),
        ("W", {"byte_mask": 16}, "byte_mask = 16: must be from 0 to 15"),
        ("W", {"base": 4}, "channel 0 only reaches banks that are 0 modulo 4, not bank 1"),
        ("W", {"base": 4, "channels": 8}, "channel 3 only reaches banks that are 3 modulo 4"),
        ("R", {"base": 2020, "channels": 4}, "address = 2188: channel 2 leaves the scratchpad"),
    ],
)
def test_impossible_masks(mover: str, change: dict[str, Any], message: str) -> None:
    spec = Descriptor(MASKED, MASKED.mover(mover))
    spatial = (4, 32)[: len(spec.mover.spatial_bounds)]
    good = BufferDescriptor(base=0, bounds=(2,), strides=(160,), spatial_strides=spatial)
    with pytest.raises(DescriptorError, match=message):
        replace(good, **change).encode(spec)


def test_a_channel_that_is_not_enabled_may_have_any_address() -> None:
    spec = Descriptor(MASKED, MASKED.mover("R"))
    # Of two rows of 160 bytes at the end of 2048, and at odd strides.
    last = BufferDescriptor(base=1884, bounds=(2,), strides=(160,), spatial_strides=(4, 32))
    with pytest.raises(DescriptorError, match="leaves the scratchpad"):
        last.encode(spec)
    replace(last, channels=1).encode(spec)
    replace(last, channels=0, spatial_strides=(3, 5)).encode(spec)
    replace(last, channels=1, spatial_strides=(3, 5)).encode(spec)
    # The address of the row itself is one that the hardware steps.
    with pytest.raises(DescriptorError, match="too far outside"):
        replace(last, base=2048, spatial_strides=(-400, 0), channels=2).encode(spec)


@settings(max_examples=40, deadline=None)
@given(
    base=st.integers(0, 500).map(lambda n: 4 * n),
    strides=st.tuples(st.sampled_from([4, 0, 8, -4, 6]), st.sampled_from([32, 0, -32, 400])),
    channels=st.integers(0, (1 << 40) - 1) | st.integers(0, 39).map(lambda n: 1 << n),
)
def test_only_enabled_channels_are_judged(
    base: int, strides: tuple[int, int], channels: int
) -> None:
    spec = Descriptor(MASKED, MASKED.mover("R"))
    walk = BufferDescriptor(
        base=base, bounds=(3,), strides=(64,), spatial_strides=strides, channels=channels
    )
    memory = MASKED.memory
    every = rows((3, 8, 5), (64, *strides), base)
    enabled = [channels >> n // 3 & 1 for n in range(every.size)]
    wrong = [at for at, on in zip(every, enabled, strict=True) if on]
    good = all(0 <= at <= memory.bytes - 4 and at % 4 == 0 for at in wrong)
    if channels and base + 128 >= memory.bytes:
        good = False  # a row that has left the scratchpad
    if good:
        walk.encode(spec)
    else:
        with pytest.raises(DescriptorError):
            walk.encode(spec)


def test_streams_come_back_from_their_words() -> None:
    for mover, route in (
        ("P", ("Y", "S2MM1")),
        ("MM2S1", ("Q",)),
        ("S2MM0", ("MM2S0",)),
        ("MM2S2", ("MM2S1",)),
    ):
        spec = Descriptor(CROSSING, CROSSING.mover(mover))
        given = BufferDescriptor(base=0, bounds=(1,), strides=(0,), route=route)
        if spec.mover.is_scratchpad:
            given = replace(given, spatial_strides=(4, 0))
        else:
            given = replace(given, run_length=9)
        if spec.mover.extensions:
            word = add_constant(-3, 2)
            names = spec.mover.extensions
            parameters = dict.fromkeys(names, word)
            given = replace(given, extensions=names, parameters=parameters)
        found = BufferDescriptor.decode(spec, given.encode(spec))
        for name in ("route", "extensions", "parameters"):
            assert getattr(found, name) == getattr(given, name)


@pytest.mark.parametrize(
    ("constant", "size", "message"),
    [
        (1, 3, "size = 3: must be one of 1, 2, 4, 8 bytes"),
        (1 << 29, 4, "constant = 536870912: must be from -536870912 to 536870911"),
    ],
)
def test_impossible_constants(constant: int, size: int, message: str) -> None:
    with pytest.raises(MappingError, match=message):
        add_constant(constant, size)


@pytest.mark.parametrize("mover", ["A", "MM2S0"])
def test_chains_locks_and_iteration_come_back_from_their_words(mover: str) -> None:
    spec = SPECS[mover]
    good = READ if spec.mover.is_scratchpad else DRAM
    descriptor = replace(
        good,
        use_next=1,
        next=2,
        acquire_enable=1,
        acquire_mode=1,
        acquire_id=15,
        acquire_value=63,
        release_id=7,
        release_delta=-32,
        iteration_size=9,
        iteration_current=5,
        iteration_stride=-8 if good is DRAM else 12,
    )
    words = descriptor.encode(spec)
    decoded = BufferDescriptor.decode(spec, words)
    for entry in fields(descriptor):
        if entry.type == "int":
            assert getattr(decoded, entry.name) == getattr(descriptor, entry.name)
    assert words[7] == 5 * descriptor.iteration_stride % (1 << 32)


def test_an_address_that_is_never_used_still_has_to_fit() -> None:
    with pytest.raises(DescriptorError, match="base = 32768: must be from 0 to 32767"):
        replace(READ, base=2 * TINY.memory.bytes, bounds=(0, 3)).encode(SPECS["A"])


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
    mode=st.sampled_from(TINY.memory.modes(TINY.mover("C").reach)),
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


def padded(base: int, *guards: Guard, **change: Any) -> BufferDescriptor:
    """Three rows of a word a channel."""
    fields = {"base": base, "bounds": (3,), "strides": (16,), "spatial_strides": (4,)}
    return BufferDescriptor(**{**fields, **change, "guards": guards})


TWO_LAST = Guard(offset=-2, limit=2, coefficient=1)
"""Channels 2 and 3 of four."""


@pytest.mark.parametrize(
    ("descriptor", "text"),
    [
        (padded(-8, TWO_LAST), ""),
        (padded(-12, TWO_LAST), "address = -4: channel 2 leaves the scratchpad of 16384 bytes"),
        (padded(16384 - 44, TWO_LAST), "address = 16384: channel 3 leaves the scratchpad"),
        (padded(16384 - 44, Guard(limit=3, coefficient=1)), ""),
        (padded(16384 - 16, Guard(limit=1, strides=(1,))), ""),
        (padded(16384 - 16, Guard(limit=2, strides=(1,))), "address = 16384: channel 0 leaves"),
        # Nothing exists: the numbers still have to fit.
        (padded(3, Guard(limit=0), strides=(7,)), ""),
        (padded(-FURTHEST, Guard(limit=0)), ""),
        (padded(-FURTHEST - 4, Guard(limit=0)), "base = -32772: must be from -32768"),
        (padded(FURTHEST, Guard(limit=0)), "base = 32768: must be from -32768 to 32767"),
        (
            padded(-FURTHEST, Guard(limit=0), iteration_size=3, iteration_stride=-4),
            "base = -32776: must be from",
        ),
        # Off a word in the row that exists, or in another one.
        (padded(2, Guard(offset=-1, limit=1, strides=(1,)), strides=(2,)), ""),
        (
            padded(2, Guard(limit=2, strides=(1,)), strides=(2,)),
            "address = 2: .* is off a word of 4",
        ),
        (padded(-4, TWO_LAST, strides=(18,)), "address = 22: channel 2 is off a word of 4 bytes"),
        (padded(0, TWO_LAST, spatial_strides=(3,)), "address = 6: channel 2 is off a word"),
        (
            padded(-26, TWO_LAST, bounds=(1,), spatial_strides=(13,)),
            "address = 0: channel 2 lies at a stride of 13, off a word of 4",
        ),
    ],
)
def test_only_channels_that_exist_have_an_address(descriptor: BufferDescriptor, text: str) -> None:
    if not text:
        words = descriptor.encode(GUARDED["A"])
        assert BufferDescriptor.decode(GUARDED["A"], words).base == descriptor.base
        return
    with pytest.raises(DescriptorError, match=text):
        descriptor.encode(GUARDED["A"])


@settings(max_examples=150, deadline=None)
@given(data=st.data(), name=st.sampled_from(["A", "C"]))
def test_addresses_are_judged_as_by_looking_at_every_channel_that_exists(
    data: Any, name: str
) -> None:
    """A reaches every bank, C only some."""
    memory, mover, word = TINY.memory, TINY.mover(name), TINY.memory.word_bytes
    mode = data.draw(st.sampled_from(memory.modes(mover.reach)))
    dimensions = len(mover.spatial_bounds)
    step = st.one_of(
        st.sampled_from([0, 4, 16, 64, 256, 1024]).map(lambda words: words * word),
        st.integers(-80, 80),
    )
    extents = st.one_of(st.integers(0, 16), st.integers(memory.bytes // word - 20, 4200))
    base = data.draw(extents) * word - data.draw(st.sampled_from([0, 16, 64, 128, 2]))
    descriptor = BufferDescriptor(
        base=base,
        bounds=data.draw(st.tuples(*[st.integers(1, 4)] * 3)),
        strides=data.draw(st.tuples(step, step, step)),
        spatial_strides=data.draw(st.sampled_from([(4, 16), (4, 0), (-4, 16), (4, 64), (2, 4)]))[
            :dimensions
        ],
        mode=mode,
        guards=tuple(data.draw(st.lists(windows(3, dimensions), min_size=1, max_size=2))),
    )
    group, everywhere = memory.groups[mode], (Window(value=0, limit=1),)
    good = True
    for address, there in zip(
        rows(descriptor.bounds, descriptor.strides, base).tolist(),
        existing(descriptor, mover.spatial_bounds),
        strict=True,
    ):
        enabled = sum(1 << channel for channel in np.flatnonzero(there).tolist())
        spread = (mover.spatial_bounds, descriptor.spatial_strides, address)
        good &= not any(flaws(memory, *spread, group, mover.reach, everywhere, enabled))
    if good:
        walk = decode(GUARDED[name], descriptor.encode(GUARDED[name]))
        assert isinstance(walk, Walk)
        assert ModelScratchpad(memory).check(walk, mover.reach) is None
    else:
        with pytest.raises(DescriptorError, match="address = "):
            descriptor.encode(GUARDED[name])


def test_the_number_of_rows_does_not_matter() -> None:
    """A padded image in batches that revisit it: 16 billion rows."""
    image = BufferDescriptor(
        base=-4 * (66 + 1),
        bounds=(17, 66, 3, 3, 1000, 1000),
        strides=(16, 264, 4, 264, 0, 0),
        spatial_strides=(4,),
        guards=(
            Guard(offset=-1, limit=66, strides=(4, 0, 1), coefficient=1),
            Guard(offset=-1, limit=62, strides=(0, 1, 0, 1)),
        ),
    )
    image.encode(GUARDED["A"])
    beyond = replace(image.guards[1], limit=63)
    with pytest.raises(DescriptorError, match="leaves the scratchpad"):
        replace(image, guards=(image.guards[0], beyond)).encode(GUARDED["A"])


def test_more_than_can_be_looked_at_is_refused() -> None:
    tied = Guard(offset=-5, limit=1 << 30, strides=(1, 1000))
    descriptor = padded(-20, tied, bounds=(1000, 1000), strides=(0, 4))
    with pytest.raises(DescriptorError, match=r"guards = 1000000: they tie together loops of more"):
        descriptor.encode(GUARDED["A"])
