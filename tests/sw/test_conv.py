"""Mapping a convolution: where each byte that the array is given comes from, and what fits."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from support.convolutions import Problem, check_convolution, problems
from support.pages import named_config
from support.placements import held
from support.quantized import QUANTIZED
from support.sequences import opened
from weft.hw.config import MemoryConfig
from weft.hw.errors import WeftError
from weft.hw.mover.descriptor import Descriptor
from weft.sim.golden.places import NOWHERE, places, scratchpad_bytes
from weft.sw import MemRef
from weft.sw.array_pass import Move
from weft.sw.commands import Push
from weft.sw.conv import ConvMapper
from weft.sw.conv_passes import ConvPasses
from weft.sw.conv_tile import ConvShape, ConvTile
from weft.sw.conv_tiling import ConvPlan, plan_convolution
from weft.sw.errors import MappingError
from weft.sw.placement import Placement
from weft.sw.quantization import Quantization
from weft.sw.reach import bank_of
from weft.sw.run_array import ArrayRunner

TINY, DEFAULT = named_config("tiny"), named_config("datamaestro")
SMALL = replace(TINY, name="small", memory=replace(TINY.memory, rows=32))
"""A scratchpad of 2 KiB: many tiles, parts of the channels, or even of the kernel."""
FEW_QUANTIZED = replace(QUANTIZED, name="few", memory=replace(QUANTIZED.memory, rows=64))
"""4 KiB."""
IMAGE, WEIGHTS, OUT = 0x100_0000, 0x200_0000, 0x300_0000
ANYTHING, UNKNOWN = -2, -3


class Loaded:
    """For each byte of the scratchpad, the DRAM address that it was loaded from."""

    def __init__(self, mapper: ConvMapper) -> None:
        self.mapper, self.config = mapper, mapper.config
        self.sources = np.full(self.config.memory.bytes, UNKNOWN, np.int64)

    def load(self, move: Move | None) -> None:
        if move is None:
            return
        pair = self.mapper.load
        source = places(self.config, pair.dram, move.dram)
        target = places(self.config, pair.scratchpad, move.scratchpad)
        beat = pair.scratchpad.channels * self.config.memory.word_bytes
        assert -(-source.size // beat) * beat == target.size
        # The last beat may be short.
        where = scratchpad_bytes(self.config, move.scratchpad.mode, target[: source.size])
        self.sources[where] = source

    def read(self, port: str, work: Any) -> NDArray[np.int64]:
        """A row of sources for each beat that a mover gives to the array."""
        mover, walk = self.config.bound_to(port), work.streams[port]
        assert mover is not None
        walk.encode(Descriptor(self.config, mover))
        found = places(self.config, mover, walk)
        inside = found != NOWHERE
        found[inside] = self.sources[scratchpad_bytes(self.config, walk.mode, found[inside])]
        return found.reshape(-1, mover.channels * self.config.memory.word_bytes)


def passes_of(plan: ConvPlan, problem: Problem, c: bool = False) -> ConvPasses:
    p = problem

    def ref(address: int, shape: tuple[int, ...], dtype: Any) -> MemRef:
        strides = tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
        return MemRef(address=address, offset=0, sizes=shape, strides=strides, dtype=dtype)

    out = ref(OUT, p.convolution.outputs, np.int32)
    return ConvPasses(
        plan,
        image=ref(IMAGE, (p.h, p.w, p.c), np.int8),
        weights=ref(WEIGHTS, (p.r, p.s, p.c, p.k), np.int8),
        d=out,
        c=out if c else None,
        stride=p.stride[1],
        before=p.pad[1][0],
    )


def image_source(problem: Problem, y: int, x: int, r: int, s: int, c: int) -> int:
    """Of what the definition multiplies with weight (r, s, c)."""
    p = problem
    row = y * p.stride[0] + r * p.dilation[0] - p.pad[0][0]
    column = x * p.stride[1] + s * p.dilation[1] - p.pad[1][0]
    if 0 <= row < p.h and 0 <= column < p.w:
        return IMAGE + (row * p.w + column) * p.c + c
    return NOWHERE


def kernel_steps(plan: ConvPlan, problem: Problem, tile: ConvTile) -> list[list[Any]]:
    """For each K step, its taps (r, s, c); None where it has no more."""
    ku = plan.mapper.array.ku
    steps = []
    for r, s in itertools.product(tile.down, tile.across):
        taps: list[Any] = [
            (r, *divmod(c, problem.c)) if plan.windowed else (r, s, c) for c in tile.channels
        ]
        taps += [None] * (-len(taps) % ku)
        steps += [taps[first : first + ku] for first in range(0, len(taps), ku)]
    return steps


def pixel_beats(plan: ConvPlan, tile: ConvTile) -> list[list[Any]]:
    """For each beat of mu outputs, which (y, x) they are; None beyond the last of a row."""
    mu = plan.mapper.array.mu
    rows: list[list[Any]] = [[(y, x) for x in tile.columns] for y in tile.rows]
    length = plan.mapper.row_length(tile.shape)
    if length is not None:
        gap = [None] * (length - len(tile.columns))
        rows = [list(itertools.chain(*(row + gap for row in rows[:-1]), rows[-1]))]
    beats = []
    for row in rows:
        whole: list[Any] = row + [None] * (-len(row) % mu)
        beats += [whole[first : first + mu] for first in range(0, len(whole), mu)]
    return beats


def check_mapping(config: Any, problem: Problem) -> ConvPlan:
    plan = plan_convolution(config, problem.convolution, with_c=False)
    mapper, loaded, covered = plan.mapper, Loaded(plan.mapper), 0
    nu = mapper.array.nu
    for tile, work in zip(plan.tiles(), passes_of(plan, problem), strict=True):
        assert mapper.fits(tile.shape)
        for move in work.loads:
            loaded.load(move)
        steps, beats = kernel_steps(plan, problem, tile), pixel_beats(plan, tile)
        across = [range(first, first + nu) for first in tile.filters[::nu]]
        assert work.steps == len(steps) * len(beats) * len(across)
        a, b = loaded.read("array.a", work), loaded.read("array.b", work)
        assert len(a) == len(b) == work.steps
        wanted_a = np.array(
            [
                [
                    ANYTHING
                    if pixel is None or tap is None
                    else image_source(problem, *pixel, *tap)
                    for pixel in beat
                    for tap in step
                ]
                for beat in beats
                for _ in across
                for step in steps
            ]
        )
        wanted_b = np.array(
            [
                [
                    NOWHERE
                    if tap is None or k not in tile.filters
                    else WEIGHTS
                    + ((tap[0] * problem.s + tap[1]) * problem.c + tap[2]) * problem.k
                    + k
                    for tap in step
                    for k in filters
                ]
                for _ in beats
                for filters in across
                for step in steps
            ]
        )
        assert np.array_equal(np.where(wanted_a == ANYTHING, ANYTHING, a), wanted_a)
        assert UNKNOWN not in a[:, : mapper.block]
        assert np.array_equal(b, wanted_b)
        shape = tile.shape
        taps = shape.down * shape.across * shape.channels
        covered += shape.rows * shape.columns * shape.filters * taps
    assert covered == problem.convolution.macs
    return plan


@settings(max_examples=15, deadline=None)
@given(config=st.sampled_from([TINY, SMALL, DEFAULT]), problem=problems(7, 10))
def test_the_array_is_given_what_the_definition_says(config: Any, problem: Problem) -> None:
    check_mapping(config, problem)


PAIRS = {"stride": (2, 2), "pad": ((1, 1), (1, 1))}


@pytest.mark.parametrize(
    "problem",
    [
        Problem(h=9, w=9, c=3, k=8, r=7, s=7, stride=(2, 2), pad=((3, 3), (3, 3))),
        Problem(h=5, w=40, c=3, k=8, r=3, s=3, pad=((1, 1), (1, 1))),
        Problem(h=8, w=9, c=8, k=9, r=3, s=3, **PAIRS),
        Problem(h=8, w=9, c=20, k=9, r=3, s=3, **PAIRS),
        Problem(h=9, w=7, c=8, k=5, stride=(2, 2)),
        Problem(h=5, w=10, c=4, k=3, r=3, s=3, pad=((1, 1), (1, 1))),
        Problem(h=4, w=9, c=3, k=3, r=3, s=5, pad=((0, 2), (4, 1)), dilation=(1, 2)),
        Problem(h=1, w=1, c=5, k=3, r=3, s=3, pad=((1, 1), (1, 1))),
        Problem(h=3, w=3, c=2, k=2, pad=((2, 2), (2, 2))),
        Problem(h=11, w=5, c=4, k=4, r=5, s=1, dilation=(2, 1)),
        Problem(h=3, w=3, c=130, k=4, r=3, s=3, pad=((1, 1), (1, 1))),
    ],
)
@pytest.mark.parametrize("config", [SMALL, DEFAULT], ids=lambda config: config.name)
def test_the_usual_kinds_map(config: Any, problem: Problem) -> None:
    check_mapping(config, problem)


def test_a_kernel_that_does_not_fit_is_cut() -> None:
    few = replace(TINY, memory=replace(TINY.memory, rows=16))
    for r, s, cut in ((7, 5, "down"), (1, 40, "across")):
        problem = Problem(h=r + 1, w=s, c=3, k=3, r=r, s=s, pad=((1, 0), (0, 1)))
        plan = plan_convolution(few, problem.convolution, with_c=False, windows=False)
        kernel = {"down": r, "across": s}
        assert getattr(plan.shape, cut) < kernel[cut]
        check_convolution(opened(few), problem)


def planned(**letters: Any) -> ConvPlan:
    return plan_convolution(DEFAULT, Problem(**letters).convolution, with_c=False)


def test_few_channels_are_put_together_a_kernel_row_at_a_time() -> None:
    letters: dict[str, Any] = {"r": 7, "s": 7, "stride": (2, 2), "pad": ((3, 3), (3, 3))}
    plan = planned(h=64, w=64, c=3, k=64, **letters)
    assert plan.windowed
    # 21 bytes a kernel row are 3 K steps; 7 pixels of 8 channels would be 7.
    assert plan.mapper.depth(plan.shape) == 7 * 3
    assert not planned(h=16, w=16, c=8, k=8, r=3, s=3).windowed
    problem = Problem(h=64, w=64, c=3, k=64, **letters).convolution
    other = plan_convolution(DEFAULT, problem, with_c=False, windows=False)
    assert other.mapper.depth(other.shape) == 7 * 7


def test_rows_of_single_pixels_continue_one_another() -> None:
    steps = 7 * 7 // 8 + 1
    for stride, extent in ((1, 7), (2, 14)):
        plan = planned(h=extent, w=extent, c=64, k=8, stride=(stride, stride))
        assert sum(plan.mapper.steps(tile.shape) for tile in plan.tiles()) == steps * 8
        assert plan.mapper.pixel_step(plan.shape) == 1


def test_rows_that_no_beats_fit_are_walked_as_one() -> None:
    """A row of 28 takes 4 beats of 8 outputs; with the zero between it and the next 29 outputs."""
    problem = Problem(h=28, w=28, c=32, k=32, r=3, s=3, pad=((1, 1), (1, 1)))
    plan = plan_convolution(DEFAULT, problem.convolution, with_c=False)
    mapper = plan.mapper
    assert mapper.row_length(plan.shape) == 29
    rows = plan.shape.rows
    assert rows > 2
    assert mapper.beats(plan.shape) == -(-((rows - 1) * 29 + 28) // 8)
    assert mapper.image(next(plan.tiles())).width == 29
    # The zeros come from the DMA, and not from memory.
    work = next(iter(passes_of(plan, problem)))
    assert work.load_a is not None
    assert work.load_a.nbytes % (28 * plan.shape.channels) == 0
    even = planned(h=16, w=16, c=32, k=32, r=3, s=3, pad=((1, 1), (1, 1)))
    assert even.mapper.row_length(even.shape) is None


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", [8, 32, 64, 128])
def test_a_beat_leaves_banks_of_a_half_to_the_next(channels: int, stride: int) -> None:
    problem = Problem(h=32, w=32, c=channels, k=32, r=3, s=3, stride=(stride, stride)).convolution
    shape = ConvShape(rows=2, columns=8, filters=8, down=3, across=3, channels=channels)
    half = ConvMapper(DEFAULT, Placement.double(DEFAULT), problem)
    pixels, columns = range(2), range(8)
    tile = ConvTile(
        rows=pixels,
        columns=columns,
        filters=range(8),
        down=range(3),
        across=range(3),
        channels=range(channels),
    )
    image = half.image(tile)
    word = half.pixel_step(shape) * (image.pitch // 8) * np.arange(8)
    banks = bank_of(DEFAULT.memory, image.layout.mode, image.layout.base // 8 + word)
    # Every other one; but where a pixel is one K step, and the next step a pixel further on, these
    # would be the same banks again.
    apart = 1 if (channels, stride) == (8, 1) else 2
    assert sorted(banks.tolist()) == list(range(0, 8 * apart, apart))
    # In a quarter a stride folds a beat.
    quarter = next(p for p in Placement.alternatives(DEFAULT) if p.a[0].group == 8)
    assert ConvMapper(DEFAULT, quarter, problem).folds(shape) == stride


def test_a_tile_is_not_cut_below_what_a_result_takes_to_come_out() -> None:
    """Nor does a beat of A that folds count where its repeater gives it again."""
    problem = Problem(h=32, w=32, c=96, k=64).convolution
    plan = plan_convolution(DEFAULT, problem, with_c=False)
    assert plan.shape.channels == 96
    shape = replace(plan.shape, channels=48)
    mapper = plan.mapper
    assert 8 * mapper.steps(shape) == 6 * mapper.cycles(shape)
    assert mapper.fetches(plan.shape) * 8 == mapper.steps(plan.shape) == mapper.cycles(plan.shape)


def test_int8_alone_need_no_room_for_sums() -> None:
    """Unless a bias stands there, or what there is does not do for all of a kernel."""
    problem = Problem(h=9, w=9, c=20, k=40, pad=((1, 1), (1, 1))).convolution
    plans = [
        plan_convolution(FEW_QUANTIZED, problem, with_c=with_c, to_d=to_d, to_e=True)
        for with_c, to_d in ((False, False), (True, False), (False, True))
    ]
    assert [bool(plan.mapper.placement.d[0].size) for plan in plans] == [False, True, True]
    alone, *others = (len(list(plan.tiles())) for plan in plans)
    assert all(alone < tiles for tiles in others)
    few = replace(QUANTIZED, memory=replace(QUANTIZED.memory, rows=32))
    deep = Problem(h=2, w=2, c=300, k=4)
    plan = plan_convolution(few, deep.convolution, with_c=False, to_d=False, to_e=True)
    assert plan.mapper.placement.d[0].size
    check_convolution(opened(few), deep, results="e")


def test_what_stays_is_loaded_once() -> None:
    letters: dict[str, Any] = {"h": 32, "w": 32, "c": 16, "k": 32, "r": 3, "s": 3}
    problem = Problem(**letters)
    plan = planned(**letters)
    works = list(passes_of(plan, problem))
    assert len(works) > 2
    assert sum(work.load_b is not None for work in works) == 1
    # Rows above and below those of a tile's outputs come again with the next tile, no others.
    bytes_a = sum(work.load_a.nbytes for work in works if work.load_a is not None)
    assert bytes_a == (32 + 2 * (len(works) - 1)) * 32 * 16


def test_the_first_pass_is_long_enough_for_the_loads_of_the_second() -> None:
    """Four output rows: two are half as many steps, in which the other half of the weights, at a
    beat in two cycles, would not come."""
    plan = planned(h=16, w=16, c=64, k=64, r=3, s=3, pad=1, stride=2)
    first, second = list(plan.tiles())[:2]
    assert first.channels != second.channels
    beat = plan.mapper.gemm.beat
    loaded = plan.mapper.layout_b(second.shape), plan.mapper.image(second).layout
    beats = sum(-(-layout.rows * layout.row_bytes // beat) for layout in loaded)
    assert 2 * beats <= plan.mapper.steps(first.shape)


def test_placements_have_their_regions_apart() -> None:
    for config in (TINY, DEFAULT):
        for placement in Placement.alternatives(config):
            places = held(config.memory, placement)
            assert len(set(places)) == len(places)


def test_what_cannot_be_mapped_is_refused() -> None:
    few = MemoryConfig(banks=16, bank_bits=32, rows=2, groups=(16, 8, 4, 1))
    with pytest.raises(MappingError, match="128 bytes holds no tile of 4x4x4 of this convolution"):
        plan_convolution(
            replace(TINY, memory=few), Problem(h=4, w=4, c=4, k=4).convolution, with_c=False
        )


# The device over the functional model.


@settings(max_examples=8, deadline=None)
@given(
    config=st.sampled_from([TINY, SMALL, replace(TINY, sequencer=None)]),
    problem=problems(9, 12),
    bias=st.sampled_from(["", "filter", "full"]),
    prefetch=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_convolution(
    config: Any, problem: Problem, bias: str, prefetch: bool, seed: int
) -> None:
    check_convolution(opened(config, prefetch=prefetch), problem, bias=bias, seed=seed)


@settings(max_examples=8, deadline=None)
@given(
    config=st.sampled_from([QUANTIZED, FEW_QUANTIZED, replace(QUANTIZED, sequencer=None)]),
    problem=problems(9, 12),
    results=st.sampled_from(["e", "de"]),
    bias=st.sampled_from(["", "filter", "full"]),
    prefetch=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_convolution_to_int8(
    config: Any, problem: Problem, results: str, bias: str, prefetch: bool, seed: int
) -> None:
    dev = opened(config, prefetch=prefetch)
    report = check_convolution(dev, problem, bias=bias, seed=seed, results=results)
    size = {"e": 1, "de": 5}[results]
    assert report.bytes_written == size * np.prod(problem.convolution.outputs)


@pytest.mark.parametrize("config", [SMALL, replace(SMALL, sequencer=None)])
def test_a_task_may_begin_before_the_scratchpad(config: Any) -> None:
    """Where only guarded pixels are, and with a base of its own."""
    problem = Problem(h=6, w=4, c=12, k=5, r=3, s=5, stride=(2, 2), pad=((1, 1), (2, 2)))
    plan = plan_convolution(config, problem.convolution, with_c=False)
    works = passes_of(plan, problem)
    runner = ArrayRunner(config, placement=plan.mapper.placement, passes=works, macs=1)
    bases = [command.base for command in runner.commands if isinstance(command, Push)]
    assert any(base is not None and base < 0 for base in bases)
    check_convolution(opened(config), problem)


@pytest.mark.soak
@settings(max_examples=400, deadline=None)
@given(
    config=st.sampled_from([TINY, SMALL]),
    problem=problems(16, 24),
    bias=st.sampled_from(["", "filter", "full"]),
    prefetch=st.booleans(),
)
def test_any_larger_convolution(config: Any, problem: Problem, bias: str, prefetch: bool) -> None:
    check_convolution(opened(config, prefetch=prefetch), problem, bias=bias)


def test_a_bias_is_one_row_where_it_can_be_spread() -> None:
    problem = Problem(h=2, w=4, c=4, k=4, r=2, s=1)
    narrow = [replace(m, extensions=()) if m.name == "C" else m for m in TINY.movers]
    for config, rows in ((TINY, 1), (replace(TINY, movers=tuple(narrow)), 4)):
        without = check_convolution(opened(config), problem)
        biased = check_convolution(opened(config), problem, bias="filter")
        assert without.tiles == biased.tiles == 1
        assert biased.bytes_read - without.bytes_read == 4 * 4 * rows
        # A partial result comes back as C, behind the bias.
        small = replace(config, memory=SMALL.memory)
        check_convolution(opened(small), replace(problem, c=100), bias="filter")


def test_views_and_a_result_that_is_added_to() -> None:
    dev, random = opened(), np.random.default_rng(2)
    image, weights = dev.allocate((9, 12, 8), np.int8), dev.allocate((3, 3, 5, 8), np.int8)
    out = dev.allocate((9, 9, 9), np.int32)
    image[:], weights[:] = random.integers(-128, 128, image.shape), random.integers(-9, 9)
    out[:] = before = random.integers(-1000, 1000, out.shape)
    view, some, target = image[1:8, 2:10, 3:8], weights[..., 2:7], out[1:6, 3:9, 2:7]
    dev.conv(view, some, target, bias=target)
    padded = np.zeros((5, 6, 5), np.int64)
    for r, s in np.ndindex(3, 3):
        padded += view[r : r + 5, s : s + 6].astype(np.int64) @ some[r, s].astype(np.int64)
    before[1:6, 3:9, 2:7] += padded
    np.testing.assert_array_equal(out, before)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"image": ((6, 6, 3), np.int16)}, "image has dtype int16: must be int8"),
        ({"image": ((6, 6), np.int8)}, r"image has shape \(6, 6\): must have 3 dimensions"),
        ({"weights": ((3, 3, 4, 5), np.int8)}, r"weights have shape \(3, 3, 4, 5\): .* 3 channels"),
        ({"out": ((4, 4, 5), np.int8)}, "out has dtype int8: must be int32"),
        ({"out": ((4, 5, 5), np.int32)}, r"out has shape \(4, 5, 5\): must be \(4, 4, 5\)"),
        ({"bias": ((4,), np.int32)}, r"bias has shape \(4,\): must be \(5,\)"),
        ({"bias": ((5,), np.int8)}, "bias has dtype int8: must be int32"),
        ({"weights": ((9, 3, 3, 5), np.int8)}, "rows: a kernel of 9 .* padding only 6"),
    ],
)
def test_operands_that_do_not_suit_are_refused(change: dict[str, Any], text: str) -> None:
    dev = opened()
    shapes: dict[str, Any] = {
        "image": ((6, 6, 3), np.int8),
        "weights": ((3, 3, 3, 5), np.int8),
        "out": ((4, 4, 5), np.int32),
    }
    arrays = {name: dev.allocate(*spec) for name, spec in (shapes | change).items()}
    with pytest.raises(WeftError, match=text):
        dev.conv(**arrays)


def test_int8_that_cannot_be_is_refused() -> None:
    every = Quantization()
    for config, problem, text in (
        (TINY, {"quantization": every}, "configuration tiny has no quantizer"),
        (TINY, {}, "out has dtype int8: must be int32"),
        (QUANTIZED, {"quantization": Quantization(shift=np.arange(4))}, "shift has 4 values"),
    ):
        dev = opened(config)
        image, weights = dev.allocate((6, 6, 5), np.int8), dev.allocate((1, 1, 5, 5), np.int8)
        with pytest.raises(MappingError, match=text):
            dev.conv(image, weights, dev.allocate((6, 6, 5), np.int8), **problem)
        assert len(dev.buffers) == 3
    d = dev.allocate((6, 6, 5), np.int32)
    for out, text in (
        (image, "out lies over image, which is still read"),
        ((d, d.view(np.int8)[..., ::4]), r"out\[1\] has strides"),
        ((d, d.reshape(-1).view(np.int8)[:180].reshape(6, 6, 5)), r"out\[0\] lies over out\[1\]"),
        ((d, None, None), "out is a tuple: must be"),
    ):
        with pytest.raises(MappingError, match=text):
            dev.conv(image, weights, out, quantization=every)


def test_results_that_lie_over_something_are_refused() -> None:
    dev = opened()
    memory = dev.allocate(4096, np.int8)
    image, weights = memory[:108].reshape(6, 6, 3), memory[108:243].reshape(3, 3, 3, 5)
    out = memory[240:560].view(np.int32).reshape(4, 4, 5)
    with pytest.raises(MappingError, match="out lies over weights, which is still read"):
        dev.conv(image, weights, out)
    apart = memory[1024:1344].view(np.int32).reshape(4, 4, 5)
    rows = replace(MemRef.from_numpy(apart), strides=(20, 4, 1))
    with pytest.raises(MappingError, match=r"out has strides \(20, 4, 1\): its rows overlap"):
        dev.conv(image, weights, rows)
    with pytest.raises(MappingError, match="of its last dimension must be contiguous"):
        dev.conv(image.transpose(2, 1, 0), weights, apart)
