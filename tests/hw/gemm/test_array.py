import random
from collections.abc import Iterator
from itertools import pairwise

import pytest
from amaranth.back import verilog
from hypothesis import given, settings
from hypothesis import strategies as st

from support.bench import run
from support.gemm import Outcome, Work, counted, execute
from weft.hw.config import ArrayConfig
from weft.hw.gemm import GemmArray

STALLS = st.sampled_from([0.0, 0.2, 0.5, 0.9])


def check(
    work: Work, give: float = 0.0, take: float = 0.0, seed: int = 0, slow: str | None = None
) -> Outcome:
    """Run `work`; results and counters must be what their definitions say."""
    outcome = execute(work, give, take, seed, slow)
    assert outcome.d == work.d
    assert outcome.e == work.e
    assert outcome.counters == counted(work, outcome)
    assert outcome.counters["steps"] == len(work.a)
    return outcome


def steps_of(outcome: Outcome) -> list[int]:
    return [now for now, cycle in enumerate(outcome.cycles) if cycle.a_valid and cycle.a_ready]


def earliest_steps(work: Work) -> Iterator[int]:
    """When steps are taken if every stream is always valid, and D always ready."""
    mu, step = work.array.mu, -1
    mark = -mu
    chain_free = 0
    for length, adds in zip(work.lengths, work.tile_adds, strict=True):
        for index in range(length):
            step += 1
            if index == 0 and adds:
                step = max(step, chain_free + mu - 1)
            if index == length - 1:
                step = max(step, mark + mu)
                mark = step
            if index == 0 and adds:
                chain_free = step + 1
            yield step


@settings(max_examples=20, deadline=None)
@given(
    shape=st.sampled_from([(1, 1, 1), (2, 3, 4), (3, 2, 1), (4, 4, 4), (1, 4, 3), (5, 1, 2)]),
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=10),
    ends=st.lists(st.integers(0, 100), max_size=5),
    adds=st.lists(st.booleans(), min_size=1, max_size=4),
    extremes=st.booleans(),
    faults=st.sampled_from([0.0, 0.05]),
    give=STALLS,
    take=STALLS,
    seed=st.integers(0, 1000),
)
def test_any_tiles(shape, lengths, ends, adds, extremes, faults, give, take, seed) -> None:
    mu, nu, ku = shape
    work = Work(ArrayConfig(mu=mu, nu=nu, ku=ku), lengths, ends, adds, seed, extremes, faults)
    check(work, give, take, seed)


@pytest.mark.soak
@settings(max_examples=12, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 20), min_size=3, max_size=8),
    ends=st.lists(st.integers(0, 100), max_size=3),
    adds=st.lists(st.booleans(), min_size=2, max_size=4),
    give=STALLS,
    take=STALLS,
    seed=st.integers(0, 1000),
)
def test_any_tiles_on_the_default_array(lengths, ends, adds, give, take, seed) -> None:
    check(Work(ArrayConfig(), lengths, ends, adds, seed), give, take, seed)


@settings(max_examples=12, deadline=None)
@given(
    shape=st.sampled_from([(1, 1, 1), (2, 3, 1), (4, 4, 1), (6, 2, 1)]),
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=12),
    ends=st.lists(st.integers(0, 100), max_size=5),
    adds=st.lists(st.booleans(), min_size=1, max_size=4),
)
def test_steps_and_results_come_in_the_documented_cycles(shape, lengths, ends, adds) -> None:
    mu, nu, ku = shape
    work = Work(ArrayConfig(mu=mu, nu=nu, ku=ku), lengths, ends, adds)
    outcome = check(work)
    steps = steps_of(outcome)
    assert steps == list(earliest_steps(work))
    assert outcome.dut.latency == 2 * mu + nu + 1
    marks = [now for now in steps if outcome.cycles[now].mark]
    offers = [now for now, cycle in enumerate(outcome.cycles) if cycle.d_valid]
    assert offers == [mark + outcome.dut.latency for mark in marks]


@pytest.mark.parametrize("adds", [False, True])
def test_default_array_has_no_bubble_between_tiles_of_eight_steps(adds: bool) -> None:
    work = Work(ArrayConfig(), [8] * 64, adds=[adds])
    outcome = check(work)
    steps = steps_of(outcome)
    assert steps == list(range(steps[0], steps[0] + 512))
    assert outcome.counters == {
        "active": 512 + 25,
        "steps": 512,
        "bubbles": 0,
        "starved_a": 0,
        "starved_b": 0,
        "starved_c": 7 * adds,
        "blocked_d": 0,
        "blocked_e": 0,
        "starved_s": 0,
    }


