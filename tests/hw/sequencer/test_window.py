import random
from typing import Any

import pytest

from support.bench import run
from support.program_bench import program_config
from weft.hw.bus.axi import Response
from weft.hw.sequencer.window import WordWindow


def pieces_from(words: list[tuple[int, int]], start: int, size: int) -> list[dict[str, Any]]:
    """The pieces that hold `words` from `start` on; a piece has the response of its first word."""
    begin = start // size * size
    return [
        {"words": [word for word, _ in words[at : at + size]], "resp": words[at][1]}
        for at in range(begin, len(words), size)
    ]


@pytest.mark.parametrize("seed", range(6))
def test_every_word_is_shown_in_turn(seed: int) -> None:
    draw = random.Random(seed)
    config = program_config(draw.choice([64, 128, 512]))
    dut = WordWindow(dma=config.dma)
    size = len(dut.i.payload.words)
    count = 60
    answers = [draw.choice([Response.OKAY, Response.DECERR]) for _ in range(count)]
    words = [(draw.getrandbits(64), answers[at // size]) for at in range(count)]
    gaps, haste = draw.choice([0, 0.4, 0.8]), draw.choice([0.2, 1.0])
    starts = [draw.randrange(count - 10) for _ in range(4)]
    gone: list[tuple[int, int]] = []

    async def bench(ctx: Any) -> None:
        for start in starts:
            gone.clear()
            ctx.set(dut.i.valid, 0)
            ctx.set(dut.taken, 0)
            ctx.set(dut.restart, 1)
            ctx.set(dut.odd, start % 2)
            await ctx.tick()
            ctx.set(dut.restart, 0)
            pieces, offered = pieces_from(words, start, size), False
            for _ in range(draw.choice([20, 200])):
                offered = bool(pieces) and (offered or draw.random() >= gaps)
                ctx.set(dut.i.valid, offered)
                if offered:
                    ctx.set(dut.i.payload, pieces[0])
                level = ctx.get(dut.level)
                assert level <= 2
                shown = [(ctx.get(dut.words[k].word), ctx.get(dut.words[k].resp)) for k in range(2)]
                at = start + len(gone)
                assert shown[:level] == words[at : at + level]
                taken = level if draw.random() < haste else draw.randint(0, level)
                ctx.set(dut.taken, taken)
                gone.extend(shown[:taken])
                accepted = ctx.get(dut.i.ready) and offered
                await ctx.tick()
                if accepted:
                    del pieces[0]
                    offered = False
            ctx.set(dut.taken, 0)
            if not pieces:
                assert start + len(gone) >= count - 2

    run(dut, [bench])
    assert gone


def test_two_words_a_cycle_wherever_they_begin() -> None:
    dut = WordWindow(dma=program_config(128).dma)

    async def bench(ctx: Any) -> None:
        for odd in (0, 1):
            ctx.set(dut.restart, 1)
            ctx.set(dut.odd, odd)
            await ctx.tick()
            ctx.set(dut.restart, 0)
            ctx.set(dut.i.valid, 1)
            ctx.set(dut.taken, 0)
            for _ in range(odd):
                assert ctx.get(dut.level) == 0
                assert ctx.get(dut.i.ready)
                await ctx.tick()
            for _ in range(20):
                assert ctx.get(dut.level) == 2
                ctx.set(dut.taken, 2)
                await ctx.tick()

    run(dut, [bench])
