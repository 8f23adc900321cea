"""The quantizer: bit-exact, a row a cycle, and never a stall once a tile is in."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from support.bench import feed, run, stalls, watch
from support.quantizer import EXTREMES, Column, any_column, words_of
from weft.hw.config import ArrayConfig
from weft.hw.gemm.parameters import Rounding
from weft.hw.gemm.quantizer import Quantizer
from weft.hw.gemm.rescaler import READERS, STAGES, Rescaler
from weft.sim.golden.gemm import beat_of
from weft.sim.golden.quantizer import quantize, rescaled


def through_a_lane(work: Sequence[tuple[int, Column]], pauses: float = 0.0) -> list[int]:
    """The lane's results, and nothing is moved on where nothing is there."""
    dut = Rescaler()
    taken: list[int] = []

    async def drive(ctx: Any) -> None:
        taken.clear()
        pattern = stalls(pauses, 0)
        pipe: list[tuple[int, Column] | None] = [None] * (STAGES + 1)
        items = iter(work)
        left = len(work)
        while left:
            there = None if next(pattern) else next(items, None)
            pipe = [there, *pipe[:-1]]
            ctx.set(dut.stages, sum((item is not None) << s for s, item in enumerate(pipe[:-1])))
            if there is not None:
                ctx.set(dut.i, there[0] % (1 << 32))
            for port, (stage, names) in READERS.items():
                item = pipe[stage]
                if item is not None:
                    ctx.set(getattr(dut, port), {name: getattr(item[1], name) for name in names})
            if pipe[-1] is not None:
                result = ctx.get(dut.o)
                taken.append(result - 256 * (result > 127))
                left -= 1
            await ctx.tick()

    run(dut, [drive], limit=20 * len(work) + 100)
    return taken


def near_halves(column: Column, toss: random.Random) -> int:
    """An accumulator whose quotient is at, or next to, the middle of two integers."""
    if not column.multiplier:
        return toss.choice(EXTREMES)
    middle = (2 * toss.randrange(-140, 140) + 1) << column.shift >> 1
    x = middle // column.multiplier + toss.randrange(-1, 2) + column.zero_in
    return min(max(x, -(1 << 31)), (1 << 31) - 1)


def test_every_shift_and_rule_is_exact() -> None:
    toss = random.Random(1)
    work = []
    for shift in range(64):
        for rounding in Rounding:
            # A power of two makes halves that are halves.
            for power in (shift - 1, shift - 4, shift - 9, shift - 31):
                sign = toss.choice([1, -1])
                multiplier = sign << min(max(power, 0), 30)
                column = Column(multiplier=multiplier, shift=shift, rounding=rounding)
                work += [(near_halves(column, toss), column) for _ in range(3)]
            for multiplier in EXTREMES:
                column = Column(
                    multiplier=multiplier,
                    zero_in=toss.choice(EXTREMES),
                    shift=shift,
                    rounding=rounding,
                )
                work.append((toss.choice(EXTREMES), column))
    expected = [rescaled(x, column) for x, column in work]
    assert through_a_lane(work) == expected
    # They are not all at an end.
    assert sum(-128 < result < 127 and result != 0 for result in expected) > len(work) // 3


def test_any_accumulator_with_any_parameters_and_pauses() -> None:
    toss = random.Random(2)
    columns = [any_column(toss) for _ in range(800)]
    work = []
    for column in columns:
        work.append((toss.choice([*EXTREMES, toss.randrange(-(1 << 31), 1 << 31)]), column))
        work.append((near_halves(column, toss), column))
    expected = [rescaled(x, column) for x, column in work]
    assert through_a_lane(work, pauses=0.2) == expected


def test_where_the_rules_differ() -> None:
    half = {"multiplier": 1, "shift": 1}
    onnx = Column(rounding=Rounding.ONNX, **half)
    upwards = Column(**half)
    # From shift 32 on TFLite rounds twice: 2**30 makes a high word of x / 2, and 1.5 of that 3.
    twice = Column(multiplier=1 << 30, shift=32)
    work = [(x, onnx) for x in (-5, -3, -1, 1, 3, 5)]
    work += [(x, upwards) for x in (-5, -3, -1, 1, 3, 5)]
    work += [(x, twice) for x in (-6, -5, -2, 2, 5, 6)]
    least = Column(multiplier=-(1 << 31), shift=63)
    work += [(-(1 << 31), least), (-(1 << 31), Column(**{**half, "multiplier": -(1 << 31)}))]
    results = [-2, -2, 0, 0, 2, 2, -2, -1, 0, 1, 2, 3, -2, -1, -1, 1, 2, 2]
    # The one product that does not fit saturates, a hair below the half.
    assert through_a_lane(work) == [*results, 0, 127]


