"""Lowering against the definitions: a descriptor moves the bytes of the walk, in its order."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.pages import named_config
from weft.hw.config import AcceleratorConfig
from weft.hw.mover.descriptor import Descriptor
from weft.sim.golden.tasks import Walk, decode
from weft.sw.blocked import BlockedLayout, contiguous
from weft.sw.descriptor import BufferDescriptor
from weft.sw.errors import DescriptorError, MappingError
from weft.sw.lower import (
    MAX_BOUND,
    coalesce,
    discard,
    lower,
    lower_bands,
    lower_rows,
    lower_run,
    runs,
    slices,
)
from weft.sw.memref import MemRef

CONFIGS = {name: named_config(name) for name in ("tiny", "datamaestro")}
MM2S = CONFIGS["tiny"].mover("MM2S0")


def walk(config: AcceleratorConfig, mover: str, descriptor: BufferDescriptor) -> Walk:
    spec = Descriptor(config, config.mover(mover))
    found = decode(spec, descriptor.encode(spec))
    assert isinstance(found, Walk)
    return found


def stream(descriptor: BufferDescriptor) -> list[int | None]:
    """Address of every byte of the stream; None for one that does not exist."""
    found = walk(CONFIGS["tiny"], "MM2S0", descriptor)
    return [
        start + index if exists else None
        for start, row in zip(found.addresses.tolist(), found.exists, strict=True)
        for index, exists in enumerate(row.tolist())
    ]


def view(sizes: Any, strides: Any, dtype: Any = np.int8, offset: int = 1000) -> MemRef:
    return MemRef(address=4096, offset=offset, sizes=sizes, strides=strides, dtype=np.dtype(dtype))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), rank=st.integers(0, 4), dtype=st.sampled_from([np.int8, np.int32]))
def test_the_stream_is_the_walk(data: Any, rank: int, dtype: Any) -> None:
    sizes = data.draw(st.tuples(*[st.integers(0, 5)] * rank))
    strides = data.draw(st.tuples(*[st.sampled_from([-7, -1, 0, 1, 2, 5, 10, 25])] * rank))
    ref = view(sizes, strides, dtype)
    expected = [start + i for start in ref.access_order() for i in range(ref.itemsize)]
    assert stream(lower(MM2S, ref)) == expected


@pytest.mark.parametrize(
    ("sizes", "strides", "run", "loops"),
    [
        ((6, 8), (8, 1), 48 * 4, []),
        ((6, 1, 8), (8, 99, 1), 48 * 4, []),
        ((6, 8), (10, 1), 8 * 4, [(6, 40)]),
        ((3, 2, 8), (20, 10, 1), 8 * 4, [(6, 40)]),
        ((3, 2, 8), (50, 10, 1), 8 * 4, [(2, 40), (3, 200)]),
        ((8, 6), (1, 8), 4, [(6, 32), (8, 4)]),
        ((), (), 4, []),
    ],
)
def test_contiguous_dimensions_merge(sizes: Any, strides: Any, run: int, loops: Any) -> None:
    assert coalesce(view(sizes, strides, np.int32)) == (run, loops)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), rank=st.integers(0, 6), dtype=st.sampled_from([np.int8, np.int32]))
def test_slices_and_runs_are_the_walk_in_its_order(data: Any, rank: int, dtype: Any) -> None:
    sizes = data.draw(st.tuples(*[st.integers(0, 3)] * rank))
    strides = data.draw(st.tuples(*[st.sampled_from([-7, 0, 1, 2, 3, 9, 25])] * rank))
    ref = view(sizes, strides, dtype)
    expected = list(ref.access_order())
    pieces = slices(MM2S, ref)
    assert [a for piece in pieces for a in piece.access_order()] == expected
    moved = [address for piece in pieces for address in stream(lower(MM2S, piece))]
    assert moved == [start + i for start in expected for i in range(ref.itemsize)]
    if len(pieces) > 1:
        with pytest.raises(MappingError):
            lower(MM2S, ref)
    parts = runs(ref)
    assert all(part.is_contiguous for part in parts)
    assert [a for part in parts for a in part.access_order()] == expected


@pytest.mark.parametrize(
    ("sizes", "strides", "granule", "pieces"),
    [
        ((100_000,), (3,), 1, [100_000]),
        ((65_537,), (3,), 1, [65_535, 2]),
        ((65_537,), (3,), 16, [65_520, 17]),
        ((2, 65_537), (300_000, 3), 1, [65_535, 2] * 2),
        ((1 << 24) + 43, 1, 1, [(1 << 24) - 1, 44]),
        ((1 << 24) + 43, 1, 8, [(1 << 24) - 8, 51]),
        ((196_613,), (3,), 1, [3 * MAX_BOUND, 8]),
        ((5, 2, 2, 2, 2), (512, 64, 16, 5, 2), 1, [16] * 5),
    ],
)
def test_what_does_not_factor_is_sliced(
    sizes: Any, strides: Any, granule: int, pieces: list[int]
) -> None:
    ref = view(np.atleast_1d(sizes).tolist(), np.atleast_1d(strides).tolist())
    found = slices(MM2S, replace(ref, sizes=tuple(ref.sizes)), granule=granule)
    assert [piece.nbytes for piece in found] == pieces


def test_slices_that_help_nobody_are_refused() -> None:
    with pytest.raises(MappingError, match="pieces of 81 bytes, which are not whole words of 4"):
        slices(MM2S, view((2, 3, 3, 3, 3), (999, 300, 90, 20, 2)), granule=4)
    with pytest.raises(MappingError, match="more than 1024 descriptors"):
        slices(MM2S, view((2000, 2, 2, 2, 2), (512, 64, 16, 5, 2)))
    with pytest.raises(MappingError, match="has 2000 runs; 1024 can be moved"):
        runs(view((2000, 2), (3, 1)))


def test_long_loops_and_runs_are_factored_or_refused() -> None:
    long_loop = lower(MM2S, view((100_000,), (3,)))
    assert long_loop.bounds == (50_000, 2)
    assert long_loop.strides == (3, 150_000)
    long_run = lower(MM2S, view((5 << 23,), (1,)))
    assert long_run.run_length * long_run.bounds[0] == 5 << 23
    assert long_run.strides == (long_run.run_length,)
    with pytest.raises(MappingError, match="a loop of 65537 iterations exceeds 65535"):
        lower(MM2S, view((65537,), (3,)))
    with pytest.raises(MappingError, match="takes 5 loops; MM2S0 has 4"):
        lower(MM2S, view((2,) * 5, (1000, 300, 100, 30, 3)))


@settings(max_examples=40, deadline=None)
@given(length=st.integers(1, 60), drop=st.integers(0, 20))
def test_what_is_dropped_does_not_exist(length: int, drop: int) -> None:
    ref = view((length,), (1,))
    expected = [*ref.access_order(), *[None] * drop]
    assert stream(lower_run(MM2S, ref, drop=drop)) == expected
    tail = stream(discard(MM2S, 4096, drop)) if drop else []
    assert stream(lower(MM2S, ref)) + tail == expected


@settings(max_examples=100, deadline=None)
@given(data=st.data(), rank=st.integers(1, 4), dtype=st.sampled_from([np.int8, np.int32]))
def test_any_two_dimensions_are_padded(data: Any, rank: int, dtype: Any) -> None:
    """As `numpy.pad` does it to the addresses."""
    sizes = data.draw(st.tuples(*[st.integers(1, 4)] * rank))
    dense = [int(np.prod(sizes[d + 1 :])) for d in range(rank)]
    strides = tuple(data.draw(st.sampled_from([own, own, 7, -5, 0, 40])) for own in dense)
    padded = data.draw(st.sets(st.integers(0, rank - 1), max_size=2))
    counts = st.tuples(st.integers(0, 3), st.integers(0, 3))
    padding = tuple(data.draw(counts) if d in padded else (0, 0) for d in range(rank))
    ref = view(sizes, strides, dtype)
    addresses = np.array(list(ref.access_order())).reshape(sizes)
    elements = np.pad(addresses, padding, constant_values=-1).reshape(-1).tolist()
    expected = [
        None if start < 0 else start + byte for start in elements for byte in range(ref.itemsize)
    ]
    descriptor = lower(MM2S, ref, padding=padding, pad=3)
    assert descriptor.pad == 3
    assert stream(descriptor) == expected


@pytest.mark.parametrize(
    ("sizes", "padding", "message"),
    [
        ((4, 4), ((1, 1),), r"padding = \(\(1, 1\),\): must be counts before and after each"),
        ((4,), ((0, -1),), "must be counts before and after"),
        ((4, 0), ((0, 0), (1, 0)), "there is nothing that could be padded"),
        ((4, 4, 4), ((1, 0),) * 3, "takes 3 guards; MM2S0 has 2"),
        ((4,), ((0, 1 << 24),), "a padded run of 16777220 bytes exceeds"),
        ((4, 4), ((70_000, 0), (0, 0)), "a padded loop of 70004 iterations exceeds 65535"),
    ],
)
def test_padding_that_cannot_be(sizes: Any, padding: Any, message: str) -> None:
    strides = tuple(10**d for d in reversed(range(len(sizes))))
    with pytest.raises(MappingError, match=message):
        lower(MM2S, view(sizes, strides), padding=padding)


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    pitch=st.sampled_from([-9, 0, 6, 9]),
    below=st.integers(0, 3),
    right=st.integers(0, 9),
)
def test_rows_are_padded_right_and_below(
    height: int, width: int, pitch: int, below: int, right: int
) -> None:
    ref = view((height, width), (pitch, 1), np.int32)
    row_bytes = 4 * width + right
    rows = [
        [
            ref.first_address + 4 * pitch * row + i if i < 4 * width else None
            for i in range(row_bytes)
        ]
        for row in range(height)
    ] + [[None] * row_bytes] * below
    descriptor = lower_rows(MM2S, ref, rows=height + below, row_bytes=row_bytes)
    assert stream(descriptor) == [address for row in rows for address in row]


def test_a_matrix_whose_rows_touch_is_one_run() -> None:
    descriptor = lower_rows(MM2S, view((64, 64), (64, 1)), rows=64, row_bytes=64)
    assert descriptor.run_length == 4096
    assert descriptor.guards == ()


def test_rows_that_cannot_be_are_refused() -> None:
    with pytest.raises(MappingError, match="the rows of a matrix must be contiguous"):
        lower_rows(MM2S, view((4, 4), (1, 4)), rows=4, row_bytes=4)
    with pytest.raises(MappingError, match="4 rows of 4 bytes do not fit 4 of 3"):
        lower_rows(MM2S, view((4, 4), (4, 1)), rows=4, row_bytes=3)
    bare = CONFIGS["tiny"].mover("X")
    with pytest.raises(MappingError, match="X has no guard"):
        lower_rows(bare, view((4, 4), (4, 1)), rows=5, row_bytes=4)


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    pitch=st.sampled_from([-9, 0, 6, 9]),
    band=st.integers(1, 3),
    piece=st.integers(1, 8),
    more=st.tuples(st.integers(0, 2), st.integers(0, 2)),
)
def test_a_band_of_rows_is_walked_piece_by_piece(
    height: int, width: int, pitch: int, band: int, piece: int, more: tuple[int, int]
) -> None:
    ref = view((height, width), (pitch, 1), np.int32)
    bands, pieces = -(-height // band) + more[0], -(-4 * width // piece) + more[1]
    start, limit = ref.first_address, 4 * width
    expected = [
        start + 4 * pitch * row + column if row < height and column < limit else None
        for first in range(0, bands * band, band)
        for begin in range(0, pieces * piece, piece)
        for row in range(first, first + band)
        for column in range(begin, begin + piece)
    ]
    descriptor = lower_bands(
        MM2S, ref, rows=bands * band, row_bytes=pieces * piece, band=band, piece=piece
    )
    assert stream(descriptor) == expected


def test_bands_that_cannot_be_are_refused() -> None:
    with pytest.raises(MappingError, match="6 rows of 8 bytes: bands of 4 rows by 8"):
        lower_bands(MM2S, view((6, 8), (8, 1)), rows=6, row_bytes=8, band=4, piece=8)
    bare = replace(MM2S, loops=2)
    with pytest.raises(MappingError, match="take 3 loops and 0 guards; MM2S0 has 2 and"):
        lower_bands(bare, view((4, 8), (8, 1)), rows=4, row_bytes=8, band=2, piece=4)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(CONFIGS)), mover=st.sampled_from("XY"))
def test_rows_of_the_stream_meet_the_tiles(data: Any, name: str, mover: str) -> None:
    config = CONFIGS[name]
    word = config.memory.word_bytes
    beat = config.mover(mover).channels * word
    inner = config.mover(mover).spatial_bounds[0] * word
    width = data.draw(st.sampled_from([word, inner, beat, 2 * beat]))
    beats = data.draw(st.integers(1, 3)) * max(width // beat, 1)
    tile_rows = data.draw(st.integers(1, 4))
    layout = BlockedLayout(
        base=word * data.draw(st.integers(0, 9)),
        mode=data.draw(st.integers(0, len(config.memory.groups) - 1)),
        tile_rows=tile_rows,
        tile_row_bytes=width,
        tile_pitch=tile_rows * width + word * data.draw(st.integers(0, 2)),
        tiles_down=data.draw(st.integers(1, 3)),
        tiles_across=beats * beat // width,
    )
    banded = data.draw(st.booleans())
    found = walk(config, mover, layout.by_rows(config.memory, config.mover(mover), banded=banded))
    words = (found.addresses[:, None] + found.channels).reshape(-1)
    rows, piece = layout.tiles_down * tile_rows, beat if banded else layout.row_bytes
    band = tile_rows if banded else 1
    expected = []
    for first, begin in itertools.product(range(0, rows, band), range(0, layout.row_bytes, piece)):
        for row, at in itertools.product(range(first, first + band), range(0, piece, word)):
            column = begin + at
            tile = row // tile_rows * layout.tiles_across + column // width
            inside = row % tile_rows * width + column % width
            expected.append(layout.base + tile * layout.tile_pitch + inside)
    assert words.tolist() == expected
    assert found.mode == layout.mode
    assert max(expected) < layout.base + layout.bytes


def test_layouts_that_no_beat_can_walk_are_refused() -> None:
    memory, mover = CONFIGS["tiny"].memory, CONFIGS["tiny"].mover("Y")

    def refused(width: int, across: int) -> str:
        layout = BlockedLayout(
            base=0,
            mode=0,
            tile_rows=2,
            tile_row_bytes=width,
            tile_pitch=2 * width,
            tiles_down=1,
            tiles_across=across,
        )
        with pytest.raises(MappingError) as caught:
            layout.by_rows(memory, mover)
        return str(caught.value)

    assert "rows of 12 bytes are not whole beats of 16" in refused(4, 3)
    assert "tile rows of 2 bytes are not whole words of 4" in refused(2, 8)
    assert "one must be a multiple of the other" in refused(12, 4)
    # Channels in fours cannot walk tile rows of two words.
    memory, mover = CONFIGS["datamaestro"].memory, CONFIGS["datamaestro"].mover("Y")
    assert "no affine function of Y's channels (4, 2)" in refused(16, 4)


def test_a_contiguous_piece_ends_with_the_scratchpad() -> None:
    memory, mover = CONFIGS["tiny"].memory, CONFIGS["tiny"].mover("Y")
    found = walk(CONFIGS["tiny"], "Y", contiguous(memory, mover, base=memory.bytes - 32, length=17))
    words = (found.addresses[:, None] + found.channels).reshape(-1).tolist()
    assert words == list(range(memory.bytes - 32, memory.bytes, 4))
    with pytest.raises(DescriptorError, match="leaves the scratchpad"):
        walk(CONFIGS["tiny"], "Y", contiguous(memory, mover, base=memory.bytes - 16, length=17))
