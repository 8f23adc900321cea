"""Running a component in the simulator: streams with random stalls, watched, never hanging."""

import random
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from amaranth.hdl import Elaboratable, Value
from amaranth.sim import Simulator

__all__ = ["collect", "feed", "run", "stalls", "watch"]

PERIOD = 1e-6

Testbench = Callable[[Any], Awaitable[None]]


def stalls(probability: float, seed: object) -> Iterator[bool]:
    """Endless coin tosses: whether to stall this cycle. `probability` below 1."""
    toss = random.Random(repr((probability, seed)))
    while True:
        yield toss.random() < probability


def never() -> Iterator[bool]:
    while True:
        yield False


async def feed(
    ctx: Any, stream: Any, items: Iterable[Any], stall: Iterator[bool] | None = None
) -> None:
    """Offer `items` on `stream` one after the other, idling before each while `stall` says so."""
    stall = stall or never()
    for item in items:
        while next(stall):
            await ctx.tick()
        ctx.set(stream.payload, item)
        ctx.set(stream.valid, 1)
        await ctx.tick().until(stream.ready)
        ctx.set(stream.valid, 0)


async def collect(
    ctx: Any, stream: Any, count: int, stall: Iterator[bool] | None = None
) -> list[Any]:
    """Take `count` payloads from `stream`, not ready while `stall` says so."""
    stall = stall or never()
    taken = []
    while len(taken) < count:
        ready = not next(stall)
        ctx.set(stream.ready, ready)
        _, _, valid, payload = await ctx.tick().sample(stream.valid, stream.payload)
        if valid and ready:
            taken.append(payload)
    ctx.set(stream.ready, 0)
    return taken


def watch(stream: Any, name: str = "stream") -> Testbench:
    """A background testbench: once valid, a payload holds until it is taken."""
    raw = Value.cast(stream.payload)

    async def checker(ctx: Any) -> None:
        held: int | None = None
        while True:
            _, reset, valid, ready, payload = await ctx.tick().sample(
                stream.valid, stream.ready, raw
            )
            if held is not None and not reset:
                assert valid, f"{name}: valid fell while stalled"
                assert payload == held, f"{name}: payload changed while stalled"
            held = payload if valid and not ready and not reset else None

    return checker


def run(
    dut: Elaboratable,
    testbenches: Sequence[Testbench],
    *,
    background: Sequence[Testbench] = (),
    limit: int = 10_000,
) -> None:
    """Run `testbenches` to their end in at most `limit` cycles, with `background` beside them.

    A failure is run again with a waveform, whose path is added to the error. Testbenches may be
    run twice: they reset what they share at their beginning.
    """

    async def watchdog(ctx: Any) -> None:
        await ctx.delay(limit * PERIOD)
        raise TimeoutError(f"no end after {limit} cycles")

    def simulator() -> Simulator:
        sim = Simulator(dut)
        sim.add_clock(PERIOD)
        for testbench in testbenches:
            sim.add_testbench(testbench)
        for testbench in (*background, watchdog):
            sim.add_testbench(testbench, background=True)
        return sim

    sim = simulator()
    try:
        sim.run()
    except (AssertionError, TimeoutError) as error:
        folder = Path(tempfile.mkdtemp(prefix="weft-"))
        sim.reset()
        try:
            with sim.write_vcd(str(folder / "failure.vcd")):
                sim.run()
        except Exception:
            error.add_note(f"waveform: {folder / 'failure.vcd'}")
        raise
