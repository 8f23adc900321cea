"""What a convolution is held to cost: close to what it does, and never below its bound."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.convolutions import Problem, problems
from support.pages import named_config
from weft.sw.conv import ConvMapper
from weft.sw.conv_cost import ConvEstimator
from weft.sw.conv_tile import ConvShape
from weft.sw.conv_tiling import ConvPlan
from weft.sw.placement import Placement

DEFAULT = named_config("datamaestro")
AXES = ("rows", "columns", "filters", "down", "across", "channels")


def forced(
    problem: Problem,
    placement: int,
    extents: tuple[int, ...],
    *,
    filters_first: bool = False,
    windowed: bool = False,
    to_e: bool = False,
    bias: bool = False,
) -> tuple[ConvEstimator, ConvPlan]:
    """A plan of the default system in one of its placements, in tiles of so much along `AXES`."""
    convolution = problem.convolution
    what = convolution.windowed() if windowed else convolution
    assert what is not None
    place = Placement.alternatives(DEFAULT)[placement]
    if to_e:
        place = place.quantized(sums=bias)
    mapper = ConvMapper(DEFAULT, place, what, row_c=bias)
    plan = ConvPlan(
        mapper=mapper,
        shape=ConvShape(**dict(zip(AXES, extents, strict=True))),
        filters_first=filters_first,
        windowed=windowed,
    )
    return ConvEstimator(mapper, convolution, with_c=bias, to_d=not to_e, to_e=to_e), plan


SETTLING = 200
"""Cycles of a run that no estimate knows of: the program's beginning and the last response."""

SAME = ((1, 1), (1, 1))
RUNS: list[tuple[Problem, int, tuple[int, ...], dict[str, Any], int]] = [
    # The convolution; placement; tile; what else; cycles of the gateware.
    (Problem(h=32, w=32, c=64, k=64), 2, (2, 32, 64, 1, 1, 64), {}, 8_762),
    (Problem(h=32, w=32, c=64, k=64), 1, (1, 16, 64, 1, 1, 64), {}, 8_568),
    (Problem(h=64, w=64, c=64, k=64, stride=(2, 2)), 1, (3, 16, 64, 1, 1, 64), {}, 8_633),
    # The DMA is late for every pass.
    (Problem(h=32, w=32, c=64, k=64), 1, (8, 16, 16, 1, 1, 64), {"filters_first": True}, 11_491),
    (
        Problem(h=32, w=32, c=32, k=32, r=3, s=3, stride=(2, 2), pad=SAME),
        3,
        (6, 16, 32, 3, 1, 24),
        {"filters_first": True, "windowed": True},
        5_350,
    ),
    # B takes all that its banks give, beside which its beats are loaded.
    (
        Problem(h=32, w=32, c=64, k=64, r=3, s=3, pad=SAME),
        9,
        (11, 16, 16, 3, 3, 16),
        {"filters_first": True},
        91_075,
    ),
    # A partial result comes back at once.
    (Problem(h=32, w=32, c=128, k=32, stride=(2, 2)), 3, (4, 8, 32, 1, 1, 64), {}, 2_486),
    # Channels that meet at a bank, once out of step.
    (
        Problem(h=32, w=32, c=16, k=64, r=5, s=5, pad=((2, 2), (2, 2))),
        1,
        (2, 16, 64, 5, 5, 8),
        {},
        52_387,
    ),
    # Weights in rows longer than a beat.
    (
        Problem(h=14, w=14, c=256, k=512, r=3, s=3, stride=(2, 2), pad=SAME),
        1,
        (2, 7, 128, 3, 1, 48),
        {"windowed": True, "to_e": True},
        233_692,
    ),
    (
        Problem(h=14, w=14, c=256, k=256, r=3, s=3, pad=SAME),
        3,
        (7, 14, 32, 3, 3, 32),
        {"to_e": True, "bias": True},
        240_571,
    ),
]


@pytest.mark.parametrize(("problem", "placement", "extents", "kind", "cycles"), RUNS)
def test_an_estimate_is_right_by_a_few_per_cent(
    problem: Problem, placement: int, extents: tuple[int, ...], kind: dict[str, Any], cycles: int
) -> None:
    estimator, plan = forced(problem, placement, extents, **kind)
    course = estimator.course(plan.shape, plan.tasks())
    assert course is not None
    assert course.cycles + SETTLING == pytest.approx(cycles, rel=0.08)


@settings(max_examples=40, deadline=None)
@given(
    problem=problems(20, 60),
    placement=st.integers(0, len(Placement.alternatives(DEFAULT)) - 1),
    pieces=st.tuples(*[st.integers(1, 4)] * 6),
    kind=st.fixed_dictionaries(
        {
            "filters_first": st.booleans(),
            "windowed": st.booleans(),
            "to_e": st.booleans(),
            "bias": st.booleans(),
        }
    ),
)
def test_nothing_costs_less_than_its_bound(
    problem: Problem, placement: int, pieces: tuple[int, ...], kind: dict[str, bool]
) -> None:
    kind["windowed"] &= problem.convolution.windowed() is not None
    estimator, plan = forced(problem, placement, (1,) * 6, **kind)
    what = plan.mapper.problem
    whole = (*what.outputs, what.rows.kernel, what.columns.kernel, what.channels)
    extents = (-(-extent // parts) for extent, parts in zip(whole, pieces, strict=True))
    plan = replace(plan, shape=ConvShape(**dict(zip(AXES, extents, strict=True))))
    cost = estimator.cost(plan.shape, plan.tasks())
    bound = estimator.bound(plan.shape, filters_first=plan.filters_first)
    assert bound <= cost * (1 + 1e-9)
