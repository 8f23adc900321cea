"""The mapping: every product has tiles that fit, cover it once, and sit where they should."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.pages import named_config
from support.placements import held
from weft.hw.config import AcceleratorConfig, MemoryConfig
from weft.hw.mover.descriptor import Descriptor
from weft.sw.bands import by_bands
from weft.sw.conflicts import Stream, predict
from weft.sw.errors import MappingError
from weft.sw.gemm import GemmMapper
from weft.sw.gemm_layout import GemmForm, TileShape
from weft.sw.placement import Placement
from weft.sw.reach import bank_of, channel_offsets
from weft.sw.transfer import DmaPair

TINY, DEFAULT = named_config("tiny"), named_config("datamaestro")
# One addressing mode, so that the operands share all banks.
PLAIN = replace(TINY, memory=replace(TINY.memory, groups=(16,)))
CONFIGS = (TINY, DEFAULT, PLAIN)
MAPPERS = {config: GemmMapper(config) for config in CONFIGS}
DOUBLE = {config: GemmMapper(config, Placement.double(config)) for config in CONFIGS}


def held_by(mapper: GemmMapper, m: int, n: int, k: int) -> TileShape:
    """A tile of no more than these extents that fits: the longest is halved until it does."""
    shape = {"m": m, "n": n, "k": k}
    while not mapper.fits(TileShape(**shape)):
        longest = max(shape, key=lambda name: shape[name])
        shape[longest] = -(-shape[longest] // 2)
    return TileShape(**shape)


shapes = st.tuples(st.integers(1, 40), st.integers(1, 90), st.integers(1, 5000)).flatmap(
    st.permutations
)


@pytest.mark.parametrize("config", [TINY, DEFAULT], ids=["tiny", "datamaestro"])
def test_a_and_b_have_half_of_the_banks_each_and_d_all(config: AcceleratorConfig) -> None:
    single, double = Placement.single(config), Placement.double(config)
    groups = config.memory.groups
    for placement in (single, double):
        for operand, group in (("a", groups[1]), ("b", groups[1]), ("d", groups[0])):
            assert {region.group for region in getattr(placement, operand)} == {group}
        places = held(config.memory, placement)
        assert len(set(places)) == len(places) <= config.memory.banks * config.memory.rows
    # All of it where nothing is loaded beside the tile.
    assert len(held(config.memory, single)) == config.memory.banks * config.memory.rows
    (a,), (b,), (d,) = single.a, single.b, single.d
    assert a.size == b.size == d.size // 2 == config.memory.bytes // 4


def test_where_nothing_can_be_chosen_operands_follow_one_another() -> None:
    assert {region.mode for region in Placement.single(PLAIN).a} == {0}
    # Too few words for tiles that could be modelled.
    few = replace(TINY, memory=MemoryConfig(banks=16, bank_bits=32, rows=2, groups=(16, 8, 4, 1)))
    double = Placement.double(few)
    assert [r.base for r in (*double.a, *double.b, *double.d)] == [0, 16, 32, 48, 64, 96]


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("columns", [8, 16, 64, 128, 136])
def test_beats_of_a_and_b_leave_their_banks_to_others(columns: int, transposed: bool) -> None:
    """Where an operand walks from tile to tile, whichever way, every bank of its half is free in
    half of the cycles."""
    memory, words = DEFAULT.memory, 8
    form = GemmForm(transposed_a=transposed, transposed_b=transposed)
    mapper = GemmMapper(DEFAULT, Placement.double(DEFAULT), form)
    streams = mapper.streams(TileShape(m=columns, n=columns, k=128), with_c=False)
    for port, first in (("array.a", 0), ("array.b", 16)):
        walk = streams[port]
        steps = np.arange(16)
        start = (walk.base + steps * walk.strides[0]) // memory.word_bytes
        banks = bank_of(memory, walk.mode, start[:, None] + np.arange(words))
        assert walk.spatial_strides == (memory.word_bytes,)
        assert np.bincount(banks.ravel(), minlength=32)[first : first + 16].tolist() == [8] * 16


def test_the_steps_of_a_tile() -> None:
    assert MAPPERS[DEFAULT].steps(TileShape(m=9, n=8, k=17)) == 2 * 1 * 3


@pytest.mark.parametrize("reach", [0, 4, 8])
def test_a_beat_of_the_dma_meets_each_bank_once(reach: int) -> None:
    """Whatever banks the array's movers of C and D reach: a wider reach costs nothing."""
    movers = tuple(
        replace(mover, reach=reach) if mover.name in "CD" else mover for mover in DEFAULT.movers
    )
    config = replace(DEFAULT, movers=movers)
    layout = GemmMapper(config).layout_d(TileShape(m=64, n=64, k=64))
    store = config.mover("X")
    walk = layout.by_rows(config.memory, store)
    places = [walk.base + at for at in channel_offsets(store.spatial_bounds, walk.spatial_strides)]
    words = np.array(places) // config.memory.word_bytes
    assert len(set(bank_of(config.memory, walk.mode, words))) == store.channels


