"""From rows of int32 results to beats of int8."""

from itertools import pairwise

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.streams import compute_beat
from ..bus.wires import adopt
from ..config import ArrayConfig
from .collector import Collector, row_here, slots_for, tile_ticket
from .parameter_sets import ParameterSets
from .rescaler import READERS, STAGES, Rescaler

__all__ = ["Quantizer"]


class Quantizer(wiring.Component):
    """Rescales a tile's rows to int8 as they come, and gathers them into one beat of E.

    A lane a column (:class:`~weft.hw.gemm.rescaler.Rescaler`), each with parameters of its own for
    every tile. They and a place in E are reserved by the tile's ticket, so that nothing stalls once
    it is in. A ticket is accepted when both are there.

    Timing. A row a cycle, mu cycles a tile, and the next without a gap: there are slots and sets
    enough for a tile every mu cycles as long as E is ready and S gives the tile's beats in mu
    cycles. The beat is first offered mu + STAGES cycles after ``release``. ``i_ticket.ready``,
    ``s.ready`` and ``e.valid`` come from registers.

    Parameters
    ----------
    array : :class:`~weft.hw.config.ArrayConfig`
    parameter_bits
        Width of a beat of S: whole columns, and a part of a tile's.
    delay
        Cycles from a tile's ticket to its ``release``.

    Attributes
    ----------
    slots : int
        Tiles between their ticket and their beat, at most.

    Members
    -------
    i_ticket : stream of :func:`~weft.hw.gemm.collector.tile_ticket`
    i_row : nu lanes of accumulator_bits
        A row of results, the bottom one first.
    release : 1
        ``i_row`` is row mu-1 of the next tile that had a ticket; its other rows follow.
    s : stream of :func:`~weft.hw.bus.streams.compute_beat`
        nu :func:`~weft.hw.gemm.parameters.quantizer_parameters` a tile, column 0 first. ``mark``
        and ``end`` mean nothing here.
    e : stream of :func:`~weft.hw.bus.streams.compute_beat`
        [mu][nu] int8, n fastest; ``mark`` always, ``end`` of the ticket, and ``error`` of the
        ticket or of a beat of S.
    starved : 1
        There are no parameters for another ticket.
    in_flight : 1
        A tile is between its ticket and the taking of its beat.
    """

    def __init__(self, *, array: ArrayConfig, parameter_bits: int, delay: int) -> None:
        self._array = array
        self._collector = Collector(
            rows=array.mu, lanes=array.nu, lane_bits=array.operand_bits, delay=delay + STAGES
        )
        self._sets = ParameterSets(
            lanes=array.nu,
            sets=slots_for(delay + array.mu + STAGES + 1, rows=array.mu),
            width=parameter_bits,
            readers={name: names for name, (_, names) in READERS.items()},
        )
        super().__init__(
            {
                "i_ticket": In(stream.Signature(tile_ticket())),
                "i_row": In(array.accumulator_bits).array(array.nu),
                "release": In(1),
                "s": In(stream.Signature(compute_beat(parameter_bits))),
                "e": Out(stream.Signature(compute_beat(array.e_bits))),
                "starved": Out(1),
                "in_flight": Out(1),
            }
        )

    @property
    def array(self) -> ArrayConfig:
        return self._array

    @property
    def parameter_bits(self) -> int:
        return self._sets.width

    @property
    def slots(self) -> int:
        return self._collector.slots

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.sets = sets = self._sets
        m.submodules.collector = collector = self._collector
        adopt(sets, "s", self.s)
        adopt(collector, "o", self.e)
        adopt(collector, "in_flight", self.in_flight)
        ticket, place = self.i_ticket, collector.i_ticket
        m.d.comb += [
            self.starved.eq(~sets.o.valid),
            ticket.ready.eq(place.ready & sets.o.valid),
            sets.o.ready.eq(place.ready & ticket.valid),
            place.valid.eq(ticket.valid & sets.o.valid),
            place.payload.end.eq(ticket.payload.end),
            place.payload.error.eq(ticket.payload.error | sets.o.payload),
            sets.done.eq(collector.last),
        ]

        # Which set the row here takes, and where rows are, stage by stage.
        rows = row_here(m, self.release, self._array.mu)
        stages = Signal(STAGES)
        later_stages = Signal(STAGES - 1)
        releases = Signal(STAGES)
        index = [Signal(range(sets.sets), name=f"index_{stage}") for stage in range(STAGES + 1)]
        m.d.comb += stages.eq(Cat(rows.any(), later_stages))
        m.d.sync += [
            later_stages.eq(stages),
            releases.eq(Cat(self.release, releases)),
        ]
        m.d.sync += [after.eq(before) for before, after in pairwise(index)]
        with m.If(rows[0]):
            m.d.sync += index[0].eq(index[0] + 1)
        for name, (stage, _) in READERS.items():
            adopt(sets, f"index_{name}", index[stage])
        m.d.comb += collector.release.eq(releases[-1])

        for j in range(self._array.nu):
            m.submodules[f"lane_{j}"] = lane = Rescaler()
            adopt(lane, "stages", stages)
            adopt(lane, "i", self.i_row[j])
            adopt(lane, "o", collector.i_row[j])
            for name in READERS:
                m.d.comb += getattr(lane, name).eq(getattr(sets, f"read_{name}")[j])
        return m
