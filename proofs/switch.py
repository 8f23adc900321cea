"""The stream switch: who gets a beat, and that everyone gets it once."""

from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Assume, Cat, Module, Signal, Value

from weft.hw.dma.switch import ROUTE_BITS, StreamSwitch

from .harness import always, free, strengthen
from .proof import Mutant, Proof
from .specs import Steady

__all__ = ["PROOFS"]

SOURCES = 2
SINKS = 2


def switch_harness(design: Any) -> Module:
    m = Module()
    m.submodules.switch = switch = design(sources=SOURCES, sinks=SINKS, width=8)
    free(m, switch.holding)
    sources, sinks = range(SOURCES), range(SINKS)
    for name in ("i", "source_routes", "sink_routes"):
        for index, stream in enumerate(getattr(switch, name)):
            free(m, stream.valid, stream.payload)
            m.submodules[f"{name}_{index}"] = Steady(stream, rule=Assume)
    for sink in sinks:
        free(m, switch.o[sink].ready, switch.finished[sink])
        m.submodules[f"o_{sink}"] = Steady(switch.o[sink], unless=switch.finished[sink])
        # A sink keeps bytes of a beat only if it has just taken one, or kept some before.
        kept, took = Signal(name=f"kept_{sink}"), Signal(name=f"took_{sink}")
        m.d.sync += [
            kept.eq(switch.holding[sink]),
            took.eq(switch.o[sink].valid & switch.o[sink].ready),
        ]
        m.d.comb += Assume(~switch.holding[sink] | kept | took)

    begun = [Signal(name=f"begun_{source}") for source in sources]
    has = [Signal(SINKS, name=f"has_{source}") for source in sources]
    for source in sources:
        beat, route = switch.i[source], switch.source_routes[source]
        mask = Signal(ROUTE_BITS, name=f"mask_{source}")
        named, offered, taken = (
            Signal(SINKS, name=f"{name}_{source}") for name in ("named", "offered", "taken")
        )
        m.d.comb += mask.eq(route.payload)
        for sink in sinks:
            wanted = switch.sink_routes[sink]
            m.d.comb += [
                named[sink].eq(wanted.valid & (wanted.payload == source) & switch.bound[sink]),
                offered[sink].eq(switch.o[sink].valid & (wanted.payload == source)),
                taken[sink].eq(offered[sink] & switch.o[sink].ready),
            ]
            with m.If(offered[sink]):
                payload = Value.cast(switch.o[sink].payload)
                always(m, payload == Value.cast(beat.payload), "a beat is its source's")
        always(m, (offered & ~named) == 0, "a beat is for a sink whose BD names the source")
        always(m, (offered & ~mask) == 0, "a beat is for a sink that the source's BD names")
        always(m, (offered & has[source]) == 0, "no sink gets a beat twice")
        always(m, (offered == 0) | (beat.valid & route.valid), "only of a source with beat and BD")
        meets = (mask & ~named) == 0
        always(
            m,
            (offered == 0) | begun[source] | meets,
            "a BD's first beat goes out when every sink is there",
        )
        passed = beat.valid & beat.ready
        with m.If(passed):
            always(m, route.valid & (mask != 0), "no beat passes without a BD that names a sink")
            always(m, (has[source] | taken) == mask, "a beat passes when every sink has it")
            m.d.sync += [has[source].eq(0), begun[source].eq(~beat.payload.end)]
        with m.Else():
            m.d.sync += [
                has[source].eq(has[source] | taken),
                begun[source].eq(begun[source] | offered.any()),
            ]
        ended = passed & beat.payload.end
        always(m, (route.valid & route.ready) == ended, "a source's route goes with its end")
    for sink in sinks:
        popped = switch.sink_routes[sink].ready
        always(m, popped == switch.finished[sink], "a sink's route goes when it has finished")
        somebody = Cat(switch.sink_routes[sink].payload == source for source in sources).any()
        always(m, ~switch.o[sink].valid | somebody, "no beat from a source that does not exist")

    def invariant(inner: Module, inside: SimpleNamespace) -> None:
        for source in sources:
            always(inner, inside.has[source] == has[source], "who has the beat")
            always(inner, inside.begun[source] == begun[source], "the BD has begun")
            route = switch.source_routes[source]
            with inner.If(has[source] != 0):
                always(inner, begun[source], "nobody has a beat of no BD")
                always(inner, switch.i[source].valid & route.valid, "the beat is still there")
                always(inner, (has[source] & ~route.payload) == 0, "and was for who has it")

    strengthen(switch, invariant)
    return m


PROOFS = (
    Proof(
        name="switch",
        design=StreamSwitch,
        claim="a beat goes to the sinks that its BD names and whose BDs name its source, to each "
        "once, unaltered; the first of a BD when all are there; a route goes with the end or the "
        "finish; what is offered holds while stalled, but for the cycle after the sink's finish",
        size=f"{SOURCES} sources, {SINKS} sinks, multicast, no flush",
        harness=switch_harness,
        depth=2,
        mutants=(
            Mutant(
                flaw="gives a beat again to a sink that has it",
                old="due.eq(route.payload & ~has[j])",
                new="due.eq(route.payload)",
            ),
            Mutant(
                flaw="begins before every sink is there",
                old="(due & ~here[j]) == 0)),",
                new="1)),",
            ),
            Mutant(
                flaw="passes a beat when one of its sinks takes it",
                old="met & ((due & ~ready) == 0)",
                new="met & ((due & ready) != 0)",
            ),
        ),
        reach=6,
    ),
)