def test_a_result_s_tiles_are_set_apart_where_a_beat_meets_two() -> None:
    mapper = MAPPERS[DEFAULT]
    assert mapper.layout_d(TileShape(m=64, n=64, k=64)).tile_pitch == 320
    assert mapper.layout_d(TileShape(m=64, n=16, k=64)).tile_pitch == 256
    # No room: the tiles move together again.
    assert mapper.layout_d(TileShape(m=128, n=128, k=8)).tile_pitch == 256
    assert mapper.layout_a(TileShape(m=64, n=64, k=64)).tile_pitch == 64
    assert mapper.layout_a(TileShape(m=64, n=64, k=128)).tile_pitch == 72
    assert mapper.layout_b(TileShape(m=64, n=128, k=64)).tile_pitch == 64


def test_rows_are_loaded_by_bands_where_beats_of_a_row_meet_at_the_same_banks() -> None:
    memory, load = DEFAULT.memory, DmaPair.find(DEFAULT, "mm2s")
    whole = TileShape(m=64, n=256, k=128)
    mapper = MAPPERS[DEFAULT]
    b = mapper.layout_b(whole)
    assert by_bands(memory, load, b)
    # Tiles of D have no room to begin on other banks.
    assert by_bands(memory, DmaPair.find(DEFAULT, "s2mm"), mapper.layout_d(whole))
    # Where tiles do, or rows are of a beat, these are not in each other's way.
    assert not by_bands(memory, load, mapper.layout_a(whole))
    assert not by_bands(memory, load, mapper.layout_d(TileShape(m=64, n=64, k=64)))
    assert not by_bands(memory, load, mapper.layout_b(TileShape(m=64, n=64, k=128)))
    assert not by_bands(memory, replace(load, dram=replace(load.dram, loops=2)), b)

    def beats(banded: bool) -> int:
        walk = b.by_rows(memory, load.scratchpad, banded=banded)
        found = predict(DEFAULT, [Stream(mover="Y", walk=walk)], cycles=400)
        return found.beats["Y"]

    assert beats(banded=True) > 3 * beats(banded=False)


@pytest.mark.parametrize("with_c", [False, True])
def test_the_array_s_movers_accept_their_descriptors(with_c: bool) -> None:
    for config, mapper in MAPPERS.items():
        for shape in (TileShape(m=1, n=1, k=1), held_by(mapper, 100, 100, 100)):
            streams = mapper.streams(shape, with_c=with_c)
            assert ("array.c" in streams) == with_c
            assert streams["array.a"].operator == int(with_c)
            for port, descriptor in streams.items():
                mover = config.bound_to(port)
                assert mover is not None
                descriptor.encode(Descriptor(config, mover))


FORMS = [GemmForm(transposed_a=a, transposed_b=b) for a in (False, True) for b in (False, True)]


