import random
from typing import Any

import pytest
from amaranth.hdl import Shape
from amaranth.lib import data

from support.bench import run
from support.pages import named_config, read, write
from weft.hw.bus.registers import DESCRIPTOR_STORE, SLOT_BYTES
from weft.hw.mover.descriptor import MAX_WORDS, Descriptor
from weft.hw.mover.rows import row_fields
from weft.hw.mover.store import BdStore
from weft.hw.mover.words import word_notes

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


async def stepped(ctx, dut: BdStore) -> list[dict[str, Any]]:
    """What the loaded BD says of its loops."""
    ctx.set(dut.begin, 1)
    await ctx.tick()
    ctx.set(dut.begin, 0)
    steps = []
    for level in range(dut.descriptor.mover.loops):
        ctx.set(dut.level, level)
        step = ctx.get(dut.step)
        assert step["two"] == (step["bound"] == 2)
        guards = list(step["guards"]) if dut.descriptor.mover.guards else []
        steps.append({"bound": step["bound"], "deltas": [step["delta"], *guards]})
    return steps


def encoded(dut: BdStore, toss: random.Random) -> tuple[dict[str, int], set[str]]:
    """A BD of random fields, most of them as wide as their hardware, and what is to be noted."""
    descriptor, mover, notes = dut.descriptor, dut.descriptor.mover, set()
    widths = {"base": descriptor.address_bits, "iteration_stride": descriptor.address_bits}
    widths["iteration_offset"] = min(descriptor.address_bits + 1, 32)
    widths["mode"] = (len(CONFIG.memory.groups) - 1).bit_length()
    widths |= dict.fromkeys(descriptor.unsupported, 0) | {"extensions": len(mover.extensions)}
    called = dict.fromkeys([*descriptor.unsupported, "extensions"], "absent")
    called |= {"base": "base", "iteration_stride": "stride", "iteration_offset": "offset"}
    values = {}
    for name, field in descriptor.layout:
        shape = Shape.cast(field.shape)
        if isinstance(field.shape, data.Layout):
            continue
        wide = toss.random() < 0.1
        kept = shape.width if wide else min(widths.get(name, shape.width), shape.width)
        value = toss.getrandbits(kept) if kept else 0
        if shape.signed and kept:
            value -= (value >> kept - 1) << kept
        values[name] = value
        limit = min(widths.get(name, shape.width), shape.width)
        low = -(1 << limit - 1) if shape.signed and limit else 0
        high = (1 << limit - (shape.signed and limit > 0)) - 1
        if not low <= value <= high:
            notes.add(called.get(name, "range"))
    return values, notes


@pytest.mark.parametrize("mover", ["A", "B", "MM2S0"])
def test_fields_are_kept_as_far_as_they_fit_and_noted_where_they_do_not(mover: str) -> None:
    dut = store(mover)
    slots, words = dut.descriptor.mover.descriptors, dut.descriptor.words
    fields = dut.descriptor.layout

    async def host(ctx):
        toss = random.Random(mover)
        model: dict[int, tuple[dict[str, int], set[str], list[int], list[list[int]]]] = {}
        for _ in range(40):
            slot = toss.randrange(slots)
            values, notes = encoded(dut, toss)
            bounds = [toss.choice([0, 1, 2, 65535]) for _ in range(dut.descriptor.mover.loops)]
            bounds = [max(bound, toss.random() < 0.8) for bound in bounds]
            loops = len(bounds)
            # Of the address, and of each guard.
            narrow = min(dut.descriptor.address_bits, 32)
            deltas = [
                [toss.randrange(-1 << bits - 1, 1 << bits - 1) for _ in bounds]
                for bits in [narrow] + [32] * dut.descriptor.mover.guards
            ]
            steps = {"bounds": bounds, "deltas": deltas[0]}
            if len(deltas) > 1:
                steps["guards"] = [{"deltas": each} for each in deltas[1:]]
            packed = fields.const(values | steps).as_value().value
            if "run_length" in values and not values["run_length"]:
                bounds.append(0)
            order = list(range(words))
            toss.shuffle(order)
            for word in order:
                value = packed >> 32 * word & 0xFFFFFFFF
                assert not await write(ctx, dut.bus, offset(slot, word), value)
            model[slot] = values, notes, bounds, deltas
            slot = toss.choice(list(model))
            values, notes, bounds, deltas = model[slot]
            await load(ctx, dut, slot)
            assert {name for name, _ in word_notes() if ctx.get(dut.notes[name])} == notes
            assert ctx.get(dut.empty) == (0 in bounds)
            single = [ctx.get(bit) for bit in dut.single]
            assert single == [bound == 1 for bound in bounds[: len(single)]]
            assert ctx.get(dut.iterates) == (values["iteration_size"] > 1)
            of_rows = row_fields(dut.descriptor)
            loaded = {name: value for name, value in values.items() if name not in of_rows}
            if not notes:
                assert {name: ctx.get(dut.bd[name]) for name in loaded} == loaded
            assert await stepped(ctx, dut) == [
                {"bound": bounds[level], "deltas": [each[level] for each in deltas]}
                for level in range(loops)
            ]
            if not notes:
                for name in values.keys() - loaded.keys():
                    assert ctx.get(dut.running[name]) == values[name]
                assert ctx.get(dut.running.as_value()) & ctx.get(dut.bd.as_value()) == 0

    run(dut, [host])


def test_what_was_loaded_shows_until_the_next_load() -> None:
    dut = store("B")

    async def host(ctx):
        await write(ctx, dut.bus, offset(2, 0), 0x11)
        assert await load(ctx, dut, 2) == 0x11
        await write(ctx, dut.bus, offset(1, 0), 0x22)
        ctx.set(dut.slot, 1)
        await ctx.tick()
        assert ctx.get(dut.bd.as_value()) == 0x11
        assert await load(ctx, dut, 1) == 0x22

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