@pytest.mark.parametrize("adds", [False, True])
def test_a_tile_of_one_step_takes_mu_cycles(adds: bool) -> None:
    steps = steps_of(check(Work(ArrayConfig(mu=4, nu=2, ku=2), [1] * 12, adds=[adds])))
    assert {after - before for before, after in pairwise(steps)} == {4}


@pytest.mark.parametrize(
    "seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(4, 100))]
)
def test_results_of_either_kind(seed: int) -> None:
    toss = random.Random(seed)
    mu, nu, ku, width = toss.choice(
        [(1, 1, 1, 128), (2, 4, 2, 256), (4, 4, 1, 128), (3, 2, 2, 256)]
    )
    work = Work(
        ArrayConfig(mu=mu, nu=nu, ku=ku, quantizer=True, zero_points=seed % 2 == 0),
        [toss.randrange(1, 10) for _ in range(toss.randrange(5, 15))],
        ends=[toss.randrange(40) for _ in range(toss.randrange(8))],
        adds=[toss.random() < 0.5 for _ in range(3)],
        goes=[toss.choice(["d", "e", "de"]) for _ in range(4)],
        faults=toss.choice([0.0, 0.05]),
        seed=seed,
        parameter_bits=width,
    )
    give, take = (toss.choice([0.0, 0.2, 0.5, 0.9]) for _ in range(2))
    check(work, give, take, seed)


@pytest.mark.parametrize(
    ("goes", "size", "width"),
    [("de", 4, 128), ("e", 1, 128), pytest.param("e", 8, 512, marks=pytest.mark.soak)],
)
def test_the_quantizer_costs_no_bubble_and_five_cycles(goes: str, size: int, width: int) -> None:
    array = ArrayConfig(mu=size, nu=size, ku=size, quantizer=True, zero_points=True)
    outcome = check(Work(array, [size] * 20, adds=[True], goes=[goes], parameter_bits=width))
    steps = steps_of(outcome)
    assert steps == list(range(steps[0], steps[0] + 20 * size))
    marks = [now for now in steps if outcome.cycles[now].mark]
    offers = [now for now, cycle in enumerate(outcome.cycles) if cycle.e_valid]
    latency = outcome.dut.latency_e
    assert latency == outcome.dut.latency + 5
    assert offers == [mark + latency for mark in marks]
    assert outcome.counters["active"] == 20 * size + latency
    assert outcome.counters["bubbles"] == 0


@pytest.mark.parametrize("slow", ["d", "e", "s"])
def test_a_slow_stream_stops_the_array_and_nothing_is_lost(slow: str) -> None:
    array = ArrayConfig(mu=2, nu=2, ku=1, quantizer=True)
    work = Work(array, [2] * 40, ends=range(1, 80, 2), goes=["de", "e", "d"])
    waits = {"d": "blocked_d", "e": "blocked_e", "s": "starved_s"}
    counters = check(work, slow=slow).counters
    assert {name for name in waits.values() if counters[name] > 20} == {waits[slow]}


def test_sums_wrap() -> None:
    # 140 000 products of -128 * -128 pass 2**31.
    array = ArrayConfig(mu=1, nu=1, ku=64)
    work = Work(array, [2200])
    operands = (1 << 512) // 255 * 128  # every byte is -128
    flags = [item >> 512 << 512 for item in work.a]
    work.a[:] = [operands | flag for flag in flags]
    work.b[:] = [operands] * 2200
    total = 2200 * 64 * 128 * 128
    assert total > 1 << 31
    work.d[:] = [total % (1 << 32) | 3 << 32]
    check(work)


def test_a_full_output_stops_the_array_and_loses_nothing() -> None:
    work = Work(ArrayConfig(mu=2, nu=2, ku=2), [2] * 30)
    assert check(work, take=0.95, seed=3).counters["blocked_d"] > 0


def test_counters_clear() -> None:
    dut = GemmArray(array=ArrayConfig(mu=2, nu=2, ku=2))

    async def testbench(ctx):
        ctx.set(dut.b.valid, 1)
        await ctx.tick().repeat(9)
        assert ctx.get(dut.starved_a) == 8
        ctx.set(dut.clear_counters, 1)
        await ctx.tick()
        ctx.set(dut.clear_counters, 0)
        assert ctx.get(dut.starved_a) == 0
        # The cycle of the clear is the first counted again.
        await ctx.tick()
        assert ctx.get(dut.starved_a) == 1

    run(dut, [testbench])


def test_verilog() -> None:
    text = verilog.convert(GemmArray(array=ArrayConfig(mu=2, nu=3, ku=2)), name="gemm")
    assert text.count("\nmodule ") >= 6
    assert "d__payload" in text
