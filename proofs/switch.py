"""The stream switch: every beat once to each sink that its source names, and to nobody else."""

from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Assume, Module, Signal, Value

from weft.hw.config import ROUTE_BITS
from weft.hw.dma.switch import StreamSwitch

from .harness import always, free, strengthen
from .proof import Mutant, Proof

__all__ = ["PROOFS"]

SOURCES, SINKS, WIDTH = 3, 3, 8


def harness(design: Any) -> Module:
    m = Module()
    m.submodules.switch = switch = design(sources=SOURCES, sinks=SINKS, width=WIDTH)
    outgoing = [sink.valid & sink.ready for sink in switch.o]
    passed = [source.valid & source.ready for source in switch.i]
    free(m, switch.flush, switch.finished, switch.holding)
    for j in range(SOURCES):
        source, route = switch.i[j], switch.source_routes[j]
        free(m, source.valid, source.payload, route.valid, route.payload)
        # A flush ends the BD: what is offered then may be another.
        holds(m, source, Value.cast(source.payload), until=passed[j] | switch.flush[j])
        holds(m, route, route.payload, until=route.ready | switch.flush[j])
    for i in range(SINKS):
        sink, route, finished = switch.o[i], switch.sink_routes[i], switch.finished[i]
        free(m, sink.ready, route.valid, route.payload)
        holds(m, route, route.payload, until=finished)
        m.d.comb += Assume(route.valid | ~finished)
        held = Signal(name=f"held_{i}")
        m.d.sync += held.eq(switch.holding[i] | outgoing[i])
        m.d.comb += Assume(held | ~switch.holding[i])  # only what was taken can be held

    got = [Signal(ROUTE_BITS, name=f"got_{j}") for j in range(SOURCES)]
    opened = [Signal(name=f"opened_{j}") for j in range(SOURCES)]
    taker = [Signal(range(SOURCES), name=f"taker_{i}") for i in range(SINKS)]
    for j in range(SOURCES):
        source, route = switch.i[j], switch.source_routes[j]
        mask = route.payload
        taken = Signal(ROUTE_BITS, name=f"taken_{j}")
        there = Signal(ROUTE_BITS, name=f"there_{j}")
        for i in range(SINKS):
            mine = switch.sink_routes[i].payload == j
            m.d.comb += [
                taken[i].eq(outgoing[i] & mine),
                there[i].eq(switch.bound[i] & mine),
            ]
        gathered = Signal(name=f"gathered_{j}")
        m.d.comb += gathered.eq(source.valid & route.valid & (mask != 0) & ((mask & ~there) == 0))
        always(m, (taken & ~mask) == 0, "no beat goes to a sink that its source does not name")
        always(m, (taken & got[j]) == 0, "no sink takes a beat twice")
        with m.If(passed[j]):
            always(m, route.valid & (mask != 0), "no beat vanishes")
            always(m, (got[j] | taken) == mask, "a beat passes when all have it")
        with m.If(taken != 0):
            always(m, opened[j] | gathered, "a BD begins when all its sinks are there")
        m.d.sync += [got[j].eq(got[j] | taken), opened[j].eq(opened[j] | gathered)]
        with m.If(passed[j]):
            m.d.sync += [got[j].eq(0), opened[j].eq(~source.payload.end)]
        with m.If(switch.flush[j]):
            m.d.sync += [got[j].eq(0), opened[j].eq(0)]

    for i in range(SINKS):
        sink, route = switch.o[i], switch.sink_routes[i]
        flushed = Signal(name=f"flushed_{i}")
        with m.Switch(route.payload):
            for j in range(SOURCES):
                with m.Case(j):
                    m.d.comb += flushed.eq(switch.flush[j])
                    with m.If(sink.valid):
                        always(m, switch.i[j].valid, "what a sink is offered is a source's beat")
                        always(
                            m,
                            Value.cast(sink.payload) == Value.cast(switch.i[j].payload),
                            "and that of the source that its BD names",
                        )
        with m.If(sink.valid):
            always(m, route.valid, "a sink is offered nothing without a BD")
        with m.If(switch.holding[i] & (taker[i] != route.payload)):
            always(m, ~sink.valid & ~switch.bound[i], "streams do not mix")
        with m.If(outgoing[i]):
            m.d.sync += taker[i].eq(route.payload)
        stalled = Signal(name=f"stalled_{i}")
        before = Signal(len(Value.cast(sink.payload)), name=f"offered_{i}")
        m.d.sync += [
            stalled.eq(sink.valid & ~sink.ready & ~switch.finished[i] & ~flushed),
            before.eq(Value.cast(sink.payload)),
        ]
        with m.If(stalled):
            always(m, sink.valid, "an offer stands until the sink's BD ends")
            always(m, Value.cast(sink.payload) == before, "and so does its payload")

    def invariant(inner: Module, inside: SimpleNamespace) -> None:
        for j in range(SOURCES):
            route = switch.source_routes[j]
            always(inner, inside.has[j] == got[j], "who has the beat is known")
            always(inner, inside.begun[j] == opened[j], "which BD has begun is known")
            always(inner, inside.begun[j] | (got[j] == 0), "nobody has a beat of no BD")
            # The rest is about a BD that goes on, whose route and beat the environment keeps.
            with inner.If(inside.begun[j]):
                always(inner, route.valid, "a BD that is begun has its route")
                always(inner, (got[j] & ~route.payload) == 0, "only named sinks have the beat")
            with inner.If(got[j] != 0):
                always(inner, switch.i[j].valid, "a beat that somebody has is offered still")
                always(inner, got[j] != route.payload, "and somebody has not")
        for i in range(SINKS):
            always(inner, inside.latest[i] == taker[i], "whose bytes a sink took is known")

    strengthen(switch, invariant)
    return m


def holds(m: Module, stream: Any, payload: Value, *, until: Value) -> None:
    """The environment keeps what it offers."""
    stays = Signal()
    before = Signal(len(payload))
    m.d.sync += [stays.eq(stream.valid & ~until), before.eq(payload)]
    with m.If(stays):
        m.d.comb += [Assume(stream.valid), Assume(payload == before)]


PROOFS = (
    Proof(
        name="switch",
        design=StreamSwitch,
        claim="each beat once to each sink that its source names, to nobody else; streams of two "
        "sources do not mix in a sink; a BD begins when all its sinks are there; offers stand",
        size=f"{SOURCES} sources, {SINKS} sinks",
        harness=harness,
        depth=2,
        reach=8,
        mutants=(
            Mutant(
                flaw="a sink that has the beat gets it again",
                old="has[j].eq(has[j] | (given[j] & ready))",
                new="has[j].eq(given[j] & ready)",
            ),
            Mutant(
                flaw="the beat is gone when one sink takes it",
                old="(due & ~ready) == 0",
                new="(due & ready) != 0",
            ),
            Mutant(
                flaw="begins with the sinks that are there",
                old="route.valid & (begun[j] | met)",
                new="route.valid",
            ),
            Mutant(
                flaw="a sink leaves and takes the offer of another with it",
                old="route.valid & (begun[j] | met)",
                new="route.valid & met",
            ),
            Mutant(
                flaw="what a sink keeps is given to any BD",
                old="(~self.holding[i] | (latest[i] == route.payload))",
                new="1",
            ),
            Mutant(
                flaw="a beat for nobody vanishes",
                old="(route.payload != 0) & ",
                new="",
            ),
        ),
    ),
)
