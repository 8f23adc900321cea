"""Counters in one memory: a look is exact, and nothing overflows before it has its turn."""

from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Assume, Module, Mux, Signal, Value

from weft.hw.bus.counters import COUNTER_BITS, Count, CounterBank

from .harness import always, contents, free, strengthen
from .proof import Mutant, Proof

__all__ = ["PROOFS"]

COUNTS = {"first": Count(), "second": Count(most=3), "third": Count()}


def harness(design: Any) -> Module:
    m = Module()
    m.submodules.bank = bank = design(counts=COUNTS)
    free(m, bank.add, bank.clear, bank.look, bank.which)
    looked, which = Signal(), Signal.like(bank.which)
    m.d.sync += [looked.eq(bank.look), which.eq(bank.which)]
    m.d.comb += [
        Assume(~(bank.look & looked)),
        Assume(bank.which < len(COUNTS)),
        *(Assume(bank.add[name] <= count.most) for name, count in COUNTS.items()),
    ]
    sums = [Signal(COUNTER_BITS, name=f"sum_{name}") for name in COUNTS]
    for name, sum_ in zip(COUNTS, sums, strict=True):
        m.d.sync += sum_.eq(Mux(bank.clear[name], 0, sum_ + bank.add[name]))
    with m.If(looked):
        with m.Switch(which):
            for number, sum_ in enumerate(sums):
                with m.Case(number):
                    always(m, bank.value == sum_, "a look gives the sum")

    def invariant(inner: Module, inside: SimpleNamespace) -> None:
        places = len(COUNTS)
        turn, roams = inside.turn, inside.roams
        always(inner, turn < places, "somebody's turn")
        always(inner, roams | (turn == 0), "rests at the first")
        shows = inside.visits & (inside.visited == which)
        always(inner, ~looked | shows, "what is looked at is shown")
        always(inner, inside.visited < places, "somebody is visited")
        words = contents(inner, inside.sums)
        for number, (count, sum_) in enumerate(zip(COUNTS.values(), sums, strict=True)):
            late, anew = inside.late[number], inside.anew[number]
            always(inner, (Mux(anew, 0, words[number]) + late)[:COUNTER_BITS] == sum_, "the sum")
            # Cycles that may add before it is visited: each turn until then, behind a look.
            turns: Value = Mux(turn <= number, number + 1 - turn, places + number + 1 - turn)
            cycles = Mux(roams, 2 * turns - looked, 2 * turns + 1)
            now = inside.visits & (inside.visited == number)
            always(
                inner,
                late + Mux(now, 0, count.most * cycles[:8]) <= (2 * places + 1) * count.most,
                "its turn comes in time",
            )

    strengthen(bank, invariant)
    return m


PROOFS = (
    Proof(
        name="counters",
        design=CounterBank,
        claim="a look gives the sum of what was to be added since the last clear",
        size="three counters, a look every other cycle",
        harness=harness,
        depth=2,
        reach=8,
        mutants=(
            Mutant(
                flaw="has half the bits for what waits for its turn",
                old="range((2 * places + 1) * count.most + 1)",
                new="range(places * count.most)",
            ),
            Mutant(
                flaw="forgets what comes in its turn",
                old="late[number].eq(add), ",
                new="late[number].eq(0), ",
            ),
            Mutant(
                flaw="takes up what was cleared",
                old="Mux(none, 0, read.data)",
                new="read.data",
            ),
        ),
    ),
)
