"""The stream switch: joins sources to sinks, task by task."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.streams import switch_beat
from ..config import ROUTE_BITS

__all__ = ["StreamSwitch"]


class StreamSwitch(wiring.Component):
    """A rendezvous between the BDs of sources and those of sinks.

    Every execution with data brings one route word, in order: that of a source names its sinks (bit
    i is sink i), that of a sink its source. A source is *bound* when each sink that it names has
    this source at the head of its own routes, and stays so until its beat with ``end`` has been
    taken; that pops its route. A sink's route is popped by ``finished``: its BD has taken the last
    byte that it wants.

    *Timing.* No register lies in the data path: a beat passes in the cycle in which it is offered,
    also when it is the first after a rendezvous and when it goes to several sinks. ``o.valid``
    never depends on a ``ready``; a source's ready is the AND of those of the sinks that still want
    its beat. There is no place in which a beat could wait for a sink that does not ask for it, so
    what passes does not depend on who comes first.

    *Multicast.* Each sink takes the beat when it can, and the source's beat is gone when all have
    it: no sink is more than one beat ahead.

    *Unequal lengths.* A source that outlasts a sink's BD waits until a BD of that sink names it
    again; a sink whose source ends early waits until a BD of that source names it again. Then both
    go on where they were, byte after byte. Other pairs are not disturbed.

    *A sink's BD that ends inside a beat.* A port that keeps the rest of a beat for its next BD says
    so with ``holding``. That BD gets the rest if it has the same source. If it has another one it
    is not ``bound``: neither is a beat given to it, nor may the port use what it holds. So streams
    never mix and no byte is dropped; the sink stays ``sink_waiting`` until it is flushed. A port
    that never holds a part of a beat leaves ``holding`` 0.

    *Waiting* is what the switch itself makes a port wait for. A source waits: it has a beat, and a
    sink that is to have it is elsewhere, or it names none. A sink waits: it has a route, and its
    source has no BD that names it, or another sink of that BD is elsewhere, or it holds bytes of
    another source. A source that is stalled by a sink's ready, and a sink that is starved by its
    source's valid, do not wait here. A route that cannot be met (no sink, one that does not exist)
    waits for ever.

    ``o`` holds while stalled, except in the cycle after that sink's ``finished``: what was offered
    beyond the end of its BD may then not be for the next one.

    Parameters
    ----------
    sources, sinks
        Streams in and out, in the order of their indices. At most 8 sinks.
    width
        Bits of a beat.

    Members
    -------
    i : stream of :func:`~weft.hw.bus.streams.switch_beat` for each source
    o : stream of :func:`~weft.hw.bus.streams.switch_beat` for each sink
    source_routes : stream of 8 bits for each source
        Masks of sinks.
    sink_routes : stream of 8 bits for each sink
        Indices of sources.
    flush : `sources`
        The source has given up its BD: what the sinks have of its present beat is forgotten. Its
        route is to be popped by its owner.
    finished : `sinks`
        Pulse: the BD at the head has taken its last byte, in this cycle or without one.
    holding : `sinks`
        The sink keeps bytes of the beat that it took last.
    bound : `sinks`
        The sink's BD may use the bytes that it keeps. Combinational from ``holding``.
    source_waiting : `sources`
    sink_waiting : `sinks`

    Raises
    ------
    ValueError
        No source or sink, or more than a route can name.
    """

    def __init__(self, *, sources: int, sinks: int, width: int) -> None:
        if not 1 <= sources <= 1 << ROUTE_BITS:
            raise ValueError(f"a switch has 1 to {1 << ROUTE_BITS} sources, not {sources}")
        if not 1 <= sinks <= ROUTE_BITS:
            raise ValueError(f"a switch has 1 to {ROUTE_BITS} sinks, not {sinks}")
        self._sources = sources
        self._sinks = sinks
        self._width = width
        beats, routes = stream.Signature(switch_beat(width)), stream.Signature(ROUTE_BITS)
        super().__init__(
            {
                "i": In(beats).array(sources),
                "o": Out(beats).array(sinks),
                "source_routes": In(routes).array(sources),
                "sink_routes": In(routes).array(sinks),
                "flush": In(sources),
                "finished": In(sinks),
                "holding": In(sinks),
                "bound": Out(sinks),
                "source_waiting": Out(sources),
                "sink_waiting": Out(sinks),
            }
        )

    @property
    def sources(self) -> int:
        return self._sources

    @property
    def sinks(self) -> int:
        return self._sinks

    @property
    def width(self) -> int:
        return self._width

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sources, sinks = range(self._sources), range(self._sinks)
        # Of each source, in a bit a sink: `has`, it has taken the present beat; `here`, its BD
        # takes from this source; `given`, it gets the beat that the source offers; `joined`, both
        # BDs name each other and nobody is missing. `begun`: a sink was given a beat of the BD.
        has = [Signal(ROUTE_BITS, name=f"has_{j}") for j in sources]
        begun = [Signal(name=f"begun_{j}") for j in sources]
        here = [Signal(self._sinks, name=f"here_{j}") for j in sources]
        given = [Signal(ROUTE_BITS, name=f"given_{j}") for j in sources]
        joined = [Signal(ROUTE_BITS, name=f"joined_{j}") for j in sources]
        latest = [Signal(range(self._sources), name=f"latest_{i}") for i in sinks]
        ready, absent = Signal(ROUTE_BITS), Const(0, ROUTE_BITS - self._sinks)
        m.d.comb += ready.eq(Cat(sink.ready for sink in self.o))

        for j in sources:
            source, route = self.i[j], self.source_routes[j]
            due = Signal(ROUTE_BITS, name=f"due_{j}")
            met = Signal(name=f"met_{j}")
            m.d.comb += [
                due.eq(route.payload & ~has[j]),
                met.eq(route.valid & (route.payload != 0) & ((due & ~Cat(here[j], absent)) == 0)),
                joined[j].eq(route.payload & met.replicate(ROUTE_BITS)),
                self.source_waiting[j].eq(source.valid & ~met),
                source.ready.eq(met & ((due & ~ready) == 0)),
                route.ready.eq(source.valid & source.ready & source.payload.end),
            ]
            with m.If(source.valid & route.valid & (begun[j] | met)):
                m.d.comb += given[j].eq(due & here[j])
                m.d.sync += [begun[j].eq(1), has[j].eq(has[j] | (given[j] & ready))]
            with m.If(source.valid & source.ready):
                m.d.sync += [begun[j].eq(~source.payload.end), has[j].eq(0)]
            with m.If(self.flush[j]):
                m.d.sync += [begun[j].eq(0), has[j].eq(0)]

        for i in sinks:
            sink, route = self.o[i], self.sink_routes[i]
            m.d.comb += [
                self.bound[i].eq(route.valid & (~self.holding[i] | (latest[i] == route.payload))),
                self.sink_waiting[i].eq(route.valid),
                route.ready.eq(self.finished[i]),
            ]
            with m.Switch(route.payload):
                for j in sources:
                    with m.Case(j):
                        m.d.comb += [
                            here[j][i].eq(self.bound[i]),
                            sink.valid.eq(given[j][i]),
                            sink.payload.eq(self.i[j].payload),
                            self.sink_waiting[i].eq(route.valid & ~joined[j][i]),
                        ]
            with m.If(sink.valid & sink.ready):
                m.d.sync += latest[i].eq(route.payload)
        return m
