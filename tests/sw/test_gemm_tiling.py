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
from weft.sw.runs import Span, part_cycles, run_cycles

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
    assert len(small.mapper.placement.d) == 1
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
    assert min(steps) * 3 > max(steps)


def forced(
    parts: tuple[int, int, int], share: int, tile: tuple[int, int, int], order: str, **kind: object
) -> tuple[GemmEstimator, GemmPlan]:
    """A plan of the default system, with so many regions of A, B and D and sixteenths for A."""
    problem, form = kind.pop("problem"), GemmForm(**kind)  # type: ignore[arg-type]
    assert isinstance(problem, GemmProblem)
    splits = Placement.splits(DEFAULT)
    place = next(
        split
        for split in splits
        if (len(split.a), len(split.b), len(split.d)) == parts
        and split.a[0].size * parts[0] == DEFAULT.memory.bytes // 16 * share
    )
    mapper = GemmMapper(DEFAULT, place.quantized(sums=True) if problem.to_e else place, form)
    m, n, k = tile
    plan = GemmPlan(
        mapper=mapper,
        problem=problem,
        tile=TileShape(m=m, n=n, k=k),
        columns_first=order == "columns",
    )
    return GemmEstimator(mapper, problem), plan


def problem(m: int, n: int, k: int, **kind: bool) -> GemmProblem:
    return GemmProblem(shape=TileShape(m=m, n=n, k=k), **kind)


SETTLING = 200
"""Cycles of a run that no estimate knows of: the program's beginning and the last response."""

RUNS = [
    # Regions of A, B, D; sixteenths of A; tile; order; the product; cycles of the gateware.
    ((2, 2, 2), 4, (72, 48, 133), "columns", problem(130, 131, 133, with_c=True), 6_340),
    ((2, 2, 2), 4, (72, 48, 133), "rows", problem(130, 131, 133, with_c=True), 7_115),
    ((2, 1, 2), 4, (24, 131, 133), "rows", problem(130, 131, 133, with_c=True), 6_936),
    ((2, 2, 2), 4, (64, 64, 128), "columns", problem(128, 512, 128, with_c=True), 17_399),
    ((1, 2, 2), 4, (128, 64, 128), "rows", problem(128, 512, 128, with_c=True), 18_261),
    ((2, 1, 2), 6, (8, 200, 150), "rows", problem(333, 200, 150, with_c=True), 21_608),
    ((2, 2, 2), 6, (48, 64, 256), "columns", problem(512, 512, 512, with_c=True), 264_647),
    ((2, 2, 2), 6, (40, 32, 512), "columns", problem(512, 512, 512), 268_427),
]


@pytest.mark.parametrize(("parts", "share", "tile", "order", "what", "cycles"), RUNS)
def test_an_estimate_is_right_by_a_few_per_cent(
    parts: tuple[int, int, int],
    share: int,
    tile: tuple[int, int, int],
    order: str,
    what: GemmProblem,
    cycles: int,
) -> None:
    estimator, plan = forced(parts, share, tile, order, problem=what)
    course = estimator.course(plan.tile, plan.tasks())
    assert course is not None
    assert course.cycles + SETTLING == pytest.approx(cycles, rel=0.05)


@settings(max_examples=20, deadline=None)
@given(
    parts=st.sampled_from([(2, 2, 2), (1, 2, 2), (2, 1, 2), (2, 2, 1)]),
    tile=st.tuples(*[st.integers(1, 6).map(lambda units: 8 * units)] * 3),
    order=st.sampled_from(["rows", "columns"]),
    shape=st.tuples(*[st.integers(1, 150)] * 3),
    transposed=st.booleans(),
    kind=st.fixed_dictionaries({"with_c": st.booleans(), "to_e": st.booleans()}),
)
def test_nothing_costs_less_than_its_bound(
    parts: tuple[int, int, int],
    tile: tuple[int, int, int],
    order: str,
    shape: tuple[int, int, int],
    transposed: bool,
    kind: dict[str, bool],
) -> None:
    what = problem(*shape, to_d=not kind["to_e"], **kind)
    tile = tuple(min(some, all) for some, all in zip(tile, shape, strict=True))  # type: ignore
    estimator, plan = forced(
        parts, 4, tile, order, problem=what, transposed_a=transposed, transposed_b=transposed
    )
    cost = estimator.cost(plan.tile, plan.tasks())
    assert estimator.bound(plan.tile, columns_first=plan.columns_first) <= cost * (1 + 1e-9)


def test_a_run_takes_a_cycle_for_each_beat_that_it_touches() -> None:
    assert run_cycles(128, 64, step=64) == 2
    # Of 128 bytes from anywhere on there are 63 in 64 that touch a third beat.
    assert run_cycles(128, 64, step=1) == 2 + 63 / 64
    assert run_cycles(128, 64, step=96) == 2.5
    assert run_cycles(133, 64, step=64, padding=59) == 3 + 1
    assert run_cycles(8, 64, step=64) == 1.5


def test_what_is_dense_in_dram_is_one_run() -> None:
    def cycles(*spans: Span, **kind: int) -> float:
        return part_cycles(spans, element=1, beat=64, **kind)

    whole, half = Span(whole=64, count=64, padded=64), Span(whole=64, count=32, padded=32, unit=32)
    assert cycles(whole, whole) == 64
    # Rows of their own: 32 bytes that begin at a multiple of as many.
    assert cycles(whole, half) == 64 * 1.5
    assert cycles(half, whole) == 32
    # Every other row is apart from the next.
    assert cycles(Span(whole=64, count=32, padded=32, step=2), whole) == 32 * 1.5
    # Padding of a row, in beats, and rows that are not there.
    wide = Span(whole=64, count=64, padded=128)
    assert cycles(whole, wide) == 64 * (1 + 1)
    assert cycles(Span(whole=8, count=8, padded=10), wide) == 8 * 2 + 2 * 2
    # In pieces, of which each takes as long as a short run.
    assert cycles(whole, whole, piece=64) == 64 * 1.5


def test_what_cannot_be_cut_is_refused() -> None:
    memory = MemoryConfig(banks=8, bank_bits=32, rows=2, groups=(8, 4, 1))
    with pytest.raises(MappingError, match="64 bytes holds no tile of 4x4x4 in beats of 16"):
        planned(replace(TINY, memory=memory), 4, 4, 4)
