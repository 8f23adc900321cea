"""The lock bank: every grant is one that the definition allows, and nobody waits for ever."""

import random

import pytest
from amaranth.back import verilog

from support.bench import run
from weft.hw.bus.fault import FaultCode
from weft.hw.errors import ConfigError
from weft.hw.mover.locks import LockBank, LockClientSignature
from weft.sim.golden.locks import LIMIT, ModelLocks


def state(ctx, dut: LockBank) -> list[int]:
    return [ctx.get(dut.values[lock]) for lock in range(dut.locks)]


@pytest.mark.parametrize(("locks", "clients"), [(1, 1), (3, 2), (5, 4), (16, 7), (32, 13)])
@pytest.mark.parametrize("urgent", [False, True])
def test_any_traffic_is_the_definition_one_after_the_other(
    locks: int, clients: int, urgent: bool
) -> None:
    dut = LockBank(locks=locks, clients=clients, urgent=[0] if urgent else [])
    assert dut.urgent == ((0,) if urgent else ())
    toss = random.Random(repr((locks, clients)))
    longest = [0] * clients

    async def check(ctx):
        model = ModelLocks(locks)
        # Few of the locks, so that clients meet; now and then one that does not exist.
        known = [toss.randrange(locks) for _ in range(3)]
        ids = known * 8 + ([31] if locks < 32 else [])
        acquires: dict[int, dict[str, int]] = {}
        releases: dict[int, dict[str, int]] = {}
        waits = {"acquire": [0] * clients, "release": [0] * clients}
        for cycle in range(300):
            busy = (0.1, 0.5, 1.0)[cycle // 30 % 3]
            for who, client in enumerate(dut.clients):
                if who not in acquires and toss.random() < busy:
                    acquires[who] = {
                        "id": toss.choice(ids),
                        "value": toss.choice([0, 0, 1, 1, 2, 5, LIMIT]),
                        "equal": toss.random() < 0.3,
                    }
                    ctx.set(client.acquire.payload, acquires[who])
                if who not in releases and toss.random() < busy:
                    releases[who] = {
                        "id": toss.choice(ids),
                        "delta": toss.choice([0, 1, 1, 1, 2, 9, -1, LIMIT, -64]),
                    }
                    ctx.set(client.release.payload, releases[who])
                ctx.set(client.acquire.valid, who in acquires)
                ctx.set(client.release.valid, who in releases)
            setting = toss.random() < 0.1
            new = {"id": toss.choice(ids), "value": toss.randint(0, LIMIT)}
            ctx.set(dut.set.valid, setting)
            ctx.set(dut.set.payload, new)

            possible = {w for w, a in acquires.items() if model.satisfied(*a.values())}
            granted = {w for w, c in enumerate(dut.clients) if ctx.get(c.acquire.ready)}
            accepted = {w for w, c in enumerate(dut.clients) if ctx.get(c.release.ready)}
            assert granted <= possible
            assert len(granted) == bool(possible)
            assert len(accepted) == bool(releases and not setting)
            assert accepted <= set(releases)
            for kind, able, served in (
                ("acquire", possible, granted),
                ("release", set(releases), accepted),
            ):
                for who in range(clients):
                    passed = who in able and who not in served and bool(served)
                    waits[kind][who] = waits[kind][who] + 1 if passed else 0
                    longest[who] = max(longest[who], waits[kind][who])
            # In this order: the acquire, then the release or the set.
            for who in granted:
                assert model.acquire(*acquires.pop(who).values())
            code, lock, blamed = FaultCode.NONE, 0, 0
            for who in accepted:
                code, lock, blamed = (
                    model.release(*releases[who].values()),
                    releases[who]["id"],
                    who,
                )
                del releases[who]
            if setting:
                code, lock, blamed = model.set(*new.values()), new["id"], clients
            await ctx.tick()
            assert state(ctx, dut) == model.values
            assert ctx.get(dut.fault.valid) == (code != FaultCode.NONE)
            if code:
                assert ctx.get(dut.fault.code) == code
                assert (ctx.get(dut.fault.lock), ctx.get(dut.fault.client)) == (lock, blamed)
            for kind, bits in (
                (FaultCode.LOCK_OVERFLOW, dut.overflow),
                (FaultCode.LOCK_UNDERFLOW, dut.underflow),
            ):
                assert ctx.get(bits) == sum(1 << i for c, i in model.errors if c == kind)
            unknown = any(c == FaultCode.LOCK_UNKNOWN for c, _ in model.errors)
            assert ctx.get(dut.unknown) == unknown

    run(dut, [check])
    assert longest[0] <= (1 if urgent else clients - 1)
    assert max(longest) <= (2 * clients - 3 if urgent and clients > 1 else clients - 1)


def test_an_acquire_takes_at_least_and_an_equal_one_leaves() -> None:
    dut = LockBank(locks=4, clients=2)
    first, second = dut.clients

    async def check(ctx):
        ctx.set(first.acquire.payload, {"id": 2, "value": 3, "equal": 0})
        ctx.set(first.acquire.valid, 1)
        ctx.set(second.release.payload, {"id": 2, "delta": 2})
        ctx.set(second.release.valid, 1)
        for value in (0, 2):
            assert ctx.get(dut.values[2]) == value
            assert not ctx.get(first.acquire.ready)
            assert ctx.get(second.release.ready)
            await ctx.tick()
        ctx.set(second.release.valid, 0)
        assert ctx.get(first.acquire.ready)
        await ctx.tick()
        assert ctx.get(dut.values[2]) == 1
        ctx.set(first.acquire.payload, {"id": 2, "value": 1, "equal": 1})
        assert ctx.get(first.acquire.ready)
        await ctx.tick()
        assert ctx.get(dut.values[2]) == 1

    run(dut, [check])


def test_what_cannot_be_built_is_refused() -> None:
    for locks in (0, 33):
        with pytest.raises(ConfigError, match=f"locks = {locks}: must be from 1 to 32"):
            LockBank(locks=locks, clients=1)


def test_verilog() -> None:
    dut = LockBank(locks=16, clients=11)
    assert dut.locks == 16
    assert "module bank" in verilog.convert(dut, name="bank")
    assert LockClientSignature() == LockClientSignature()
    assert repr(LockClientSignature()) == "LockClientSignature()"
