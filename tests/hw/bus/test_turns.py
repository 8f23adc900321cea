import random

import pytest
from amaranth.hdl import Value

from support.bench import run
from weft.hw.bus.turns import Turns


class Golden:
    """Who wins, told by lists instead of masks."""

    def __init__(self, priorities: list[bool], aging: int) -> None:
        self.priorities, self.aging, self.passed = priorities, aging, 0
        # Of each class the order in which its clients are asked.
        self.order = {c: [k for k, p in enumerate(priorities) if p == c] for c in (True, False)}

    def winner(self, asking: set[int]) -> int | None:
        high, low = ([k for k in self.order[of_high] if k in asking] for of_high in (True, False))
        if low and (not high or self.passed == self.aging):
            return low[0]
        return high[0] if high else None

    def step(self, asking: set[int], taken: bool) -> None:
        winner = self.winner(asking)
        waiting = any(not self.priorities[k] for k in asking)
        if winner is not None and taken:
            order = self.order[self.priorities[winner]]
            place = order.index(winner) + 1
            order[:] = order[place:] + order[:place]
            self.passed += self.priorities[winner]
            if not self.priorities[winner]:
                self.passed = 0
        if not waiting:
            self.passed = 0


@pytest.mark.parametrize("seed", range(8))
def test_the_winner_is_the_golden_one(seed: int) -> None:
    pick = random.Random(seed)
    count, aging = pick.randint(1, 7), pick.randint(1, 5)
    priorities = [pick.random() < 0.5 for _ in range(count)]
    dut = Turns(priorities=priorities, aging=aging)

    async def check(ctx):
        golden = Golden(priorities, aging)
        density = 0.5
        for cycle in range(400):
            if cycle % 50 == 0:
                density = pick.choice([0.1, 0.5, 0.9, 1.0])
            asking = {k for k in range(count) if pick.random() < density}
            taken = pick.random() < 0.7
            ctx.set(dut.asking, sum(1 << k for k in asking))
            ctx.set(dut.taken, taken)
            winner = golden.winner(asking)
            assert ctx.get(dut.grant) == (0 if winner is None else 1 << winner)
            golden.step(asking, taken)
            await ctx.tick()

    run(dut, [check])


@pytest.mark.parametrize("priorities", [[True] * 4, [True, False, True, False, False]])
@pytest.mark.parametrize("aging", [1, 3, 16])
def test_nobody_waits_longer_than_promised(priorities: list[bool], aging: int) -> None:
    """The bound, with clients that come back at random after they won."""
    dut = Turns(priorities=priorities, aging=aging)
    high = sum(priorities)
    low = len(priorities) - high
    bounds = {True: high - 1 + -(-high // aging), False: low - 1 + low * aging}
    worst = {True: 0, False: 0}

    async def check(ctx):
        pick = random.Random(aging)
        waits = [0] * len(priorities)
        asking = 0
        for _ in range(1_500):
            for k in range(len(priorities)):
                asking |= (pick.random() < 0.8) << k
            ctx.set(dut.asking, asking)
            ctx.set(dut.taken, 1)
            grant = ctx.get(dut.grant)
            assert bool(grant) == bool(asking)
            for k, of_high in enumerate(priorities):
                if grant == 1 << k:
                    worst[of_high] = max(worst[of_high], waits[k])
                waits[k] = waits[k] + 1 if asking & ~grant & 1 << k else 0
            asking &= ~grant
            await ctx.tick()

    run(dut, [check])
    assert worst[True] <= bounds[True]
    # The bound is no idle one: under such load somebody comes near it.
    assert worst[True] >= high - 1
    if low:
        assert aging <= worst[False] <= bounds[False]


def test_impossible_arbiters_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one client"):
        Turns(priorities=[], aging=1)
    with pytest.raises(ValueError, match="aging is at least 1, not 0"):
        Turns(priorities=[True], aging=0)
    assert len(Value.cast(Turns(priorities=[True] * 3, aging=1).grant)) == 3
