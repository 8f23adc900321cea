"""Runs that continue one another become one: no beat of the bus is read or written twice."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..mover.descriptor import RUN_LENGTH_BITS
from .shaper import run_layout

__all__ = ["RunJoiner"]


class RunJoiner(wiring.Component):
    """Adds to a run those that begin where it ends, as long as their bytes exist.

    A run is held until it is known whether the next one continues it; the last run of a BD is
    never continued. One that has come to a multiple of `span` and is continued gives what lies
    below the last multiple, so that a walk without gaps leaves in pieces that are whole bursts,
    and no later than a piece's bytes are asked for.

    A BD's only run passes in the same cycle, combinationally. Any other is offered in the cycle in
    which the next one is offered on ``i``, at the earliest one cycle after it was itself; one run a
    cycle is accepted in any case. ``o`` is a function of registers and of ``i``, and holds while
    stalled as ``i`` does; the ready path is combinational.

    Parameters
    ----------
    address_bits
        Width of a byte address.
    span
        Bytes, a power of two: what a joined run is cut at.

    Members
    -------
    i, o : stream of :func:`~weft.hw.dma.shaper.run_layout`

    Source: the fusion of contiguous dimensions that the drivers of strided DMAs do, here for
    descriptors that no driver has folded; PULP's iDMA takes a beat a row.
    """

    def __init__(self, *, address_bits: int, span: int) -> None:
        self._address_bits = address_bits
        self._span = span
        run = run_layout(address_bits)
        super().__init__({"i": In(stream.Signature(run)), "o": Out(stream.Signature(run))})

    @property
    def address_bits(self) -> int:
        return self._address_bits

    @property
    def span(self) -> int:
        return self._span

    def elaborate(self, platform: object) -> Module:
        m = Module()
        span_bits = (self._span - 1).bit_length()
        run = self.i.payload

        held = Signal.like(run)
        holding = Signal()
        after = Signal(self._address_bits)
        reached = Signal()  # a multiple of the span
        rest = Signal(RUN_LENGTH_BITS)  # what stays when the next run continues this one
        total = Signal(RUN_LENGTH_BITS + 1)
        joins = Signal()
        in_span = held.address[:span_bits]
        m.d.comb += [
            after.eq(held.address + held.size),
            reached.eq((in_span + held.size)[span_bits:].any()),
            rest.eq(Mux(reached, after[:span_bits], held.size)),
            total.eq(rest + run.size),
            joins.eq(
                self.i.valid
                & ~held.end
                & (held.size != 0)
                & (held.high == 0)
                & (run.size != 0)
                & (run.low == 0)
                & (run.address == after)
                & ~total[RUN_LENGTH_BITS]
            ),
            self.i.ready.eq(~holding | self.o.ready | (joins & ~reached)),
            self.o.payload.eq(run),
        ]
        with m.If(holding):
            m.d.comb += [
                self.o.valid.eq(held.end | (self.i.valid & (reached | ~joins))),
                self.o.payload.eq(held),
            ]
            with m.If(joins):
                m.d.comb += self.o.payload.size.eq(held.size - rest)
        with m.Else():
            m.d.comb += self.o.valid.eq(self.i.valid & run.end)

        with m.If(self.i.valid & self.i.ready):
            with m.If(holding & joins):
                m.d.sync += [
                    held.size.eq(total),
                    held.high.eq(run.high),
                    held.end.eq(run.end),
                ]
                with m.If(reached):
                    m.d.sync += [
                        held.address.eq(Cat(Const(0, span_bits), after[span_bits:])),
                        held.low.eq(0),
                    ]
            with m.Else():
                m.d.sync += [held.eq(run), holding.eq(holding | ~(self.o.valid & self.o.ready))]
        with m.Elif(self.o.valid & self.o.ready):
            m.d.sync += holding.eq(0)
        return m
