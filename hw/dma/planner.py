"""The front of a DRAM port: what a BD's rows ask of the bus, and what of its bytes."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, flipped

from ..agu.row import temporal_row
from ..bus.cut import cut_if
from ..bus.queue import Queue
from ..bus.wires import adopt
from ..config import DmaConfig
from ..mover.descriptor import dram_settings
from .cutter import RunCutter, piece_layout
from .joiner import RunJoiner
from .legalizer import BurstLegalizer, burst_layout
from .shaper import RunShaper, run_layout

__all__ = ["RunPlanner"]


class RunPlanner(wiring.Component):
    """Plans what a port is to do for each row: bursts for the bus, pieces for the lanes.

    Rows are shaped to runs, and those that continue one another joined. A run then goes two ways
    at once. Whole, it goes through a queue to ``pieces``, cut at the borders of bus beats. If bytes
    of it exist, it goes to ``bursts`` too, cut as the bus allows; with `ends` also if the BD ends
    with it, and without bytes it is then an entry with ``none``. So the beats of the bursts are the
    pieces that exist, in the same order. Bursts stall when the pieces of `depth` runs, and of those
    in registers behind the queue, are to come; pieces when the runs before them wait for the bus.

    Timing: that of :class:`~weft.hw.dma.shaper.RunShaper`, :class:`~weft.hw.dma.joiner.RunJoiner`
    and, to ``bursts``, :class:`~weft.hw.dma.legalizer.BurstLegalizer`, in a chain. A run that
    leaves the joiner in cycle t offers its first piece in t+2, or, with `dma.pipelined`, in t+4:
    there is a register behind the queue, and one behind the pieces. One run, one burst and one
    piece pass in a cycle. The way from ``bursts.ready`` to ``i.ready`` is combinational unless
    `dma.pipelined`; ``pieces.ready`` does not reach beyond the queue.

    Parameters
    ----------
    dma
        Widths, the cap of a burst, and whether the stages are registered.
    guards
        Guards of a row.
    depth
        Runs in the queue.
    address_bits
        Bits of a run's address that its pieces tell: the lowest, at least those of a lane number.
    ends
        Whether ``bursts`` tells every end of a BD.

    Members
    -------
    i : stream of :func:`~weft.hw.agu.row.temporal_row`
        As the shaper takes them.
    bursts : stream of :func:`~weft.hw.dma.legalizer.burst_layout`
        Without `ends`, ``none`` is never set, and ``end`` is missing if the BD's last run has no
        bytes.
    pieces : stream of :func:`~weft.hw.dma.cutter.piece_layout`

    Source: PULP's iDMA, whose legalizer gives each request to the bus and to the data path.
    """

    def __init__(
        self, *, dma: DmaConfig, guards: int, depth: int, address_bits: int, ends: bool
    ) -> None:
        self._dma = dma
        self._guards = guards
        self._depth = depth
        self._address_bits = address_bits
        self._ends = ends
        row = temporal_row(dma.address_bits, guards, dram_settings(guards))
        burst = burst_layout(dma.address_bits, dma.data_bytes)
        super().__init__(
            {
                "i": In(stream.Signature(row)),
                "bursts": Out(stream.Signature(burst)),
                "pieces": Out(stream.Signature(piece_layout(address_bits, dma.data_bytes))),
            }
        )

    @property
    def dma(self) -> DmaConfig:
        return self._dma

    @property
    def guards(self) -> int:
        return self._guards

    @property
    def depth(self) -> int:
        return self._depth

    @property
    def address_bits(self) -> int:
        return self._address_bits

    @property
    def ends(self) -> bool:
        return self._ends

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dma = self._dma
        clips = self._guards > 0
        kept = run_layout(self._address_bits, clips=clips)
        m.submodules.shaper = shaper = RunShaper(
            address_bits=dma.address_bits, guards=self._guards, pipelined=dma.pipelined
        )
        m.submodules.joiner = joiner = RunJoiner(
            address_bits=dma.address_bits,
            span=dma.burst_beats * dma.data_bytes,
            pipelined=dma.pipelined,
        )
        m.submodules.legalizer = legalizer = BurstLegalizer(
            address_bits=dma.address_bits,
            data_bits=dma.data_bits,
            burst_beats=dma.burst_beats,
            pipelined=dma.pipelined,
        )
        m.submodules.runs = runs = Queue(kept, depth=self._depth)
        m.submodules.cutter = cutter = RunCutter(
            address_bits=self._address_bits, lanes=dma.data_bytes, clips=clips
        )
        adopt(shaper, "i", self.i)
        adopt(joiner, "i", flipped(shaper.o))
        adopt(legalizer, "o", self.bursts)
        waiting = cut_if(dma.pipelined, m, "waiting", runs.o, both=True)
        adopt(cutter, "i", flipped(waiting))
        pieces = cut_if(dma.pipelined, m, "pieces", cutter.o, both=True)

        run, span = joiner.o.payload, legalizer.i.payload
        seen = run.exists | run.end if self._ends else run.exists  # by the bus
        m.d.comb += [
            joiner.o.ready.eq(runs.i.ready & (legalizer.i.ready | ~seen)),
            runs.i.valid.eq(joiner.o.valid & (legalizer.i.ready | ~seen)),
            legalizer.i.valid.eq(joiner.o.valid & runs.i.ready & seen),
            *(span[name].eq(run[name]) for name in span.shape().members),
            runs.i.payload.address.eq(run.address[: self._address_bits]),
            *(runs.i.payload[name].eq(run[name]) for name in kept.members if name != "address"),
            self.pieces.payload.eq(pieces.payload),
            self.pieces.valid.eq(pieces.valid),
            pieces.ready.eq(self.pieces.ready),
        ]
        return m
