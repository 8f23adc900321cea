"""How products are cut: tiles fit, cover the product once, and cost what was counted on."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.pages import named_config
from support.quantized import QUANTIZED
from weft.hw.config import MemoryConfig
from weft.sw.errors import MappingError
from weft.sw.gemm import GemmMapper, GemmProblem
from weft.sw.gemm_cost import GemmEstimator
from weft.sw.gemm_layout import GemmForm, TileShape
from weft.sw.gemm_tiling import GemmPlan, plan_product
from weft.sw.placement import Placement
from weft.sw.runs import run_cycles

TINY, DEFAULT = named_config("tiny"), named_config("datamaestro")
# One addressing mode, so that the operands share all banks.
PLAIN = replace(TINY, name="plain", memory=replace(TINY.memory, groups=(16,)))
# So small that little fits twice.
SMALL = replace(QUANTIZED, name="small", memory=replace(QUANTIZED.memory, rows=32))
FORMS = [
    GemmForm(transposed_a=a, transposed_b=b) for a, b in itertools.product((False, True), repeat=2)
]

# Long in one direction at most: the tasks are counted one by one.
shapes = st.tuples(st.integers(1, 40), st.integers(1, 90), st.integers(1, 2000)).flatmap(
    st.permutations
)


def planned(config: object, m: int, n: int, k: int, **kind: bool) -> GemmPlan:
    problem = GemmProblem(shape=TileShape(m=m, n=n, k=k), **kind)
    return plan_product(config, problem, GemmForm())  # type: ignore[arg-type]


@settings(max_examples=30, deadline=None)
@given(
    config=st.sampled_from([TINY, DEFAULT, PLAIN, SMALL]),
    form=st.sampled_from(FORMS),
    shape=shapes,
    with_c=st.booleans(),
    results=st.sampled_from(["d", "e", "de"]),
)
def test_tiles_fit_and_cover_the_product_once(
    config: object, form: GemmForm, shape: list[int], with_c: bool, results: str
) -> None:
    M, N, K = shape
    problem = GemmProblem(
        shape=TileShape(m=M, n=N, k=K),
        with_c=with_c,
        to_d="d" in results or config is not SMALL,
        to_e="e" in results and config is SMALL,
    )
    plan = plan_product(config, problem, form)  # type: ignore[arg-type]
    mapper, tile, tasks = plan.mapper, plan.tile, plan.tasks()
    assert mapper.fits(tile)
    assert sum(t.shape.m * t.shape.n * t.shape.k for t in tasks) == M * N * K
    assert len({(t.m, t.n, t.k) for t in tasks}) == len(tasks)
    for task in tasks:
        assert mapper.fits(task.shape)
        assert task.m + task.shape.m <= M
        assert task.n + task.shape.n <= N
        assert task.k + task.shape.k <= K
        assert task.d.load == (task.k == 0)
        assert task.d.freed == (task.k + task.shape.k == K)
        # A sum that is gone on with stands in memory meanwhile.
        assert task.d.freed or mapper.placement.d[0].size
    # A D tile stays in the scratchpad from its first to its last task.
    for before, task in itertools.pairwise(tasks):
        assert task.d.load == before.d.freed
        assert task.d.load or (task.m, task.n) == (before.m, before.n)
    # What the choice of the tile counted on.
    down, across, deep = -(-M // tile.m), -(-N // tile.n), -(-K // tile.k)
    assert sum(task.d.load for task in tasks) == down * across
    by_columns = plan.columns_first
    kept_a = (down * deep if by_columns else deep) <= len(mapper.placement.a)
    kept_b = (deep if by_columns else across * deep) <= len(mapper.placement.b)
    assert sum(task.a.load for task in tasks) == down * deep * (1 if kept_a else across)
    assert sum(task.b.load for task in tasks) == across * deep * (1 if kept_b else down)


def test_one_tile_has_the_scratchpad_to_itself_and_many_share_it() -> None:
    assert planned(DEFAULT, 1, 1, 1).tile == TileShape(m=1, n=1, k=1)
    for with_c in (False, True):
        assert planned(DEFAULT, 128, 128, 128, with_c=with_c).tile == TileShape(m=128, n=128, k=128)
    # Where two of the smallest tiles do not fit, one does.
    memory = MemoryConfig(banks=16, bank_bits=32, rows=2, groups=(16, 8, 4, 1))
    small = planned(replace(TINY, memory=memory), 64, 64, 64)
    assert len(small.mapper.placement.a) == 1
    assert len(small.tasks()) > 1


def test_without_sums_in_memory_there_is_more_room() -> None:
    to_int8 = planned(DEFAULT, 128, 128, 128, to_d=False, to_e=True)
    assert to_int8.tile == TileShape(m=128, n=128, k=128)
    assert not to_int8.mapper.placement.d[0].size


def test_what_stays_is_loaded_once() -> None:
    """Both pieces of A, under one tile of B after the other; or one piece of a B that is all."""
    for m, n in ((128, 512), (512, 128)):
        plan = planned(DEFAULT, m, n, 128, with_c=True)
        loads_a = sum(task.shape.m * task.a.load for task in plan.tasks())
        loads_b = sum(task.shape.n * task.b.load for task in plan.tasks())
        assert (loads_a, loads_b) == (m, n)


@pytest.mark.parametrize("form", FORMS)
def test_a_deep_product_is_cut_in_depth_before_its_tiles_are_narrow(form: GemmForm) -> None:
    """All of K would leave tiles 8 columns wide, whose operands the DMA loads again and again."""
    problem = GemmProblem(shape=TileShape(m=128, n=128, k=1000))
    plan = plan_product(DEFAULT, problem, form)
    assert plan.tile.k < 1000
    assert min(plan.tile.m, plan.tile.n) >= 32


def test_tiles_are_even_pieces() -> None:
    """None is so small that the array is through with it before anything is stored."""
    tasks = planned(DEFAULT, 200, 136, 168).tasks()
    steps = [-(-t.shape.m // 8) * -(-t.shape.n // 8) for t in tasks]
    assert min(steps) * 2 > max(steps)


def test_a_piece_that_stays_costs_less_than_one_that_is_loaded_again() -> None:
    """Two pieces of A stay under all of B if its columns come first."""
    problem = GemmProblem(shape=TileShape(m=128, n=512, k=128), with_c=True)
    estimator = GemmEstimator(GemmMapper(DEFAULT, Placement.splits(DEFAULT)[8]), problem)
    tile = TileShape(m=64, n=64, k=128)
    by_rows, by_columns = (estimator.cost(tile, columns_first=first) for first in (False, True))
    assert by_columns[0] < by_rows[0]
    assert by_columns[1] == by_rows[1] == 16


def test_a_pass_at_an_edge_hides_less() -> None:
    """Eight passes of 32 rows take fewer cycles than five of 48 and one of 16, if more is loaded:
    34,512 on the gateware, not 36,002."""
    problem = GemmProblem(shape=TileShape(m=256, n=256, k=256), with_c=True)
    estimator = GemmEstimator(GemmMapper(DEFAULT, Placement.double(DEFAULT)), problem)
    even, uneven = (
        estimator.cost(TileShape(m=m, n=64, k=256), columns_first=True)[0] for m in (32, 48)
    )
    assert even < uneven


def test_a_short_run_takes_longer_than_its_beats() -> None:
    assert run_cycles([64] * 4, 64) == 6
    assert run_cycles([8, 256], 64) == 1.5 + 4


def test_what_cannot_be_cut_is_refused() -> None:
    memory = MemoryConfig(banks=8, bank_bits=32, rows=2, groups=(8, 4, 1))
    with pytest.raises(MappingError, match="64 bytes holds no tile of 4x4x4 in beats of 16"):
        planned(replace(TINY, memory=memory), 4, 4, 4)
