"""The front of a DRAM port: a run goes to the bus and to the lanes, and waits there in order."""

from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Assume, Cat, Const, Module, Signal, Value
from amaranth.lib import wiring

from weft.hw.config import DmaConfig
from weft.hw.dma.planner import RunPlanner

from .harness import always, free, look, strengthen
from .proof import Mutant, Proof
from .queue import cut_level, cut_places, queue_pointers
from .specs import Steady, Witness

__all__ = ["PROOFS"]

DEPTH = 2


def anything(component: wiring.Component, *outputs: Any) -> None:
    """In place of `component`, whose `outputs` may do what they like."""

    def elaborate(platform: object) -> Module:
        m = Module()
        free(m, *outputs)
        return m

    component.elaborate = elaborate


def planner_harness(*, pipelined: bool, address_bits: int, ends: bool) -> Any:
    def harness(design: Any) -> Module:
        m = Module()
        dma = DmaConfig(data_bits=32, address_bits=32, pipelined=pipelined)
        m.submodules.planner = planner = design(
            dma=dma, guards=1, depth=DEPTH, address_bits=address_bits, ends=ends
        )
        free(m, planner.bursts.ready, planner.pieces.ready)
        m.submodules.steady = Steady(planner.pieces)

        def claims(inner: Module, inside: SimpleNamespace) -> None:
            shaper, joined, legalizer = inside.shaper, inside.joiner.o, inside.legalizer
            bus, lanes, cut = legalizer.i, inside.cutter.i, inside.cutter.o
            anything(shaper, shaper.i.ready, shaper.o.valid, shaper.o.payload)
            anything(inside.joiner, inside.joiner.i.ready, joined.valid, joined.payload)
            anything(legalizer, bus.ready, legalizer.o.valid, legalizer.o.payload)
            anything(inside.cutter, lanes.ready, cut.valid, cut.payload)
            inner.submodules.steady_joined = Steady(joined, rule=Assume)
            inner.submodules.steady_cut = Steady(cut, rule=Assume)
            inner.submodules.steady_bus = Steady(bus)
            inner.submodules.steady_lanes = Steady(lanes)

            run, taken = joined.payload, joined.valid & joined.ready
            seen = run.exists | run.end if ends else run.exists
            told = bus.valid & bus.ready
            always(inner, told == (taken & seen), "the bus is told once of each run that it must")
            for name in bus.payload.shape().members:
                always(inner, ~bus.valid | (bus.payload[name] == run[name]), "it is told the run's")

            kept = lanes.payload.shape().members
            width = {name: len(Value.cast(lanes.payload[name])) for name in kept}
            level, popped = Signal(range(DEPTH + 3)), lanes.valid & lanes.ready
            inner.d.sync += level.eq(level + taken - popped)
            inner.submodules.run_witness = witness = Witness(
                push=taken,
                entering=Cat(run[name][: width[name]] for name in kept),
                pop=popped,
                leaving=lanes.payload,
                level=level,
            )
            room = inside.runs.level != DEPTH
            possible = room & (bus.ready | ~seen)
            always(inner, ~joined.valid | (joined.ready == possible), "no run waits needlessly")
            behind: Value = Const(0, 1)
            if pipelined:
                waiting, pieces = inner.submodules.waiting, inner.submodules.pieces
                behind = cut_level(waiting)
                strengthen(waiting, cut_places(waiting, witness))
                pushed, taken_piece = (s.valid & s.ready for s in (cut, planner.pieces))
                inner.submodules.piece_witness = piece = Witness(
                    push=pushed,
                    entering=cut.payload,
                    pop=taken_piece,
                    leaving=planner.pieces.payload,
                    level=cut_level(pieces),
                )
                strengthen(pieces, cut_places(pieces, piece))
            in_queue: Any = SimpleNamespace(
                watching=witness.watching & (witness.ahead >= behind),
                ahead=(witness.ahead - behind)[: len(level)],
                value=witness.value,
            )

            def queued(queue: Module, names: SimpleNamespace) -> None:
                always(queue, level == inside.runs.level + behind, "each run is in one place")
                queue_pointers(inside.runs, in_queue)(queue, names)

            strengthen(inside.runs, queued)

        look(planner, claims)
        return m

    return harness


_CLAIM = (
    "whatever the stages do: a run is told to the bus, if it must be, in the cycle in which it is "
    "taken, and goes whole to the lanes, in order, once, unaltered, {}; no run waits that both can "
    "take; what is offered to a stage holds while stalled"
)

PROOFS = (
    Proof(
        name="planner",
        design=RunPlanner,
        claim=_CLAIM.format("as do the pieces"),
        size=f"a queue of {DEPTH} runs, a register between stages; told of ends",
        harness=planner_harness(pipelined=True, address_bits=32, ends=True),
        depth=2,
        reach=5,
        mutants=(
            Mutant(
                flaw="a run that the bus does not take goes to the lanes",
                old="runs.i.valid.eq(joiner.o.valid & (legalizer.i.ready | ~seen))",
                new="runs.i.valid.eq(joiner.o.valid)",
            ),
            Mutant(
                flaw="a run for which there is no room goes to the bus",
                old="legalizer.i.valid.eq(joiner.o.valid & runs.i.ready & seen)",
                new="legalizer.i.valid.eq(joiner.o.valid & seen)",
            ),
            Mutant(
                flaw="the end of a BD is not told",
                old="run.exists | run.end if self._ends else run.exists",
                new="run.exists",
            ),
        ),
    ),
    Proof(
        name="planner-read",
        design=RunPlanner,
        claim=_CLAIM.format("but for the high bits of its address"),
        size=f"a queue of {DEPTH} runs, no other register; not told of ends",
        harness=planner_harness(pipelined=False, address_bits=2, ends=False),
        depth=2,
        reach=5,
        mutants=(
            Mutant(
                flaw="a run that the bus does not take is over",
                old="joiner.o.ready.eq(runs.i.ready & (legalizer.i.ready | ~seen))",
                new="joiner.o.ready.eq(runs.i.ready)",
            ),
            Mutant(
                flaw="a run without bytes waits for the bus",
                old="joiner.o.ready.eq(runs.i.ready & (legalizer.i.ready | ~seen))",
                new="joiner.o.ready.eq(runs.i.ready & legalizer.i.ready)",
            ),
            Mutant(
                flaw="a run is cut at borders that are not those of its address",
                old="run.address[: self._address_bits]",
                new="run.after[: self._address_bits]",
            ),
        ),
    ),
)
