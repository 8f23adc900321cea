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
        raised: set[int] = set()
        waits = {"acquire": [0] * clients, "release": [0] * clients}
        # What was executed in the cycles before: the values after it, and the locks that it lowers.
        shown = [list(model.values)] * 3
        falls: list[set[int]] = [set()] * 2
        told: list[tuple[FaultCode, int, int]] = [(FaultCode.NONE, 0, 0)] * 2
        for cycle in range(300):
            busy = (0.1, 0.5, 1.0)[cycle // 30 % 3]
            for who, client in enumerate(dut.clients):
                if who in acquires:
                    raised.add(who)
                elif toss.random() < busy:
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
                ctx.set(client.acquire.valid, who in raised)
                ctx.set(client.release.valid, who in releases)
            setting = toss.random() < 0.1
            new = {"id": toss.choice(ids), "value": toss.randint(0, LIMIT)}
            ctx.set(dut.set.valid, setting)
            ctx.set(dut.set.payload, new)

            assert state(ctx, dut) == shown[1]
            looked = ModelLocks(locks)
            looked.values = shown[0]
            possible = {w for w in raised if looked.satisfied(*acquires[w].values())}
            lowered = {w for w in possible if acquires[w]["id"] in falls[0] | falls[1]}
            granted = {w for w, c in enumerate(dut.clients) if ctx.get(c.acquire.ready)}
            accepted = {w for w, c in enumerate(dut.clients) if ctx.get(c.release.ready)}
            assert granted <= possible - lowered
            assert len(granted) == 1 or not possible or (not granted and lowered)
            assert len(accepted) == bool(releases and not setting)
            assert accepted <= set(releases)
            for kind, able, served in (
                ("acquire", possible, granted),
                ("release", set(releases), accepted),
            ):
                for who in range(clients):
                    passed = who in able and who not in served
                    waits[kind][who] = (waits[kind][who] + bool(served)) if passed else 0
                    longest[who] = max(longest[who], waits[kind][who])
            # In this order: the acquire, then the release or the set.
            falling = set()
            for who in granted:
                raised.remove(who)
                want = acquires.pop(who)
                if not want["equal"]:
                    assert model.acquire(*want.values())
                    falling.add(want["id"])
            fault = (FaultCode.NONE, 0, 0)
            for who in accepted:
                given = releases.pop(who)
                fault = (model.release(*given.values()), given["id"], who)
                if given["delta"] < 0:
                    falling.add(given["id"])
            if setting:
                fault = (model.set(*new.values()), new["id"], clients)
                falling.add(new["id"])
            shown = [*shown[1:], list(model.values)]
            falls = [falls[1], falling]
            told = [told[1], fault]

            await ctx.tick()
            code, lock, blamed = told[0]
            assert ctx.get(dut.fault.valid) == (code != FaultCode.NONE)
            if code:
                assert ctx.get(dut.fault.code) == code
                assert (ctx.get(dut.fault.lock), ctx.get(dut.fault.client)) == (lock, blamed)
        ctx.set(dut.set.valid, 0)
        for client in dut.clients:
            ctx.set(client.acquire.valid, 0)
            ctx.set(client.release.valid, 0)
        await ctx.tick().repeat(3)
        assert state(ctx, dut) == model.values
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
    """And when: two cycles after a release was accepted the values show it, in the next the
    client that waits goes on; its payload stands since the cycle before."""
    dut = LockBank(locks=4, clients=2)
    first, second = dut.clients

    async def check(ctx):
        ctx.set(first.acquire.payload, {"id": 2, "value": 3, "equal": 0})
        await ctx.tick()
        ctx.set(first.acquire.valid, 1)
        ctx.set(second.release.payload, {"id": 2, "delta": 2})
        ctx.set(second.release.valid, 1)
        for value in (0, 0, 2):
            assert ctx.get(dut.values[2]) == value
            assert not ctx.get(first.acquire.ready)
            ctx.set(second.release.valid, value == 0)
            assert ctx.get(second.release.ready) == (value == 0)
            await ctx.tick()
        assert ctx.get(dut.values[2]) == 4
        assert not ctx.get(first.acquire.ready)
        await ctx.tick()
        assert ctx.get(first.acquire.ready)
        await ctx.tick()
        ctx.set(first.acquire.valid, 0)
        assert ctx.get(dut.values[2]) == 4
        await ctx.tick()
        assert ctx.get(dut.values[2]) == 1
        ctx.set(first.acquire.payload, {"id": 2, "value": 1, "equal": 1})
        await ctx.tick()
        ctx.set(first.acquire.valid, 1)
        assert ctx.get(first.acquire.ready)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.values[2]) == 1

    run(dut, [check])


def test_clients_that_share_a_lock_and_one_that_does_not_take_turns() -> None:
    """Two of lock 0 and one of lock 1, each of which asks again as soon as it may."""
    dut = LockBank(locks=2, clients=3)
    took: list[int] = []

    async def check(ctx):
        for lock in range(2):
            ctx.set(dut.set.payload, {"id": lock, "value": LIMIT})
            ctx.set(dut.set.valid, 1)
            await ctx.tick()
        ctx.set(dut.set.valid, 0)
        for client, lock in zip(dut.clients, (0, 0, 1), strict=True):
            ctx.set(client.acquire.payload, {"id": lock, "value": 1, "equal": 0})
            ctx.set(client.acquire.valid, 1)
        for _ in range(60):
            took.extend(who for who, c in enumerate(dut.clients) if ctx.get(c.acquire.ready))
            await ctx.tick()

    run(dut, [check])
    assert len(took) >= 30
    assert all(took[index : index + 3] in ([0, 1, 2], [1, 2, 0], [2, 0, 1]) for index in range(27))


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
