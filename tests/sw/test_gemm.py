"""The mapping: every product has tiles that fit, cover it once, and sit where they should."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.pages import named_config
from weft.hw.config import MemoryConfig
from weft.hw.mover.descriptor import Descriptor
from weft.sw.errors import MappingError
from weft.sw.gemm import GemmMapper, TileShape, place

TINY, DEFAULT = named_config("tiny"), named_config("datamaestro")
# One addressing mode, so that the operands share all banks.
PLAIN = replace(TINY, memory=replace(TINY.memory, groups=(16,)))
MAPPERS = {config: GemmMapper(config) for config in (TINY, DEFAULT, PLAIN)}

# Long in one direction at most: the tasks are counted one by one.
shapes = st.tuples(st.integers(1, 40), st.integers(1, 90), st.integers(1, 5000)).flatmap(
    st.permutations
)


@settings(max_examples=40, deadline=None)
@given(config=st.sampled_from([TINY, DEFAULT, PLAIN]), shape=shapes)
def test_tiles_fit_and_cover_the_product_once(config: object, shape: list[int]) -> None:
    M, N, K = shape
    mapper = MAPPERS[config]  # type: ignore[index]
    tile = mapper.tile_shape(M, N, K)
    assert mapper.fits(tile)
    tasks = mapper.tasks(M, N, K)
    assert sum(t.shape.m * t.shape.n * t.shape.k for t in tasks) == M * N * K
    assert len({(t.m, t.n, t.k) for t in tasks}) == len(tasks)
    for task in tasks:
        assert mapper.fits(task.shape)
        assert task.m + task.shape.m <= M
        assert task.n + task.shape.n <= N
        assert task.k + task.shape.k <= K
        assert task.first == (task.k == 0)
        assert task.last == (task.k + task.shape.k == K)
    # A D tile stays in the scratchpad from its first to its last task.
    for before, task in itertools.pairwise(tasks):
        assert task.first == before.last
        assert task.first or (task.m, task.n) == (before.m, before.n)
        assert task.load_a or (task.m, task.k) == (before.m, before.k)
        assert task.load_b or (task.k, task.n) == (before.k, before.n)


def test_the_paper_s_placement_keeps_the_operands_on_their_own_banks() -> None:
    a, b, d = place(DEFAULT)
    assert (a.group, b.group, d.group) == (8, 8, 16)
    assert (a.base, b.base, d.base) == (0, 32768, 65536)
    assert a.size == b.size == d.size // 2 == 32768
    assert {region.mode for region in place(PLAIN)} == {0}


def test_small_products_are_one_tile_and_large_k_is_kept_whole() -> None:
    mapper = MAPPERS[DEFAULT]
    assert mapper.tile_shape(64, 64, 64) == TileShape(m=64, n=64, k=64)
    assert mapper.tile_shape(1, 1, 1) == TileShape(m=1, n=1, k=1)
    assert mapper.tile_shape(512, 512, 512).k == 512
    assert mapper.steps(TileShape(m=9, n=8, k=17)) == 2 * 1 * 3


def test_a_result_s_tiles_are_set_apart_where_a_beat_meets_two() -> None:
    mapper = MAPPERS[DEFAULT]
    assert mapper.layout_d(TileShape(m=64, n=64, k=64)).tile_pitch == 320
    assert mapper.layout_d(TileShape(m=64, n=16, k=64)).tile_pitch == 256
    # No room: the tiles move together again.
    assert mapper.layout_d(TileShape(m=128, n=128, k=8)).tile_pitch == 256
    assert mapper.layout_a(TileShape(m=64, n=64, k=64)).tile_pitch == 64
    assert mapper.layout_a(TileShape(m=64, n=64, k=128)).tile_pitch == 72
    assert mapper.layout_b(TileShape(m=64, n=128, k=64)).tile_pitch == 64


@pytest.mark.parametrize("with_c", [False, True])
def test_the_array_s_movers_accept_their_descriptors(with_c: bool) -> None:
    for config, mapper in MAPPERS.items():
        for shape in (TileShape(m=1, n=1, k=1), mapper.tile_shape(100, 100, 100)):
            streams = mapper.streams(shape, with_c=with_c)
            assert ("array.c" in streams) == with_c
            assert streams["array.a"].operator == int(with_c)
            for port, descriptor in streams.items():
                mover = config.bound_to(port)
                assert mover is not None
                descriptor.encode(Descriptor(config, mover))


def test_what_cannot_be_mapped_is_refused() -> None:
    with pytest.raises(MappingError, match="has no array"):
        GemmMapper(replace(TINY, array=None, movers=TINY.movers[4:]))
    small = MemoryConfig(banks=16, bank_bits=32, rows=2, groups=(16, 8, 4, 1))
    with pytest.raises(MappingError, match="128 bytes holds no tile of 4x4x4 in beats of 16"):
        GemmMapper(replace(TINY, memory=small)).tile_shape(4, 4, 4)