class Tiles:
    """Rows, parameters and what comes of them."""

    def __init__(self, array: ArrayConfig, count: int, seed: int, faults: float = 0.0) -> None:
        toss = random.Random(seed)
        self.columns = [[any_column(toss) for _ in range(array.nu)] for _ in range(count)]
        self.x = [
            np.array(
                [[near_halves(c, toss) for c in columns] for _ in range(array.mu)], np.int64
            ).astype(np.int32)
            for columns in self.columns
        ]
        self.ends = [toss.random() < 0.5 for _ in range(count)]
        self.bad = [toss.random() < faults for _ in range(count)]
        self.spoilt = [toss.random() < faults for _ in range(count)]
        self.e = [
            (beat_of(quantize(x, columns)), 1, int(end), int(bad or spoilt))
            for x, columns, end, bad, spoilt in zip(
                self.x, self.columns, self.ends, self.bad, self.spoilt, strict=True
            )
        ]


def through_the_quantizer(
    array: ArrayConfig,
    tiles: Tiles,
    *,
    parameter_bits: int,
    delay: int,
    give: float = 0.0,
    take: float = 0.0,
    seed: int = 0,
) -> tuple[list[int], list[int]]:
    """When tickets were accepted and beats taken, which must be right."""
    dut = Quantizer(array=array, parameter_bits=parameter_bits, delay=delay)
    tickets: list[int] = []
    beats: list[int] = []
    parts = array.s_bits // parameter_bits
    mask = (1 << parameter_bits) - 1

    async def parameters(ctx: Any) -> None:
        toss = random.Random(seed)
        items = []
        for columns, spoilt in zip(tiles.columns, tiles.spoilt, strict=True):
            word, wrong = words_of(columns), toss.randrange(parts)
            for part in range(parts):
                data = word >> part * parameter_bits & mask
                items.append({"data": data, "error": int(spoilt and part == wrong)})
        await feed(ctx, dut.s, items, stalls(give, (seed, "s")) if give else None)

    async def mesh(ctx: Any) -> None:
        """Tickets at least mu cycles apart, and rows `delay` cycles after each."""
        tickets.clear()
        pattern = stalls(give, (seed, "mesh"))
        due: dict[int, tuple[bool, list[int]]] = {}
        now = given = pace = 0
        held = False
        while given < len(tiles.x) or due:
            offer = given < len(tiles.x) and pace == 0 and (not next(pattern) or held)
            held = offer
            ctx.set(dut.i_ticket.valid, offer)
            if offer:
                end, error = tiles.ends[given], tiles.bad[given]
                ctx.set(dut.i_ticket.payload, {"end": end, "error": error})
            release, row = due.pop(now, (False, [random.getrandbits(32)] * array.nu))
            ctx.set(dut.release, release)
            for lane, value in zip(dut.i_row, row, strict=True):
                ctx.set(lane, value % (1 << 32))
            _, _, ready = await ctx.tick().sample(dut.i_ticket.ready)
            pace = max(pace - 1, 0)
            if offer and ready:
                tickets.append(now)
                for index, values in enumerate(tiles.x[given].tolist()[::-1]):
                    due[now + delay + index] = (index == 0, values)
                given, pace, held = given + 1, array.mu - 1, False
            now += 1
        ctx.set(dut.release, 0)

    async def results(ctx: Any) -> None:
        beats.clear()
        pattern = stalls(take, (seed, "e"))
        got: list[tuple[int, ...]] = []
        now = 0
        while len(got) < len(tiles.e):
            ready = not next(pattern)
            ctx.set(dut.e.ready, ready)
            payload = dut.e.payload
            fields = (payload.data, payload.mark, payload.end, payload.error)
            _, _, valid, *values = await ctx.tick().sample(dut.e.valid, *fields)
            if valid and ready:
                got.append(tuple(values))
                beats.append(now)
            now += 1
        assert got == tiles.e
        ctx.set(dut.e.ready, 0)
        await ctx.tick().repeat(2)
        assert not ctx.get(dut.in_flight)
        assert ctx.get(dut.starved)

    run(dut, [parameters, mesh, results], background=[watch(dut.e, "e")], limit=40_000)
    return tickets, beats


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("shape", [(1, 1, 128), (4, 4, 128), (2, 4, 256), (3, 2, 256)])
def test_tiles_through_stalls(shape: tuple[int, int, int], seed: int) -> None:
    mu, nu, width = shape
    array = ArrayConfig(mu=mu, nu=nu, ku=1, quantizer=True)
    give, take = random.Random(repr((shape, seed))).choice([(0.5, 0.5), (0.8, 0.1), (0.1, 0.9)])
    through_the_quantizer(
        array,
        Tiles(array, 15, seed, faults=0.1),
        parameter_bits=width,
        delay=1 + mu + nu,
        give=give,
        take=take,
        seed=seed,
    )


@pytest.mark.parametrize("shape", [(8, 8, 512), (4, 4, 128), (1, 1, 128)])
def test_a_tile_every_mu_cycles_and_the_documented_latency(shape: tuple[int, int, int]) -> None:
    mu, nu, width = shape
    array, delay = ArrayConfig(mu=mu, nu=nu, ku=1, quantizer=True), 1 + mu + nu
    tickets, beats = through_the_quantizer(
        array, Tiles(array, 12, seed=7), parameter_bits=width, delay=delay
    )
    assert tickets == list(range(tickets[0], tickets[0] + 12 * mu, mu))
    assert beats == [ticket + delay + mu + STAGES for ticket in tickets]
