"""The locks: values in range, no release lost, one acquire a cycle, when it is satisfied."""

from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Assume, Cat, Module, Mux, Signal, Value, signed

from weft.hw.mover.locks import LockBank

from .harness import always, free, strengthen, total
from .proof import Mutant, Proof
from .specs import Circle, Steady

__all__ = ["PROOFS"]

LOCKS = 2
CLIENTS = 3
HIGHEST = 63


def locks_harness(design: Any) -> Module:
    m = Module()
    m.submodules.bank = bank = design(locks=LOCKS, clients=CLIENTS)
    free(m, bank.set.valid, bank.set.payload)
    grants, waiting, accepted = Signal(CLIENTS), Signal(CLIENTS), Signal(CLIENTS)
    for index, client in enumerate(bank.clients):
        for name, request in (("acquire", client.acquire), ("release", client.release)):
            free(m, request.valid, request.payload)
            m.submodules[f"{name}_{index}"] = Steady(request, rule=Assume)
        acquire, release = client.acquire, client.release
        asked = Value.cast(acquire.payload)
        stood = Signal.like(asked, name=f"stood_{index}")
        m.d.sync += stood.eq(asked)
        m.d.comb += [
            Assume(~acquire.valid | (asked == stood)),
            grants[index].eq(acquire.valid & acquire.ready),
            waiting[index].eq(release.valid),
            accepted[index].eq(release.valid & release.ready),
        ]
    m.submodules.circle = circle = Circle(asking=waiting, grant=accepted, turn=~bank.set.valid)
    always(m, total(grants) <= 1, "at most one acquire is granted")
    always(m, total(accepted) <= 1, "at most one release is executed")
    always(m, bank.set.ready, "a set is always accepted")
    always(m, ~waiting.any() | accepted.any() | bank.set.valid, "a release waits for sets only")

    # The locks by their definition, in numbers that have room for every mistake. The bank shows a
    # value one cycle later, and has looked at one of the cycle before that.
    wide = signed(10)
    values = [Signal(wide, name=f"value_{lock}") for lock in range(LOCKS)]
    shown = [Signal(wide, name=f"shown_{lock}") for lock in range(LOCKS)]
    overflow, underflow, unknown = Signal(LOCKS), Signal(LOCKS), Signal()
    known, able, falling, disturbed = (
        Signal(CLIENTS),
        Signal(CLIENTS),
        Signal(LOCKS),
        Signal(CLIENTS),
    )
    m.d.sync += known.eq(0)
    for lock, value in enumerate(values):
        always(m, (value >= 0) & (value <= HIGHEST), "0 <= value <= 63")
        m.d.sync += shown[lock].eq(value)
        always(m, bank.values[lock] == shown[lock], "value + releases - acquires: none is lost")
        taken, added = Signal(wide, name=f"taken_{lock}"), Signal(wide, name=f"added_{lock}")
        released, fell = Signal(name=f"released_{lock}"), Signal(name=f"fell_{lock}")
        m.d.sync += [falling[lock].eq(0), fell.eq(falling[lock])]
        for index, client in enumerate(bank.clients):
            acquire, release = client.acquire.payload, client.release.payload
            satisfied = Mux(
                acquire.equal, shown[lock] == acquire.value, shown[lock] >= acquire.value
            )
            with m.If(acquire.id == lock):
                m.d.sync += known[index].eq(satisfied)
                m.d.comb += [
                    able[index].eq(client.acquire.valid & known[index]),
                    disturbed[index].eq(falling[lock] | fell),
                ]
            with m.If(grants[index] & (acquire.id == lock)):
                always(m, known[index], "an acquire is granted when the value satisfies it")
                always(
                    m, acquire.equal | (value >= acquire.value), "nobody takes what is not there"
                )
                m.d.comb += taken.eq(Mux(acquire.equal, 0, acquire.value))
                with m.If(~acquire.equal):
                    m.d.sync += falling[lock].eq(1)
            with m.If(accepted[index] & (release.id == lock)):
                m.d.comb += [released.eq(1), added.eq(release.delta)]
                with m.If(release.delta < 0):
                    m.d.sync += falling[lock].eq(1)
        after = Signal(wide, name=f"after_{lock}")
        m.d.comb += after.eq(value - taken + added)
        with m.If(bank.set.valid & (bank.set.payload.id == lock)):
            m.d.sync += [value.eq(bank.set.payload.value), falling[lock].eq(1)]
        with m.Elif(released & ((after < 0) | (after > HIGHEST))):
            m.d.sync += [
                value.eq(value - taken),
                underflow[lock].eq(underflow[lock] | (after < 0)),
                overflow[lock].eq(overflow[lock] | (after > HIGHEST)),
            ]
        with m.Else():
            m.d.sync += value.eq(after)
    always(m, ~grants.any() | ~(grants & disturbed).any(), "none while its lock is lowered")
    always(
        m,
        ~able.any() | grants.any() | (able & disturbed).any(),
        "one of the acquires that can be is granted",
    )
    strangers = [
        grants[index] & (client.acquire.payload.id >= LOCKS)
        for index, client in enumerate(bank.clients)
    ]
    always(m, ~Cat(strangers).any(), "a lock that does not exist is never granted")
    stray: Value = bank.set.valid & (bank.set.payload.id >= LOCKS)
    for index, client in enumerate(bank.clients):
        stray = stray | (accepted[index] & (client.release.payload.id >= LOCKS))
    m.d.sync += unknown.eq(unknown | stray)
    # Told when it is executed and seen, two cycles after it was accepted.
    for bits, told, claim in (
        (bank.overflow, overflow, "a release beyond 63 is refused and remembered"),
        (bank.underflow, underflow, "a release below 0 is refused and remembered"),
        (bank.unknown, unknown, "a release of no lock is refused and remembered"),
    ):
        executed, seen = Signal.like(told), Signal.like(told)
        m.d.sync += [executed.eq(told), seen.eq(executed)]
        always(m, bits == seen, claim)

    def invariant(inner: Module, inside: SimpleNamespace) -> None:
        strengthen(inside.releasing, lambda turns, names: circle.invariant(turns, names.after))

    strengthen(bank, invariant)
    return m


