"""From rows of a DRAM mover to runs of bytes: which exist, and which are clipped."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..agu.row import temporal_row
from ..bus.streams import present_fields
from ..mover.descriptor import RUN_LENGTH_BITS, dram_settings

__all__ = ["RunShaper", "run_layout"]


def run_layout(address_bits: int, *, clips: bool = True) -> data.StructLayout:
    """A run of bytes in the order in which they travel.

    ``low`` clipped bytes, ``size`` existing ones from ``address`` up, ``high`` clipped ones; their
    sum is at least 1. Clipped bytes are ``pad`` on read and dropped on write. ``end`` ends the BD.
    ``address`` has no meaning where ``size`` is 0. Without `clips` all bytes exist, and ``low`` and
    ``high`` are absent.
    """
    clipped = RUN_LENGTH_BITS if clips else 0
    return present_fields(
        {
            "address": address_bits,
            "low": clipped,
            "size": RUN_LENGTH_BITS,
            "high": clipped,
            "pad": 8,
            "end": 1,
        }
    )


class RunShaper(wiring.Component):
    """Intersects a row's guards into one window of existing bytes.

    Byte i of a row's run exists iff ``0 <= guard + (i if run else 0) < limit`` for every guard, so
    what exists is contiguous. One row a cycle passes: with guards, a row accepted in cycle t is
    offered as a run from cycle t+1, after a register behind the window of each guard; without any,
    in cycle t itself, combinationally. The ready path is combinational from ``o`` to ``i``.

    Parameters
    ----------
    address_bits
        Width of a byte address.
    guards
        Guards of a row; 0 means that every byte exists.

    Members
    -------
    i : stream of :func:`~weft.hw.agu.row.temporal_row`
        With :func:`~weft.hw.mover.descriptor.dram_settings`; ``run_length`` is at least 1.
    o : stream of :func:`run_layout`

    Source: the clip of the accelerator's DRAM movers (ragged matrices without a host-side copy);
    zero padding in a DMA descriptor is known from the memory tiles of AMD's AI Engine.
    """

    def __init__(self, *, address_bits: int, guards: int) -> None:
        self._address_bits = address_bits
        self._guards = guards
        row = temporal_row(address_bits, guards, dram_settings(guards))
        super().__init__(
            {"i": In(stream.Signature(row)), "o": Out(stream.Signature(run_layout(address_bits)))}
        )

    @property
    def address_bits(self) -> int:
        return self._address_bits

    @property
    def guards(self) -> int:
        return self._guards

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row = self.i.payload
        run = self.o.payload
        length = row.settings.run_length

        if not self._guards:
            m.d.comb += [
                run.address.eq(row.address),
                run.size.eq(length),
                run.pad.eq(row.settings.pad),
                run.end.eq(row.end),
                self.o.valid.eq(self.i.valid),
                self.i.ready.eq(self.o.ready),
            ]
            return m

        address = Signal(self._address_bits)
        total = Signal(RUN_LENGTH_BITS)
        # Window of each guard: bytes begin ... stop - 1.
        begins = [Signal(RUN_LENGTH_BITS, name=f"begin_{g}") for g in range(self._guards)]
        stops = [Signal(RUN_LENGTH_BITS, name=f"stop_{g}") for g in range(self._guards)]

        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        with m.If(self.i.ready):
            m.d.sync += self.o.valid.eq(self.i.valid)
            with m.If(self.i.valid):
                m.d.sync += [
                    address.eq(row.address),
                    total.eq(length),
                    run.pad.eq(row.settings.pad),
                    run.end.eq(row.end),
                ]
                for g in range(self._guards):
                    guard = row.guards[g]
                    before = -guard
                    room = row.settings.limits[g] - guard
                    first = Mux(guard < 0, _least(before, length), 0)
                    stop = Mux(room > 0, _least(room, length), 0)
                    whole = (guard >= 0) & (room > 0)
                    along = row.settings.runs[g]
                    m.d.sync += [
                        begins[g].eq(Mux(along, first, Mux(whole, 0, length))),
                        stops[g].eq(Mux(along, stop, Mux(whole, length, 0))),
                    ]

        begin: Value = begins[0]
        stop = stops[0]
        for g in range(1, self._guards):
            begin = _greatest(m, begin, begins[g])
            stop = _lower(m, stop, stops[g])
        some = begin < stop
        m.d.comb += [
            run.address.eq(address + begin),
            run.low.eq(Mux(some, begin, total)),
            run.size.eq(Mux(some, stop - begin, 0)),
            run.high.eq(Mux(some, total - stop, 0)),
        ]
        return m


def _least(left: Value, right: Value) -> Value:
    return Mux(left < right, left, right)


def _greatest(m: Module, left: Value, right: Value) -> Value:
    greatest = Signal(RUN_LENGTH_BITS)
    m.d.comb += greatest.eq(Mux(left > right, left, right))
    return greatest


def _lower(m: Module, left: Value, right: Value) -> Value:
    least = Signal(RUN_LENGTH_BITS)
    m.d.comb += least.eq(_least(left, right))
    return least
