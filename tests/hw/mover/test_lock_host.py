"""The host's registers in front of a lock bank."""

import random

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, flipped

from support.bench import run
from support.pages import named_config, read, write
from weft.hw.bus.page import RegisterPage
from weft.hw.bus.registers import RegisterBusSignature, system_page
from weft.hw.bus.wires import adopt
from weft.hw.mover import LockBank, LockClientSignature, LockHost
from weft.sim.golden.locks import ModelLocks

CONFIG = named_config("tiny")
PAGE = system_page(CONFIG)


class Locks(wiring.Component):
    """The registers, the host's side, the bank and one more client."""

    def __init__(self) -> None:
        super().__init__(
            {"registers": In(RegisterBusSignature()), "other": In(LockClientSignature())}
        )
        self.host = LockHost(page=PAGE, locks=CONFIG.locks)
        self.bank = LockBank(locks=CONFIG.locks, clients=2, urgent=[1])

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.page = page = RegisterPage(page=PAGE)
        m.submodules.host = host = self.host
        m.submodules.bank = bank = self.bank
        adopt(page, "bus", self.registers)
        adopt(bank, "clients", [self.other, flipped(host.client)])
        adopt(bank, "set", flipped(host.set))
        for name in ("values", "overflow", "underflow", "unknown"):
            adopt(host, name, getattr(bank, name))
        for name in host.registers:
            adopt(host, name, getattr(page, name))
        return m


async def put(ctx, dut: Locks, name: str, **fields: int) -> None:
    register = PAGE.register(name)
    assert not await write(ctx, dut.registers, register.offset, register.pack(**fields))


async def get(ctx, dut: Locks, name: str) -> dict[str, int]:
    word, error = await read(ctx, dut.registers, PAGE.register(name).offset)
    assert not error
    return PAGE.register(name).unpack(word)


async def values(ctx, dut: Locks) -> list[int]:
    words = [await get(ctx, dut, f"LOCKS_{i}") for i in range(-(-CONFIG.locks // 4))]
    return [value for word in words for value in word.values()]


def test_registers_do_what_the_definition_says() -> None:
    dut = Locks()

    async def host(ctx):
        toss, model = random.Random(1), ModelLocks(CONFIG.locks)
        # Another client that releases nothing, in every cycle: the host is not held up by it.
        ctx.set(dut.other.release.valid, 1)
        for _ in range(120):
            lock, value = toss.randrange(3), toss.choice([0, 1, 2, 40])
            match toss.randrange(4):
                case 0:
                    await put(ctx, dut, "LOCK_SET", id=lock, value=value)
                    model.set(lock, value)
                case 1 | 2:
                    delta = toss.choice([value, -value])
                    await put(ctx, dut, "LOCK_RELEASE", id=lock, delta=delta & 127)
                    model.release(lock, delta)
                case 3:
                    equal = toss.random() < 0.5
                    await put(ctx, dut, "LOCK_ACQUIRE", id=lock, value=value, equal=equal)
                    while not (result := await get(ctx, dut, "LOCK_RESULT"))["done"]:
                        pass
                    assert result["granted"] == model.acquire(lock, value, equal)
            if toss.random() < 0.2:
                await ctx.tick().repeat(3)
                assert await values(ctx, dut) == model.values
        await ctx.tick().repeat(3)
        assert await values(ctx, dut) == model.values
        refused = sum({1 << lock for _, lock in model.errors})
        assert refused
        assert await get(ctx, dut, "LOCK_ERRORS") == {"locks": refused, "unknown": 0}
        await put(ctx, dut, "LOCK_SET", id=CONFIG.locks, value=1)
        await ctx.tick().repeat(3)
        assert (await get(ctx, dut, "LOCK_ERRORS"))["unknown"] == 1

    run(dut, [host])


def test_a_try_that_fails_leaves_nothing_behind() -> None:
    dut = Locks()

    async def host(ctx):
        await put(ctx, dut, "LOCK_ACQUIRE", id=7, value=1)
        await ctx.tick().repeat(9)
        assert await get(ctx, dut, "LOCK_RESULT") == {"done": 1, "granted": 0}
        await put(ctx, dut, "LOCK_RELEASE", id=7, delta=1)
        await ctx.tick().repeat(6)
        assert (await values(ctx, dut))[7] == 1

    run(dut, [host])
