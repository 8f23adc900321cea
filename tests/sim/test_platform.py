import random

import pytest
from amaranth.hdl import Fragment, Module
from amaranth.lib.memory import Memory
from amaranth.sim import Simulator

from weft.sim.platform import SimulationPlatform


def trace(platform, *, depth, granularity, transparent, writers, seed):
    """What both kinds of read ports show while random words are written and read."""
    m = Module()
    m.submodules.memory = memory = Memory(shape=16, depth=depth, init=range(depth))
    writes = [memory.write_port(granularity=granularity) for _ in range(writers)]
    registered = memory.read_port(transparent_for=writes if transparent else ())
    immediate = memory.read_port(domain="comb")
    toss, seen = random.Random(seed), []

    async def testbench(ctx):
        for _ in range(200):
            # Two writers of one word in one cycle would leave it undefined.
            addresses = toss.sample(range(depth), min(writers, depth))
            for port, address in zip(writes, addresses, strict=False):
                ctx.set(port.addr, address)
                ctx.set(port.data, toss.getrandbits(16))
                ctx.set(port.en, toss.choice([0, toss.getrandbits(len(port.en)), -1]))
            ctx.set(registered.en, toss.random() < 0.7)
            for port in (registered, immediate):
                ctx.set(port.addr, toss.randrange(depth))
            seen.append(ctx.get(immediate.data))
            await ctx.tick()
            seen.append((ctx.get(registered.data), ctx.get(immediate.data)))

    sim = Simulator(Fragment.get(m, platform))
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    return seen


@pytest.mark.parametrize("depth", [1, 2, 5, 8])
@pytest.mark.parametrize("granularity", [None, 8, 4])
@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("writers", [1, 2])
def test_memories_behave_as_amaranths_own(depth, granularity, transparent, writers) -> None:
    arguments = {
        "depth": depth,
        "granularity": granularity,
        "transparent": transparent,
        "writers": writers,
        "seed": depth,
    }
    assert trace(SimulationPlatform(), **arguments) == trace(None, **arguments)
