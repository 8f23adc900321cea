"""The quantizer's parameters, a set for every tile."""

from collections.abc import Mapping

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..bus.queue import Queue
from ..bus.streams import compute_beat
from ..bus.wires import adopt
from ..config import PARAMETER_BITS
from .parameters import parameters_of, quantizer_parameters

__all__ = ["ParameterSets"]


class ParameterSets(wiring.Component):
    """Takes parameters from a stream and shows each stage of the lanes those that it needs.

    The beats that hold a parameter word for every lane make a *set*, the lowest lane first. A set
    is offered in ``o`` in the cycle after its last beat, its place is free again in the cycle after
    ``done``, and so is ``s.ready``, which comes from a register. Sets stand in memories of their
    own for each stage that reads (LUTRAM, asynchronous).

    Parameters
    ----------
    lanes
        Columns of a set.
    sets
        How many it holds, a power of two.
    width
        Bits of a beat: whole columns, and a part of a set.
    readers
        By name, the parameters that are read together.

    Members
    -------
    s : stream of :func:`~weft.hw.bus.streams.compute_beat`
        A :func:`~weft.hw.gemm.parameters.quantizer_parameters` a column. ``mark`` and ``end`` mean
        nothing here.
    o : stream of 1
        A set that is complete; the payload is the ``error`` of its beats.
    done : 1
        The oldest set that was taken from ``o`` is not read any more.
    index_<reader> : range(sets)
        Which set it reads; they are filled from 0 on and then again.
    read_<reader> : array of parameters, a lane each
        It, in the same cycle.
    """

    def __init__(
        self,
        *,
        lanes: int,
        sets: int,
        width: int,
        readers: Mapping[str, tuple[str, ...]],
    ) -> None:
        self._lanes = lanes
        self._sets = sets
        self._width = width
        self._readers = readers
        super().__init__(
            {
                "s": In(stream.Signature(compute_beat(width))),
                "o": Out(stream.Signature(1)),
                "done": In(1),
                **{f"index_{name}": In(range(sets)) for name in readers},
                **{
                    f"read_{name}": Out(data.ArrayLayout(parameters_of(*names), lanes))
                    for name, names in readers.items()
                },
            }
        )

    @property
    def lanes(self) -> int:
        return self._lanes

    @property
    def sets(self) -> int:
        return self._sets

    @property
    def width(self) -> int:
        return self._width

    @property
    def readers(self) -> Mapping[str, tuple[str, ...]]:
        return self._readers

    def elaborate(self, platform: object) -> Module:
        m = Module()
        columns = self._width // PARAMETER_BITS
        parts = self._lanes // columns
        m.submodules.complete = complete = Queue(1, depth=self._sets)
        adopt(complete, "o", self.o)

        # One bit a part of the set being filled; sets filled and not done.
        part = Signal(parts, init=1)
        place = Signal(range(self._sets))
        held = Signal(range(self._sets + 1))
        error = Signal()
        taken = Signal()
        filled = Signal()
        m.d.comb += [
            self.s.ready.eq(held != self._sets),
            taken.eq(self.s.valid & self.s.ready),
            filled.eq(taken & part[-1]),
            complete.i.valid.eq(filled),
            complete.i.payload.eq(error | self.s.payload.error),
        ]
        with m.If(taken):
            m.d.sync += [
                part.eq(part.rotate_left(1)),
                error.eq(~part[-1] & (error | self.s.payload.error)),
            ]
        with m.If(filled):
            m.d.sync += place.eq(place + 1)
        with m.If(filled != self.done):
            m.d.sync += held.eq(Mux(filled, held + 1, held - 1))

        given = data.ArrayLayout(quantizer_parameters(), columns)(self.s.payload.data)
        for reader, names in self._readers.items():
            piece = parameters_of(*names).size * columns
            memory = Memory(shape=piece * parts, depth=self._sets, init=[])
            m.submodules[f"memory_{reader}"] = memory
            write_port = memory.write_port(granularity=piece)
            read_port = memory.read_port(domain="comb")
            wanted = Cat(Cat(given[column][name] for name in names) for column in range(columns))
            m.d.comb += [
                write_port.en.eq(Mux(taken, part, 0)),
                write_port.addr.eq(place),
                write_port.data.eq(wanted.replicate(parts)),
                read_port.addr.eq(getattr(self, f"index_{reader}")),
                getattr(self, f"read_{reader}").as_value().eq(read_port.data),
            ]
        return m
