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
def test_every_cycle_is_told_as_it_is_defined(is_source: bool) -> None:
    dut = ActivityMonitor(is_source=is_source)
    assert dut.is_source == is_source

    async def drive(ctx):
        toss = random.Random(is_source)
        for _ in range(300):
            now = {
                name: int(toss.random() < 0.5)
                for name in ("valid", "ready", "conflict", "busy", "held", "locked")
            }
            now["accesses"] = toss.choice([0, 0, 1, 32, 255])
            ctx.set(dut.activity, {k: now[k] for k in ("valid", "ready", "conflict", "accesses")})
            ctx.set(dut.busy, now["busy"])
            ctx.set(dut.held, now["held"])
            ctx.set(dut.locked, now["locked"])
            assert {name: ctx.get(getattr(dut, name)) for name in COUNTERS} == {
                "active": now["valid"] and now["ready"],
                "starved": now["busy"] and not now["valid"],
                "blocked": now["valid"] and not now["ready"] and (is_source or now["busy"]),
                "conflict": now["conflict"],
                "accesses": now["accesses"],
            }
            await ctx.tick()
            assert ctx.get(dut.stall) == cause(is_source, now)

    run(dut, [drive])
