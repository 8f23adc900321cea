from support.bench import run
from weft.hw.bus.abort import CALM_CYCLES, AbortControl


def test_movers_are_reset_together_when_all_are_idle_and_end_when_they_have_retired() -> None:
    dut = AbortControl(movers=4)
    assert dut.movers == 4

    async def control(ctx):
        ctx.set(dut.idle, 0b0111)
        await ctx.tick().repeat(3 * CALM_CYCLES)
        assert ctx.get(dut.abort) == 0, "nobody is asked"
        ctx.set(dut.asked, 0b0001)
        await ctx.tick().repeat(CALM_CYCLES)
        assert ctx.get(dut.abort) == 0
        # Two that join: the count begins anew; one of them is busy.
        ctx.set(dut.asked, 0b1011)
        await ctx.tick().repeat(2 * CALM_CYCLES)
        assert ctx.get(dut.abort) == 0
        ctx.set(dut.idle, 0b1111)
        await ctx.tick().repeat(CALM_CYCLES)
        assert ctx.get(dut.abort) == 0
        await ctx.tick()
        assert (ctx.get(dut.abort), ctx.get(dut.over)) == (0b1011, 0)
        ctx.set(dut.asked, 0b1111)  # late: it waits for its own
        ctx.set(dut.idle, 0b1101)
        for _ in range(5):
            await ctx.tick()
            assert (ctx.get(dut.abort), ctx.get(dut.over)) == (0, 0)
        ctx.set(dut.idle, 0b1111)
        await ctx.tick()
        assert ctx.get(dut.over) == 0b1011
        await ctx.tick()
        ctx.set(dut.asked, 0b0100)
        assert ctx.get(dut.over) == 0
        await ctx.tick().until(dut.abort.any())
        assert ctx.get(dut.over) == 0
        await ctx.tick()
        assert ctx.get(dut.over) == 0b0100
        ctx.set(dut.asked, 0)
        await ctx.tick().repeat(3 * CALM_CYCLES)
        assert (ctx.get(dut.abort), ctx.get(dut.over)) == (0, 0)

    run(dut, [control])
