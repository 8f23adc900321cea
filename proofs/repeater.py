"""The Repeater: each run of beats as often as its BD says, from a store of its first pass."""

from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Assume, Module, Mux, Signal
from amaranth.lib import data

from weft.hw.agu.row import BOUND_BITS
from weft.hw.bus.streams import compute_beat
from weft.hw.extensions.repeater import Repeater, repeater_parameter

from .harness import always, contents, free, strengthen
from .proof import Mutant, Proof
from .specs import Steady

__all__ = ["PROOFS"]

WIDTH = 2


def repeater_harness(depth: int) -> Any:
    def harness(design: Any) -> Module:
        m = Module()
        m.submodules.repeater = repeater = design(width=WIDTH, depth=depth)
        given, shown = repeater.i.payload, repeater.o.payload
        parameter = repeater_parameter(depth)(repeater.parameter)
        free(m, repeater.i.valid, given, repeater.o.ready, repeater.parameter)
        m.submodules.given = Steady(repeater.i, rule=Assume)
        m.submodules.shown = Steady(repeater.o)
        moves = repeater.o.valid & repeater.o.ready

        # A BD's parameter stands while one of its beats is offered, from the first on.
        begun, setting = Signal(), Signal.like(parameter)
        stands = ~begun | (repeater.parameter == setting.as_value())
        m.d.comb += Assume(~repeater.i.valid | stands)
        with m.If(repeater.i.valid):
            m.d.sync += [
                setting.eq(parameter),
                begun.eq(~(repeater.i.ready & given.end)),
            ]

        # The run that is being given: its beats, as they came; which of them, in which pass.
        run = Signal(data.ArrayLayout(compute_beat(WIDTH), depth))
        place, length = Signal(range(depth)), Signal(range(depth + 1))
        passes = Signal(BOUND_BITS)
        first, last, tail = Signal(), Signal(), Signal()
        longest = parameter.more if depth > 1 else 0
        beat = Signal(given.shape())
        m.d.comb += [
            first.eq(passes == 0),
            last.eq(passes + 1 >= parameter.count),
            tail.eq(Mux(first, given.end | (place == longest), place + 1 == length)),
            beat.eq(Mux(first, given, run[place])),
        ]
        with m.If(moves):
            m.d.sync += place.eq(Mux(tail, 0, place + 1))
            with m.If(first):
                m.d.sync += [run[place].eq(given), length.eq(place + 1)]
            with m.If(tail):
                m.d.sync += passes.eq(Mux(last, 0, passes + 1))

        always(m, repeater.o.valid == repeater.i.valid, "a beat a cycle while there is one")
        with m.If(repeater.o.valid):
            always(m, shown.data == beat.data, "every pass has the run's beats, in order")
            always(m, shown.error == beat.error, "and what was wrong with them")
            marks = beat.mark & (last | parameter.each)
            always(m, shown.mark == marks, "marks are those of every pass, or of the last")
            ends = beat.end & tail & last
            always(m, shown.end == ends, "a BD ends with its last pass")
            takes = repeater.o.ready & Mux(tail, last, first)
            always(m, repeater.i.ready == takes, "each beat is taken once: the last of a run last")

        def invariant(inner: Module, inside: SimpleNamespace) -> None:
            always(inner, first | begun, "a run is of a BD")
            always(inner, (place == 0) | begun, "and so is a part of one")
            always(inner, (inside.over == passes) & (inside.first == first), "passes are counted")
            with inner.If(~first):
                always(inner, inside.final == last, "the last is foretold")
                always(inner, passes < parameter.count, "there are no more of them")
                always(inner, repeater.i.valid, "the last beat of the run waits")
                always(inner, (place < length) & (length <= depth), "a pass is a run")
                waits = run[(length - 1)[: place.shape().width]] if depth > 1 else run[0]
                always(inner, given.as_value() == waits.as_value(), "it is the one that came")
            if depth == 1:
                return
            always(inner, inside.place == place, "which beat it is")
            with inner.If(begun):
                always(inner, place <= setting.more, "a run is no longer than the BD says")
            with inner.If(~first):
                always(inner, length <= setting.more + 1, "nor is the one that is replayed")
                always(inner, inside.longest + 1 == length, "and how many there are")
            for k, row in enumerate(contents(inner, inside.kept)):
                kept, came = inside.kept.shape(row), run[k]
                with inner.If(Mux(first, k < place, k < length)):
                    for name in ("data", "mark", "error"):
                        always(inner, kept[name] == came[name], "the first pass is kept")

        strengthen(repeater, invariant)
        return m

    return harness


_CLAIM = (
    "each run goes on as often as its BD says, the beats of every pass those of the first in their "
    "order; marks are those of each pass or of the last, and the BD ends with its last; a beat is "
    "taken once, and passes in every cycle in which there is one; a stalled payload holds"
)

PROOFS = tuple(
    Proof(
        name=f"repeater-{depth}",
        design=Repeater,
        claim=_CLAIM,
        size=f"runs of up to {depth}, any count" if depth > 1 else "single beats, any count",
        harness=repeater_harness(depth),
        depth=2,
        reach=8,
        mutants=mutants,
    )
    for depth, mutants in (
        (
            4,
            (
                Mutant(
                    flaw="keeps what waits while it replays",
                    old="write.en.eq(moves & first)",
                    new="write.en.eq(moves)",
                ),
                Mutant(
                    flaw="replays the longest run of the BD after a short one",
                    old="place == longest",
                    new="place == parameter.more",
                ),
                Mutant(
                    flaw="takes a beat of the next run while it replays",
                    old="Mux(tail, last, first)",
                    new="Mux(tail, last, 1)",
                ),
                Mutant(
                    flaw="ends with every pass",
                    old="given.end & tail & last",
                    new="given.end & tail",
                ),
                Mutant(
                    flaw="the marks of every pass, whatever the BD says",
                    old="(last | parameter.each)",
                    new="(last | 1)",
                ),
                Mutant(
                    flaw="goes on while the other side does not take",
                    old="moves.eq(self.i.valid & self.o.ready)",
                    new="moves.eq(self.i.valid)",
                ),
            ),
        ),
        (
            1,
            (
                Mutant(
                    flaw="a pass too many",
                    old="over + 2 >= parameter.count",
                    new="over + 1 >= parameter.count",
                ),
                Mutant(
                    flaw="twice is once",
                    old="parameter.count[1:].any()",
                    new="parameter.count[2:].any()",
                ),
            ),
        ),
    )
)
