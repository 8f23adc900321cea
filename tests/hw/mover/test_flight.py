"""Executions in flight: the order of retirement, what is released, whose fault it is."""

import random
from collections import deque

import pytest

from support.bench import run
from support.dram_rows import dram_config
from weft.hw.bus.fault import FaultCode
from weft.hw.mover.flight import IN_FLIGHT, Flight, in_flight


@pytest.mark.parametrize(("seed", "depth"), [*((k, IN_FLIGHT) for k in range(6)), (6, 1), (7, 31)])
def test_retirement_is_in_order_and_faults_spoil_their_own(seed: int, depth: int) -> None:
    """By lists: what is over and not retired, and what is not over."""
    dut = Flight(depth=depth)
    toss = random.Random(seed)
    slow = toss.choice([0.0, 0.3, 0.9])
    eager = toss.choice([0.3, 1.0])

    async def check(ctx):
        ring: deque[dict[str, int]] = deque()
        number = 0
        for _ in range(600):
            # An execution begins; one without rows only alone.
            offered = toss.random() < eager
            empty = offered and not ring and toss.random() < 0.3
            entry = {
                "descriptor": number % 64,
                "last": toss.randrange(2),
                "interrupt": toss.randrange(2),
                "empty": empty,
                "release_id": toss.randrange(32),
                "release_delta": toss.choice([0, 0, 1, -3, 31, -32]),
            }
            ctx.set(dut.i.valid, offered)
            ctx.set(dut.i.payload, entry)
            assert ctx.get(dut.i.ready) == (len(ring) < depth)
            assert ctx.get(dut.level) == len(ring)
            accepted = offered and len(ring) < depth
            tag = ctx.get(dut.tag)

            # The port: the oldest that is not over has a fault, or another one, and is over.
            running = [e for e in ring if not e["over"]]
            ends = bool(running) and toss.random() < 0.4
            fault = {"code": FaultCode.NONE, "named": 0, "tag": 0, "address": 0}
            if running and toss.random() < 0.3:
                named = depth <= IN_FLIGHT and toss.random() < 0.5
                victim = toss.choice(running) if named else running[0]
                victim["spoilt"] = True
                fault |= {"code": FaultCode.REACH, "named": named, "tag": victim["tag"]}
            ctx.set(dut.fault, fault)
            ctx.set(dut.port_retired, ends)
            if fault["code"]:
                assert ctx.get(dut.fault_descriptor) == victim["descriptor"]

            # The lock client accepts when it likes.
            ready = toss.random() >= slow
            ctx.set(dut.release.ready, ready)
            head = ring[0] if ring else None
            keeps = head is not None and head["release_delta"] and not head["spoilt"]
            waits = keeps and head["over"]
            assert ctx.get(dut.release.valid) == bool(waits)
            if waits:
                assert ctx.get(dut.release.payload.id) == head["release_id"]
                assert ctx.get(dut.release.payload.delta) == head["release_delta"]
            if head is None:
                retires = False
            elif head["over"]:
                retires = not waits or ready
            else:
                clean = not head["release_delta"] or head["known"]
                retires = ends and clean
            assert ctx.get(dut.retired) == retires
            if retires:
                assert ctx.get(dut.oldest.last) == head["last"]
                assert ctx.get(dut.oldest.interrupt) == head["interrupt"]
                assert ctx.get(dut.oldest.descriptor) == head["descriptor"]
            await ctx.tick()
            for e in ring:
                e["known"] = e["spoilt"]
            if ends:
                running[0]["over"] = True
            if retires:
                ring.popleft()
            if accepted:
                ring.append(entry | {"tag": tag, "over": empty, "spoilt": False, "known": False})
                number += 1
        assert number > 30

    run(dut, [check])


def test_no_end_is_lost_while_a_release_waits() -> None:
    dut = Flight()

    async def check(ctx):
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.i.payload, {"descriptor": 1, "last": 1, "release_delta": 1})
        await ctx.tick().repeat(IN_FLIGHT)
        assert not ctx.get(dut.i.ready)
        ctx.set(dut.i.valid, 0)
        ctx.set(dut.port_retired, 1)
        await ctx.tick().repeat(IN_FLIGHT)
        ctx.set(dut.port_retired, 0)
        assert ctx.get(dut.level) == IN_FLIGHT
        ctx.set(dut.release.ready, 1)
        for left in range(IN_FLIGHT, 0, -1):
            assert (ctx.get(dut.level), ctx.get(dut.retired)) == (left, 1)
            await ctx.tick()
        assert (ctx.get(dut.level), ctx.get(dut.retired)) == (0, 0)

    run(dut, [check])


