"""The bytes of every task, for ports whose progress runs ahead of the retirement or behind it."""

import random
from collections import deque
from dataclasses import dataclass

import pytest

from support.bench import run
from weft.hw.mover.tally import ByteTally

FLIGHT = 15


@dataclass
class Run:
    """An execution: its steps' bytes, none for one without rows."""

    steps: list[int]
    last: bool
    record: bool


def tasks(toss: random.Random, count: int) -> list[Run]:
    made = []
    for _ in range(count):
        length, record = toss.choice([1, 1, 2, 5]), toss.random() < 0.5
        for index in range(length):
            steps = [toss.randrange(4097) for _ in range(toss.choice([0, 1, 1, 2, 4]))]
            last = index + 1 == length
            made.append(Run(steps=steps, last=last, record=last and record))
    return made


@pytest.mark.parametrize("behind", [0, 5, 9])
@pytest.mark.parametrize("seed", range(3))
def test_sums_are_those_of_the_tasks(behind: int, seed: int) -> None:
    """An execution retires when its rows are, or up to `behind` steps before the last of them is
    taken; one without rows comes alone; a recorded task retires with its sum."""
    dut = ByteTally(in_flight=FLIGHT, behind=behind)
    toss = random.Random(repr((behind, seed)))
    runs = tasks(toss, 120)
    expected, total = deque(), 0
    for execution in runs:
        total += sum(execution.steps)
        if execution.record:
            expected.append(total)
        total = 0 if execution.last else total
    wanted = len(expected)
    rates = [toss.choice([0.2, 0.5, 1.0]) for _ in range(3)]

    async def check(ctx):
        coming, flying = deque(runs), deque()
        steps: deque[tuple[Run, int, bool]] = deque()  # given to the port, and not taken
        taken = set()
        given = 0
        while given < wanted or coming:
            # Hand over.
            execution = coming[0] if coming and toss.random() < rates[0] else None
            if execution is not None and (
                len(flying) == FLIGHT or (not execution.steps and flying)
            ):
                execution = None
            ctx.set(dut.i.valid, execution is not None)
            if execution is not None:
                ctx.set(
                    dut.i.payload,
                    {
                        "last": execution.last,
                        "record": execution.record,
                        "empty": not execution.steps,
                    },
                )
                assert ctx.get(dut.i.ready)
            # A step that was given in an earlier cycle is taken.
            step = steps.popleft() if steps and toss.random() < rates[1] else None
            ctx.set(dut.progress.bytes, 0 if step is None else step[1])
            ctx.set(dut.progress.last, step is not None and step[2])
            if step is not None and step[2]:
                taken.add(id(step[0]))
            # The oldest retires.
            head = flying[0] if flying else None
            pops = False
            if head is not None and toss.random() < rates[2]:
                waiting = sum(1 for entry in steps if id(entry[0]) not in taken)
                through = id(head) in taken or not head.steps
                if head.record:
                    pops = bool(ctx.get(dut.o.valid))
                    if pops:
                        assert through or behind
                        assert ctx.get(dut.o.payload) == expected.popleft()
                        given += 1
                        flying.popleft()
                elif through or waiting <= behind:
                    flying.popleft()
            ctx.set(dut.o.ready, pops)
            await ctx.tick()
            if execution is not None:
                coming.popleft()
                flying.append(execution)
                count = len(execution.steps)
                steps.extend(
                    (execution, size, index + 1 == count)
                    for index, size in enumerate(execution.steps)
                )
        ctx.set(dut.i.valid, 0)
        ctx.set(dut.o.ready, 0)
        await ctx.tick().repeat(20)
        assert not ctx.get(dut.o.valid)

    run(dut, [check], limit=20_000)


def test_a_flush_gives_what_there_is() -> None:
    """Two tasks have been read; of the first one's 3 steps one was taken."""
    dut = ByteTally(in_flight=FLIGHT, behind=5)

    async def check(ctx):
        ctx.set(dut.i.payload, {"last": 1, "record": 1, "empty": 0})
        ctx.set(dut.i.valid, 1)
        await ctx.tick().repeat(2)
        ctx.set(dut.i.valid, 0)
        ctx.set(dut.progress, {"bytes": 8, "last": 0})
        await ctx.tick()
        ctx.set(dut.progress, {"bytes": 0, "last": 0})
        await ctx.tick().repeat(5)
        assert not ctx.get(dut.o.valid)
        ctx.set(dut.flush, 1)
        for expected in (8, 0):
            (found,) = await ctx.tick().sample(dut.o.payload).until(dut.o.valid)
            assert found == expected
            # What comes now is of nobody.
            ctx.set(dut.progress, {"bytes": 8, "last": 1})
            ctx.set(dut.o.ready, 1)
            await ctx.tick()
            ctx.set(dut.progress, {"bytes": 0, "last": 0})
            ctx.set(dut.o.ready, 0)
        await ctx.tick().repeat(3)
        assert (ctx.get(dut.o.valid), ctx.get(dut.o.payload)) == (1, 0)

    run(dut, [check])
