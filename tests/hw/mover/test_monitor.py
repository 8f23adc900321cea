import random

import pytest

from support.bench import run
from weft.hw.mover.monitor import ActivityMonitor, StallCause

COUNTERS = ("active", "starved", "blocked", "conflict", "accesses")


def cause(is_source: bool, now: dict[str, int]) -> StallCause:
    """Why no beat moved, from the definition of the two kinds of mover."""
    valid, ready, busy = now["valid"], now["ready"], now["busy"]
    if valid and ready:
        return StallCause.NONE
    if is_source and valid:
        return StallCause.BLOCKED
    if not busy:
        return StallCause.NONE
    if now["conflict"]:
        return StallCause.MEMORY
    if now["locked"]:
        return StallCause.LOCK
    if now["held"]:
        return StallCause.QUEUE
    return StallCause.BLOCKED if valid else StallCause.STARVED


@pytest.mark.parametrize("is_source", [True, False])
def test_counters_are_sums_over_cycles(is_source: bool) -> None:
    dut = ActivityMonitor(is_source=is_source)
    assert dut.is_source == is_source

    async def drive(ctx):
        toss = random.Random(is_source)
        history: list[dict[str, int]] = []
        for cycle in range(300):
            now = {
                name: int(toss.random() < 0.5)
                for name in ("valid", "ready", "conflict", "busy", "held", "locked")
            }
            now["accesses"] = toss.choice([0, 0, 1, 32, 255])
            clear = cycle in (100, 101, 222)
            ctx.set(dut.activity, {k: now[k] for k in ("valid", "ready", "conflict", "accesses")})
            ctx.set(dut.busy, now["busy"])
            ctx.set(dut.held, now["held"])
            ctx.set(dut.locked, now["locked"])
            ctx.set(dut.clear, clear)
            await ctx.tick()
            history = [] if clear else [*history, now]
            assert ctx.get(dut.stall) == cause(is_source, now)
            assert {name: ctx.get(getattr(dut, name)) for name in COUNTERS} == {
                "active": sum(h["valid"] and h["ready"] for h in history),
                "starved": sum(h["busy"] and not h["valid"] for h in history),
                "blocked": sum(
                    bool(h["valid"] and not h["ready"] and (is_source or h["busy"]))
                    for h in history
                ),
                "conflict": sum(h["conflict"] for h in history),
                "accesses": sum(h["accesses"] for h in history),
            }

    run(dut, [drive])
