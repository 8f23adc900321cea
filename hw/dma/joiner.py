"""Runs that continue one another become one: no beat of the bus is read or written twice."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.cut import cut_if
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
    stalled as ``i`` does; the ready path is combinational. If it is `pipelined`, all this comes a
    cycle later, ``o`` is a function of registers, and ``i.ready`` is a register.

    A run continues the one before or does not whatever became of that one, so it is known before
    the one before is done with.

    Parameters
    ----------
    address_bits
        Width of a byte address.
    span
        Bytes, a power of two: what a joined run is cut at.
    pipelined
        Whether what a run continues is registered with it.

    Members
    -------
    i, o : stream of :func:`~weft.hw.dma.shaper.run_layout` with `bus`

    Source: the fusion of contiguous dimensions that the drivers of strided DMAs do, here for
    descriptors that no driver has folded; PULP's iDMA takes a beat a row.
    """

    def __init__(self, *, address_bits: int, span: int, pipelined: bool = False) -> None:
        self._address_bits = address_bits
        self._span = span
        self._pipelined = pipelined
        run = run_layout(address_bits, bus=True)
        super().__init__({"i": In(stream.Signature(run)), "o": Out(stream.Signature(run))})

    @property
    def address_bits(self) -> int:
        return self._address_bits

    @property
    def span(self) -> int:
        return self._span

    @property
    def pipelined(self) -> bool:
        return self._pipelined

    def elaborate(self, platform: object) -> Module:
        m = Module()
        span_bits = (self._span - 1).bit_length()

        given = self.i.payload
        before = Signal(self._address_bits)  # where the run before ended
        whole = Signal()  # with its last byte, which exists; and it was not the BD's last
        link = stream.Signature(data.StructLayout({"run": given.shape(), "continues": 1})).create()
        m.d.comb += [
            link.payload.run.eq(given),
            link.payload.continues.eq(
                whole & given.exists & (given.low == 0) & (given.address == before)
            ),
            link.valid.eq(self.i.valid),
            self.i.ready.eq(link.ready),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                before.eq(given.after),
                whole.eq(given.exists & (given.high == 0) & ~given.end),
            ]
        linked = cut_if(self._pipelined, m, "linked", link, both=True)

        run = linked.payload.run
        held = Signal.like(run)
        holding = Signal()
        reached = Signal()  # a multiple of the span
        joins = Signal()
        rest = Signal(span_bits)  # what stays when the next run continues this one
        m.d.comb += [
            joins.eq(linked.valid & linked.payload.continues),
            rest.eq(Mux(reached, held.after, held.size)),
            linked.ready.eq(~holding | self.o.ready | (joins & ~reached)),
            self.o.payload.eq(run),
        ]
        with m.If(holding):
            m.d.comb += [
                self.o.valid.eq(held.end | (linked.valid & (reached | ~joins))),
                self.o.payload.eq(held),
            ]
            with m.If(joins):
                m.d.comb += [
                    self.o.payload.size.eq(held.size - rest),
                    self.o.payload.after[:span_bits].eq(0),
                ]
        with m.Else():
            m.d.comb += self.o.valid.eq(linked.valid & run.end)

        with m.If(linked.valid & linked.ready):
            m.d.sync += reached.eq(run.address[span_bits:] != run.after[span_bits:])
            with m.If(holding & joins):
                m.d.sync += [
                    held.size.eq(rest + run.size),
                    held.high.eq(run.high),
                    held.end.eq(run.end),
                    held.after.eq(run.after),
                ]
                with m.If(reached):
                    m.d.sync += [
                        held.address.eq(Cat(Const(0, span_bits), held.after[span_bits:])),
                        held.low.eq(0),
                    ]
            with m.Else():
                m.d.sync += [held.eq(run), holding.eq(holding | ~(self.o.valid & self.o.ready))]
        with m.Elif(self.o.valid & self.o.ready):
            m.d.sync += holding.eq(0)
        return m
