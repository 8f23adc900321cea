"""From rows of a DRAM mover to runs of bytes: which exist, and which are clipped."""

import operator
from collections.abc import Callable, Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..agu.row import GUARD_BITS, temporal_row
from ..bus.cut import cut_if
from ..bus.streams import present_fields
from ..mover.descriptor import RUN_LENGTH_BITS, dram_settings

__all__ = ["RunShaper", "run_layout"]


def run_layout(address_bits: int, *, clips: bool = True, bus: bool = False) -> data.StructLayout:
    """A run of bytes in the order in which they travel.

    ``low`` clipped bytes, ``size`` existing ones from ``address`` up, ``high`` clipped ones; their
    sum is at least 1. Clipped bytes are ``pad`` on read and dropped on write. ``end`` ends the BD.
    ``address`` has no meaning where ``size`` is 0. Without `clips` all bytes exist, and ``low`` and
    ``high`` are absent.

    With `bus` a run says as well whether a byte ``exists``, and the address ``after`` the last one.
    """
    clipped = RUN_LENGTH_BITS if clips else 0
    return present_fields(
        {
            "address": address_bits,
            "low": clipped,
            "size": RUN_LENGTH_BITS + 1,  # runs that were joined may be longer than a row
            "high": clipped,
            "pad": 8,
            "end": 1,
            "exists": int(bus),
            "after": address_bits if bus else 0,
        }
    )


class RunShaper(wiring.Component):
    """Intersects a row's guards into one window of existing bytes.

    Byte i of a row's run exists iff ``0 <= guard + (i if run else 0) < limit`` for every guard, so
    what exists is contiguous. One row a cycle passes. With guards, a row accepted in cycle t is
    offered as a run from cycle t+1, after a register behind the window of each guard; if it is
    `pipelined` from t+3, after one behind their intersection and one behind the run. Without any it
    is in cycle t itself, combinationally. The ready path is combinational from ``o`` to ``i``.

    Parameters
    ----------
    address_bits
        Width of a byte address.
    guards
        Guards of a row; 0 means that every byte exists.
    pipelined
        Whether the intersection and the run are registered.

    Members
    -------
    i : stream of :func:`~weft.hw.agu.row.temporal_row`
        With :func:`~weft.hw.mover.descriptor.dram_settings`; ``run_length`` is at least 1.
    o : stream of :func:`run_layout` with `bus`

    Source: the clip of the accelerator's DRAM movers (ragged matrices without a host-side copy);
    zero padding in a DMA descriptor is known from the memory tiles of AMD's AI Engine.
    """

    def __init__(self, *, address_bits: int, guards: int, pipelined: bool = False) -> None:
        self._address_bits = address_bits
        self._guards = guards
        self._pipelined = pipelined
        row = temporal_row(address_bits, guards, dram_settings(guards))
        run = run_layout(address_bits, bus=True)
        super().__init__({"i": In(stream.Signature(row)), "o": Out(stream.Signature(run))})

    @property
    def address_bits(self) -> int:
        return self._address_bits

    @property
    def guards(self) -> int:
        return self._guards

    @property
    def pipelined(self) -> bool:
        return self._pipelined

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
                run.exists.eq(1),
                run.after.eq(row.address + length),
                self.o.valid.eq(self.i.valid),
                self.i.ready.eq(self.o.ready),
            ]
            return m

        same = {"address": self._address_bits, "total": RUN_LENGTH_BITS, "pad": 8, "end": 1}
        # Window of each guard: bytes begin ... stop - 1, of the run or outside it.
        edges = data.ArrayLayout(signed(GUARD_BITS + 1), self._guards)
        guarded = stream.Signature(
            data.StructLayout(same | {"begins": edges, "stops": edges})
        ).create()
        m.d.comb += [
            guarded.payload.address.eq(row.address),
            guarded.payload.total.eq(length),
            guarded.payload.pad.eq(row.settings.pad),
            guarded.payload.end.eq(row.end),
            guarded.valid.eq(self.i.valid),
            self.i.ready.eq(guarded.ready),
        ]
        for g in range(self._guards):
            guard, along = row.guards[g], row.settings.runs[g]
            # limit - guard, or one less where all bytes exist or none: then its sign tells. The
            # lowest bit carries.
            limit = Cat(1, row.settings.limits[g], 0).as_signed()
            room = (limit + Cat(along, ~guard).as_signed()) >> 1
            whole = Mux(guard < 0, -1, room | 1 << RUN_LENGTH_BITS)
            m.d.comb += [
                guarded.payload.begins[g].eq(-guard),
                guarded.payload.stops[g].eq(Mux(along, room, whole)),
            ]
        windows = cut_if(True, m, "windows", guarded)

        window = windows.payload
        # A negative `stop` says that no byte exists; its other bits mean nothing.
        stop_shape = signed(RUN_LENGTH_BITS + 1)
        met = stream.Signature(
            data.StructLayout(same | {"begin": GUARD_BITS, "stop": stop_shape})
        ).create()
        begins = [window.begins[g] for g in range(self._guards)]
        stops = [window.stops[g] for g in range(self._guards)]
        begin = _extreme([Const(0), *begins], operator.gt)
        stop = _extreme([window.total, *stops], operator.lt)
        m.d.comb += [
            *(met.payload[name].eq(window[name]) for name in same),
            met.payload.begin.eq(begin),
            met.payload.stop.eq(Cat(stop[:RUN_LENGTH_BITS], stop[-1])),
            met.valid.eq(windows.valid),
            windows.ready.eq(met.ready),
        ]
        meeting = cut_if(self._pipelined, m, "meeting", met)

        found = meeting.payload
        shaped = stream.Signature(run.shape()).create()
        run = shaped.payload
        m.d.comb += [
            run.address.eq(found.address + found.begin),
            run.after.eq(found.address + found.stop),
            run.exists.eq(found.begin < found.stop),
            run.low.eq(Mux(run.exists, found.begin, found.total)),
            run.size.eq(Mux(run.exists, found.stop - found.begin, 0)),
            run.high.eq(Mux(run.exists, found.total - found.stop, 0)),
            run.pad.eq(found.pad),
            run.end.eq(found.end),
            shaped.valid.eq(meeting.valid),
            meeting.ready.eq(shaped.ready),
        ]
        runs = cut_if(self._pipelined, m, "runs", shaped)
        m.d.comb += [
            self.o.payload.eq(runs.payload),
            self.o.valid.eq(runs.valid),
            runs.ready.eq(self.o.ready),
        ]
        return m


def _extreme(values: Sequence[Value], goes: Callable[[Value, Value], Value]) -> Value:
    """The one of `values` that `goes` before all others; all comparisons are of `values`."""
    if len(values) == 1:
        return values[0]
    first, second, *rest = values
    return Mux(goes(first, second), _extreme([first, *rest], goes), _extreme([second, *rest], goes))
