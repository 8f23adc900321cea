"""What the trace says, and that a system that is not observed has none."""

import random
import re

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Shape

from support.bench import run
from weft.config import load_config
from weft.hw.mover.monitor import ActivityMonitor, Counted
from weft.hw.observer import trace_layout, unpack
from weft.hw.top import Top

TINY = load_config("tiny")


@pytest.mark.parametrize("is_source", [True, False])
def test_counted_names_the_counter_that_steps(is_source: bool) -> None:
    dut = ActivityMonitor(is_source=is_source)
    expected = {
        (0, 0, 0): Counted.IDLE,
        (1, 0, 0): Counted.ACTIVE,
        (0, 1, 0): Counted.STARVED,
        (0, 0, 1): Counted.BLOCKED,
    }

    async def drive(ctx):
        toss = random.Random(is_source)
        for _ in range(200):
            ctx.set(dut.activity, {name: toss.getrandbits(1) for name in ("valid", "ready")})
            ctx.set(dut.busy, toss.getrandbits(1))
            steps = tuple(ctx.get(counter) for counter in (dut.active, dut.starved, dut.blocked))
            _, _, counted = await ctx.tick().sample(dut.counted())
            assert counted == expected[steps]

    run(dut, [drive])


@pytest.mark.parametrize("name", ["tiny", "datamaestro"])
def test_unpack_inverts_the_layout(name: str) -> None:
    layout = trace_layout(load_config(name))
    toss = random.Random(name)
    value = toss.getrandbits(layout.size)
    fields = unpack(layout, value)
    constant = layout.from_bits(value)
    assert fields["clear"] == constant.clear
    assert list(fields["movers"]) == [mover.name for mover in load_config(name).movers]
    for mover, parts in fields["movers"].items():
        for field, part in parts.items():
            assert part == getattr(constant.movers[mover], field), (mover, field)
    assert fields["array"]["step"] == constant.array.step


@pytest.mark.soak
def test_only_an_observed_system_has_a_trace() -> None:
    plain, observed = Top(TINY), Top(TINY, observed=True)
    width = trace_layout(TINY).size
    assert not plain.observed
    assert observed.observed
    assert "trace" not in plain.signature.members
    assert Shape.cast(observed.signature.members["trace"].shape).width == width
    assert set(observed.signature.members) == {*plain.signature.members, "trace"}
    text = rtlil.convert(observed, name="weft", emit_src=False)
    assert re.search(rf"wire width {width} output \d+ +\\trace\n", text)
