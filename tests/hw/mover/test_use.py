"""Slots in use, told by the tasks themselves."""

import random
from collections import deque

import pytest

from support.bench import run
from weft.hw.mover.use import SlotUse


@pytest.mark.parametrize(("slots", "depth"), [(4, 1), (16, 4), (5, 7), (64, 16)])
def test_a_slot_is_in_use_while_a_task_has_it(slots: int, depth: int) -> None:
    dut = SlotUse(slots=slots, queue_depth=depth)
    assert (dut.slots, dut.queue_depth) == (slots, depth)
    toss = random.Random(repr((slots, depth)))

    async def check(ctx):
        queue: deque[int] = deque()
        chain: set[int] = set()
        running = False
        few = [toss.randrange(slots) for _ in range(3)] + [slots, 255]
        for _ in range(500):
            stepping = toss.choice([None, *few])
            ctx.set(dut.stepping, stepping is not None and stepping < slots)
            ctx.set(dut.step_slot, (stepping or 0) % slots)
            for slot in {*few, toss.randrange(slots)} - {slots, 255}:
                ctx.set(dut.slot, slot)
                assert ctx.get(dut.in_use) == (
                    slot in queue or (running and slot in chain) or slot == stepping
                )
            pushed = toss.choice(few) if len(queue) < depth and toss.random() < 0.6 else None
            step = toss.choice(["stay", "next", "end"])
            # A task that comes to an empty queue may go on in the same cycle.
            coming = [*queue, *([] if pushed is None else [pushed])]
            passes = bool(queue) or toss.random() < 0.5
            pops = bool(coming) and passes and (not running or step == "end")
            loads = coming[0] if pops else toss.choice(few)
            ctx.set(dut.push, pushed is not None)
            ctx.set(dut.push_slot, pushed or 0)
            ctx.set(dut.pop, pops)
            ctx.set(dut.load, pops or (running and step == "next"))
            ctx.set(dut.pop_slot, queue[0] if queue else toss.choice(few))
            ctx.set(dut.load_slot, loads)
            ctx.set(dut.running, running)
            await ctx.tick()
            if pushed is not None:
                queue.append(pushed)
            if pops:
                chain, running = {queue.popleft()}, True
            elif running and step == "next":
                chain.add(loads)
            elif step == "end":
                running = False
            ctx.set(dut.running, running)

    run(dut, [check])
