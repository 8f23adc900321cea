import random
from typing import Any

import pytest
from amaranth.hdl import Module, ResetInserter, Signal

from support.bench import run
from support.pages import read, write
from support.program_bench import program_config
from weft.hw.bus.registers import sequencer_page
from weft.hw.sequencer.arguments import ArgumentFile


@pytest.mark.parametrize("arguments", [1, 3, 8, 16])
def test_each_half_of_each_argument_is_a_register(arguments: int) -> None:
    draw = random.Random(arguments)
    page = sequencer_page(program_config(arguments=arguments))
    dut, reset, top = ArgumentFile(page=page, arguments=arguments), Signal(), Module()
    top.submodules.dut = ResetInserter(reset)(dut)
    own = [r.offset for r in page.registers if r.name.startswith("ARG")]
    others = [register.offset for register in page.registers if register.offset not in own]
    offsets = [*own, *others, max(own) + 4, max(own) + 64, 0x7FFC]

    async def bench(ctx: Any) -> None:
        for _ in range(2):
            held = dict.fromkeys(own, 0)
            for _ in range(100):
                offset, word = draw.choice(offsets), draw.getrandbits(32)
                if draw.random() < 0.5:
                    assert await write(ctx, dut.bus, offset, word) == (offset not in own)
                    held |= {offset: word} if offset in own else {}
                else:
                    expected = (held.get(offset, 0), offset not in own)
                    assert await read(ctx, dut.bus, offset) == expected
                index = draw.randrange(arguments)
                ctx.set(dut.index, index)
                low, high = (held[page.register(f"ARG{index}_{h}").offset] for h in ("LOW", "HIGH"))
                assert ctx.get(dut.argument) == low | high << 32
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)

    run(top, [bench])
