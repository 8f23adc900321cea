"""Counters are the sums of what they were to grow by, whenever they are looked at."""

import random

import pytest
from amaranth.hdl import ResetInserter, Signal

from support.bench import run
from weft.hw.bus.counters import COUNTER_BITS, Count, CounterBank

MIXED = {
    "cycles": Count(),
    "words": Count(most=32),
    "bytes": Count(most=255, outlasts_reset=True),
    "tasks": Count(outlasts_reset=True),
    "odd": Count(most=7),
}


def bank(counters: int, most: int = 1) -> dict[str, Count]:
    return {f"count_{index}": Count(most=most) for index in range(counters)}


@pytest.mark.parametrize("share", [0.1, 1.0])
@pytest.mark.parametrize("counts", [MIXED, bank(2), bank(8)], ids=["mixed", "two", "eight"])
def test_a_look_gives_the_sum(counts: dict[str, Count], share: float) -> None:
    dut, reset = CounterBank(counts=counts), Signal()
    assert dut.counts == counts
    names = list(counts)

    async def drive(ctx):
        toss = random.Random(f"{names} {share}")
        sums, looked, rests = dict.fromkeys(names, 0), None, False
        for _ in range(1000):
            # At times nobody counts, or everybody as much as they can.
            if toss.random() < 0.02:
                rests = not rests
            adds = {
                name: toss.choice([count.most, toss.randint(0, count.most)])
                if not rests and toss.random() < share
                else 0
                for name, count in counts.items()
            }
            clears = {name: toss.random() < 0.004 for name in names}
            now = toss.choice(names) if looked is None and toss.random() < share else None
            resets = toss.random() < 0.004
            ctx.set(dut.add, adds)
            ctx.set(dut.clear, clears)
            ctx.set(dut.look, now is not None)
            ctx.set(dut.which, names.index(now) if now else toss.randrange(len(names)))
            ctx.set(reset, resets)
            if looked is not None:
                assert ctx.get(dut.value) == sums[looked]
            await ctx.tick()
            for name, count in counts.items():
                forgets = clears[name] or (resets and not count.outlasts_reset)
                sums[name] = 0 if forgets else sums[name] + adds[name]
            looked = now

    run(ResetInserter(reset)(dut), [drive])


@pytest.mark.parametrize(("counters", "most"), [(2, 1), (5, 3), (8, 1)])
def test_no_counter_overflows_while_another_is_looked_at(counters: int, most: int) -> None:
    """At most one cycle in two has a look; the others must not wait for too long."""
    dut = CounterBank(counts=bank(counters, most))

    async def drive(ctx):
        cycles = 0
        for favourite in range(counters):
            for name in dut.counts:
                ctx.set(dut.add[name], most)
            for look in range(8 * counters):
                ctx.set(dut.look, look % 2 == 0)
                ctx.set(dut.which, favourite)
                await ctx.tick()
                cycles += 1
            for name in dut.counts:
                ctx.set(dut.add[name], 0)
            for which in range(counters):
                ctx.set(dut.look, 1)
                ctx.set(dut.which, which)
                await ctx.tick()
                assert ctx.get(dut.value) == most * cycles
                ctx.set(dut.look, 0)
                await ctx.tick()

    run(dut, [drive])


def test_a_word_wraps() -> None:
    dut = CounterBank(counts=bank(2, most=(1 << COUNTER_BITS) - 1))

    async def drive(ctx):
        for add in ((1 << COUNTER_BITS) - 1, 6):
            ctx.set(dut.add.count_1, add)
            await ctx.tick()
        ctx.set(dut.add.count_1, 0)
        ctx.set(dut.look, 1)
        ctx.set(dut.which, 1)
        await ctx.tick()
        assert ctx.get(dut.value) == 5

    run(dut, [drive])


def test_a_bank_has_two_counters() -> None:
    with pytest.raises(ValueError, match="at least 2 counters, not 1"):
        CounterBank(counts=bank(1))