PROOFS = (
    Proof(
        name="locks",
        design=LockBank,
        claim="values stay in 0...63 and are exactly sets + releases - acquires: nothing wraps, no "
        "release is lost, what is refused is remembered; one acquire a cycle at most, only when "
        "satisfied, and one whenever any was in the cycle before, unless its lock is just lowered; "
        "a release waits for every other client once, and sets",
        size=f"{LOCKS} locks, {CLIENTS} clients",
        harness=locks_harness,
        depth=4,
        mutants=(
            Mutant(
                flaw="a release in the cycle of an acquire undoes it",
                old="lock.takes.eq(taken.valid & (taken.id == index))",
                new="lock.takes.eq(taken.valid & (taken.id == index) & ~change.valid)",
            ),
            Mutant(
                flaw="a client is granted what another has just taken",
                old="granted.eq(acquiring.grant & calm & was_calm)",
                new="granted.eq(acquiring.grant & calm)",
            ),
            Mutant(
                flaw="a set may lower a lock in the cycle of an acquire",
                old="change.lowers.eq(falls | self.set.valid)",
                new="change.lowers.eq(falls)",
            ),
            Mutant(
                flaw="equal takes its value off",
                old="takes = Cat(~want.equal for want in asked)",
                new="takes = Cat(Const(1, 1) for want in asked)",
            ),
            Mutant(
                flaw="a release is accepted and dropped while a set is executed",
                old="releasing.grant[index] & ~self.set.valid",
                new="releasing.grant[index]",
            ),
        ),
        reach=8,
    ),
)
