import random

import pytest

from support.bench import run
from support.pages import named_config, read, write
from weft.hw.bus.registers import DESCRIPTOR_STORE, SLOT_BYTES
from weft.hw.mover.descriptor import MAX_WORDS, Descriptor
from weft.hw.mover.store import BdStore

CONFIG = named_config("tiny")


def store(mover: str) -> BdStore:
    return BdStore(descriptor=Descriptor(CONFIG, CONFIG.mover(mover)))


def offset(slot: int, word: int) -> int:
    return DESCRIPTOR_STORE + slot * SLOT_BYTES + 4 * word


async def load(ctx, dut: BdStore, slot: int) -> int:
    ctx.set(dut.slot, slot)
    ctx.set(dut.read, 1)
    await ctx.tick()
    ctx.set(dut.read, 0)
    return ctx.get(dut.bd.as_value())


@pytest.mark.parametrize("mover", ["A", "MM2S0"])
def test_words_land_in_their_bd(mover: str) -> None:
    dut = store(mover)
    slots, words = dut.descriptor.mover.descriptors, dut.descriptor.words

    async def host(ctx):
        toss = random.Random(mover)
        model = [[0] * words for _ in range(slots)]
        for _ in range(150):
            slot, word, value = toss.randrange(slots), toss.randrange(words), toss.getrandbits(32)
            model[slot][word] = value
            assert not await write(ctx, dut.bus, offset(slot, word), value)
        for slot in range(slots):
            packed = sum(value << 32 * word for word, value in enumerate(model[slot]))
            assert await load(ctx, dut, slot) == packed

    run(dut, [host])


def test_what_was_loaded_holds_while_its_slot_is_written() -> None:
    dut = store("B")

    async def host(ctx):
        await write(ctx, dut.bus, offset(2, 0), 0x11)
        assert await load(ctx, dut, 2) == 0x11
        await write(ctx, dut.bus, offset(2, 0), 0x22)
        ctx.set(dut.slot, 1)
        await ctx.tick()
        assert ctx.get(dut.bd.as_value()) == 0x11
        assert await load(ctx, dut, 2) == 0x22

    run(dut, [host])


def test_a_place_outside_a_bd_is_an_error_without_effect() -> None:
    dut = store("A")
    slots, words = dut.descriptor.mover.descriptors, dut.descriptor.words

    async def host(ctx):
        for slot in range(slots):
            for word in range(words):
                await write(ctx, dut.bus, offset(slot, word), 0)
        for slot, word in ((0, words), (0, MAX_WORDS - 1), (slots, 0), (63, 0), (slots, words)):
            assert await write(ctx, dut.bus, offset(slot, word), 0xFFFFFFFF)
            assert not ctx.get(dut.bus.error)
        assert (await read(ctx, dut.bus, offset(0, 0)))[1]
        for slot in range(slots):
            assert await load(ctx, dut, slot) == 0

    run(dut, [host])