@settings(max_examples=30, deadline=None)
@given(
    config=st.sampled_from([TINY, DEFAULT]),
    double=st.booleans(),
    form=st.sampled_from(FORMS),
    shape=shapes,
)
def test_operands_may_lie_transposed(
    config: AcceleratorConfig, double: bool, form: GemmForm, shape: list[int]
) -> None:
    """Whatever the form, each tile holds what the array needs, and its movers accept the walks."""
    mapper = GemmMapper(config, Placement.double(config) if double else None, form)
    tile = held_by(mapper, *shape)
    array = mapper.array
    streams = mapper.streams(tile, with_c=False)
    plain = GemmMapper(config).streams(tile, with_c=False)
    for operand, turned in (("a", form.transposed_a), ("b", form.transposed_b)):
        walk, mover = streams[f"array.{operand}"], config.bound_to(f"array.{operand}")
        walk.encode(Descriptor(config, mover))
        assert walk.extensions == (("transposer",) if turned else ())
        assert walk.bounds == plain[f"array.{operand}"].bounds
        # Where a tile of the operand begins, from where its first byte lies in the matrix.
        layout = {"a": mapper.layout_a, "b": mapper.layout_b}[operand](tile)
        rows, columns = (array.mu, array.ku) if operand == "a" else (array.ku, array.nu)
        for index in itertools.product(*(range(min(bound, 3)) for bound in walk.bounds)):
            deep, across, down = index
            row, column = (
                (down * rows, deep * columns) if operand == "a" else (deep * rows, across * columns)
            )
            if turned:
                row, column = column, row
            at = row // layout.tile_rows * layout.row_pitch
            at += column // layout.tile_row_bytes * layout.tile_pitch
            steps = sum(i * stride for i, stride in zip(index, walk.strides, strict=True))
            assert walk.base + steps == layout.base + at


@settings(max_examples=20, deadline=None)
@given(config=st.sampled_from([TINY, DEFAULT]), double=st.booleans(), shape=shapes)
def test_a_row_of_c_stands_behind_d_where_its_first_channels_reach(
    config: AcceleratorConfig, double: bool, shape: list[int]
) -> None:
    placement = Placement.double(config) if double else Placement.single(config)
    mapper = GemmMapper(config, placement, GemmForm(row_c=True))
    tile = held_by(mapper, *shape)
    for region, place in enumerate(placement.d):
        c, d = mapper.layout_row_c(tile, region), mapper.layout_d(tile, region)
        assert d.base + d.bytes <= c.base
        assert c.base + c.bytes <= place.base + place.size
        assert c.row_bytes >= 4 * tile.n
        streams = mapper.streams(tile, with_c=True, regions=(0, 0, region))
        mover, walk = config.bound_to("array.c"), streams["array.c"]
        walk.encode(Descriptor(config, mover))
        assert walk.extensions == ("broadcaster",)
        assert walk.channels == (1 << mover.spatial_bounds[0]) - 1
        # Each tile of D meets the piece of its column.
        assert walk.bounds == streams["array.d"].bounds
        assert (walk.base, walk.strides) == (c.base, (c.tile_pitch, 0))
        # A partial D is C without any of that.
        later = mapper.streams(tile, with_c=True, first=False)["array.c"]
        assert (later.extensions, later.channels) == ((), None)


@pytest.mark.parametrize("part", ["broadcaster", "channel_enable"])
def test_a_row_of_c_takes_a_broadcaster_and_a_channel_enable(part: str) -> None:
    change: dict[str, object] = {"channel_enable": False}
    if part == "broadcaster":
        change = {"extensions": ()}
    movers = tuple(replace(m, **change) if m.name == "C" else m for m in TINY.movers)
    with pytest.raises(MappingError, match=f"c is one row, and mover C .* has no {part}"):
        GemmMapper(replace(TINY, movers=movers), form=GemmForm(row_c=True))


def test_an_operand_that_lies_transposed_takes_a_transposer() -> None:
    plain = replace(TINY, movers=tuple(replace(m, extensions=()) for m in TINY.movers))
    with pytest.raises(
        MappingError, match="a lies transposed, and mover A of configuration tiny has no transposer"
    ):
        GemmMapper(plain, form=GemmForm(transposed_a=True))


def test_what_cannot_be_mapped_is_refused() -> None:
    with pytest.raises(MappingError, match="has no array"):
        GemmMapper(replace(TINY, array=None, movers=TINY.movers[4:]))


def test_narrow_matrices_take_no_more_than_they_must() -> None:
    mapper = MAPPERS[DEFAULT]
    # A beat of 64 bytes is 2 rows of 32, or 8 of 8; rows of 16 would leave no affine walk.
    for n, row in ((8, 8), (16, 32), (24, 32), (32, 32), (40, 64), (64, 64)):
        layout = mapper.layout_b(TileShape(m=8, n=n, k=16))
        assert (layout.rows, layout.row_bytes) == (16, row)