@pytest.mark.parametrize("seed", range(4))
def test_an_abort_forgets_what_is_not_over(seed: int) -> None:
    dut = Flight()
    toss = random.Random(seed)

    async def check(ctx):
        for _ in range(40):
            begun = toss.randint(0, IN_FLIGHT)
            ctx.set(dut.i.payload, {"descriptor": 1, "last": 1, "release_delta": 1})
            over = toss.randint(0, begun)
            for flag, count in ((dut.i.valid, begun), (dut.port_retired, over)):
                ctx.set(flag, 1)
                for _ in range(count):
                    await ctx.tick()
                ctx.set(flag, 0)
            # In the cycle of the abort one more is over, begins, or releases; or not.
            late, new, released = (toss.randrange(2) for _ in range(3))
            ctx.set(dut.port_retired, late)
            ctx.set(dut.i.valid, new)
            ctx.set(dut.release.ready, released)
            ctx.set(dut.abort, 1)
            gone = ctx.get(dut.retired)
            assert gone == (released and over > 0)
            await ctx.tick()
            ctx.set(dut.abort, 0)
            ctx.set(dut.port_retired, 0)
            ctx.set(dut.i.valid, 0)
            left = over + (late and begun > over) - gone
            assert ctx.get(dut.level) == left
            ctx.set(dut.release.ready, 1)
            for _ in range(left):
                assert (ctx.get(dut.retired), ctx.get(dut.settled)) == (1, 0)
                await ctx.tick()
            assert (ctx.get(dut.retired), ctx.get(dut.settled), ctx.get(dut.level)) == (0, 1, 0)
            ctx.set(dut.release.ready, 0)

    run(dut, [check])


def test_a_ring_is_as_deep_as_the_bursts_of_a_dram_mover() -> None:
    config = dram_config(64, read_outstanding=128, write_outstanding=20)
    depths = {mover.name: in_flight(config, mover) for mover in config.movers}
    assert depths == {"Y": IN_FLIGHT, "X": IN_FLIGHT, "MM2S0": 127, "S2MM0": 31}
    with pytest.raises(ValueError, match="one less than a power of two, not 16"):
        Flight(depth=16)


@pytest.mark.parametrize("seed", range(8))
def test_the_outcome_of_a_task_has_its_earliest_fault(seed: int) -> None:
    """Whatever order faults are reported in, and whatever the lock and the recorder do."""
    dut = Flight(records=True)
    toss = random.Random(seed)
    slow = [toss.choice([0.0, 0.3, 0.9]) for _ in range(2)]
    eager = toss.choice([0.3, 1.0])

    async def check(ctx):
        ring: deque[dict[str, int]] = deque()
        earliest: dict[str, int] | None = None  # of the task, among executions that have retired
        releasing = False  # the oldest has its lock to release
        number = recorded = faulty = 0
        for _ in range(900):
            offered = toss.random() < eager
            empty = offered and not ring and toss.random() < 0.4
            last = toss.randrange(2)
            entry = {
                "descriptor": number % 64,
                "last": last,
                "empty": empty,
                "release_delta": 0 if empty else toss.choice([0, 0, 1, -3]),
                "record": last and toss.random() < 0.7,
                "result": toss.randrange(2),
            }
            flaw = FaultCode.INVALID if empty and toss.random() < 0.5 else FaultCode.NONE
            ctx.set(dut.i.valid, offered)
            ctx.set(dut.i.payload, entry)
            ctx.set(dut.flaw, flaw)
            accepted = offered and ctx.get(dut.i.ready)
            tag = ctx.get(dut.tag)

            running = [e for e in ring if not e["over"]]
            ends = bool(running) and toss.random() < 0.4
            fault = {"code": FaultCode.NONE, "named": 0, "tag": 0, "address": toss.getrandbits(64)}
            victim = None
            if running and toss.random() < 0.3:
                named = toss.random() < 0.5
                victim = toss.choice(running) if named else running[0]
                code = toss.choice([FaultCode.REACH, FaultCode.WINDOW])
                fault |= {"code": code, "named": named, "tag": victim["tag"]}
            ctx.set(dut.fault, fault)
            ctx.set(dut.port_retired, ends)
            ready = [toss.random() >= share for share in slow]
            ctx.set(dut.release.ready, ready[0])
            ctx.set(dut.outcome.ready, ready[1])

            head = ring[0] if ring else None
            over = head is not None and head["over"]
            if over and head["fresh"]:
                releasing = bool(head["release_delta"]) and head["fault"] is None
                head["fresh"] = False
            shows = over and not releasing and head["record"]
            assert ctx.get(dut.release.valid) == (over and releasing)
            assert ctx.get(dut.outcome.valid) == bool(shows)
            if shows:
                worst = earliest or head["fault"]
                found = ctx.get(dut.outcome.payload)
                assert found.code == (worst["code"] if worst else FaultCode.NONE)
                assert found.descriptor == (worst or head)["descriptor"]
                assert found.address == (worst["address"] if worst else 0)
                assert found.result == head["result"]
                faulty += worst is not None
            if head is None:
                retires = False
            elif not over:
                waits = head["record"] or (head["release_delta"] and head["fault"] is None)
                retires = ends and not waits and victim is None
            elif releasing:
                retires = ready[0] and not head["record"]
                releasing = not ready[0]
            else:
                retires = ready[1] if head["record"] else True
            assert ctx.get(dut.retired) == bool(retires)
            await ctx.tick()
            if victim is not None and victim["fault"] is None:
                report = {"code": fault["code"], "address": fault["address"]}
                victim["fault"] = report | {"descriptor": victim["descriptor"]}
            if ends:
                running[0]["over"] = True
            if retires:
                recorded += bool(head["record"])
                earliest = None if head["last"] else earliest or head["fault"]
                ring.popleft()
            if accepted:
                own = {"code": flaw, "address": 0, "descriptor": entry["descriptor"]}
                own = own if flaw else None
                ring.append(entry | {"tag": tag, "over": empty, "fault": own, "fresh": True})
                number += 1
        assert recorded > 20
        assert faulty > 5

    run(dut, [check])
