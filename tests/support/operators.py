"""BDs of bytes as beats of a switch stream, and back."""

import random
from collections.abc import Iterable, Sequence
from typing import Any

from amaranth.hdl import Module, Signal

from support.bench import feed, run, stalls, watch

__all__ = ["as_beats", "as_bytes", "operate", "random_bds"]

STALLS = [0.0, 0.0, 0.3, 0.6, 0.9]


def random_bds(toss: random.Random, lanes: int, count: int) -> list[bytes]:
    """Messages of one byte to some beats, often at or beside a border of a beat."""
    sizes = [
        max(
            1,
            toss.choice([toss.randint(1, lanes), lanes * toss.randint(1, 4) + toss.randint(-1, 1)]),
        )
        for _ in range(count)
    ]
    return [toss.randbytes(size) for size in sizes]


def as_beats(bds: Iterable[bytes], lanes: int, spoilt: Sequence[int] = ()) -> list[dict[str, int]]:
    """The beats of `bds`; those of the numbers `spoilt` have ``error``, bytes that do not count
    are ones."""
    beats: list[dict[str, int]] = []
    for bd in bds:
        for at in range(0, len(bd), lanes):
            part = bd[at : at + lanes]
            beats.append(
                {
                    "data": int.from_bytes(part.ljust(lanes, b"\xff"), "little"),
                    "count": len(part),
                    "end": at + lanes >= len(bd),
                    "error": len(beats) in spoilt,
                }
            )
    return beats


def as_bytes(beats: Iterable[Any], lanes: int) -> list[bytes]:
    """The BDs that `beats` are."""
    bds, bd = [], b""
    for beat in beats:
        assert beat.count == lanes or beat.end
        bd += beat.data.to_bytes(lanes, "little")[: beat.count]
        if beat.end:
            bds.append(bd)
            bd = b""
    assert not bd
    return bds


def operate(
    dut: Any,
    inputs: Sequence[tuple[Any, Sequence[Any]]],
    outputs: Sequence[tuple[Any, int]],
    *,
    toss: random.Random | None = None,
    limit: int = 5000,
) -> tuple[list[list[Any]], list[list[int]]]:
    """Feed each input stream, take so many payloads of each output: these, and when.

    With `toss` all of them stall at random.
    """
    rates = [toss.choice(STALLS) if toss else 0.0 for _ in range(len(inputs) + len(outputs))]
    seed = toss.random() if toss else 0
    taken: list[list[Any]] = [[] for _ in outputs]
    times: list[list[int]] = [[] for _ in outputs]

    def give(index: int) -> Any:
        stream, items = inputs[index]

        async def testbench(ctx: Any) -> None:
            await feed(ctx, stream, items, stalls(rates[index], (seed, index)))

        return testbench

    def take(index: int) -> Any:
        stream, count = outputs[index]

        async def testbench(ctx: Any) -> None:
            stall = stalls(rates[len(inputs) + index], (seed, "take", index))
            taken[index].clear()
            times[index].clear()
            now = 0
            while len(taken[index]) < count:
                ready = not next(stall)
                ctx.set(stream.ready, ready)
                _, _, valid, payload = await ctx.tick().sample(stream.valid, stream.payload)
                if valid and ready:
                    taken[index].append(payload)
                    times[index].append(now)
                now += 1
            ctx.set(stream.ready, 0)

        return testbench

    benches = [give(index) for index in range(len(inputs))]
    benches += [take(index) for index in range(len(outputs))]
    clocked = Module()
    clocked.submodules.dut = dut
    clocked.d.sync += Signal(name="alive").eq(1)  # of wires alone there would be no clock
    run(clocked, benches, background=[watch(stream) for stream, _ in outputs], limit=limit)
    return taken, times
