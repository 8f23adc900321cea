"""The DRAM port of a mover that reads: MM2S, memory to stream."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, flipped

from ..bus.axi import Axi4Signature, Response
from ..bus.queue import Queue
from ..bus.streams import switch_beat
from ..bus.windows import allowed, window_layout
from ..bus.wires import adopt
from ..config import AcceleratorConfig, DmaConfig, MoverConfig
from ..errors import ConfigError
from ..mover.descriptor import Descriptor
from ..mover.port import PortSignature
from .buffer import BeatBuffer
from .packer import BytePacker
from .planner import RunPlanner

__all__ = ["Mm2sPort", "dma_of"]

PIPELINE_ROWS = 8
"""Rows between the issue of a burst and the packer when the bus answers at once."""


def dma_of(config: AcceleratorConfig, mover: MoverConfig, kind: str) -> DmaConfig:
    """The DMA that a port of `kind` for `mover` stands on; refuses any other mover."""
    if mover.kind != kind:
        raise ConfigError(f"movers.{mover.name}.kind", mover.kind, f"this port is for {kind}")
    if config.dma is None:
        raise ConfigError(f"movers.{mover.name}", mover.kind, "needs a [dma]")
    return config.dma


class Mm2sPort(wiring.Component):
    """Reads runs of bytes over AXI4 and gives them as one dense stream.

    Every row delivers ``run_length`` bytes; those outside its guards are the BD's pad byte and are
    not read from the bus. The stream is dense across rows; a BD's last beat has ``end`` and may be
    partial, and the next BD starts in lane 0.

    Runs of a BD that continue one another are read as one, see
    :class:`~weft.hw.dma.joiner.RunJoiner`.

    Timing: a BD's only row, offered in cycle t, raises its first AR in t+1; one cycle later with
    guards, and one more if other rows follow it. With `dma.pipelined` three cycles later, and
    five with guards: there is a register behind what the guards have in common, a run, what it
    continues, the beats of a span, a burst, and what a beat takes of a run. A beat answered in
    cycle t that completes a stream beat is offered in t+4. After that, as long as data and room
    last, one burst, one bus beat and one stream beat pass in every cycle, across rows and BDs; a
    run costs as many cycles as it has bus beats, and clipped bytes one cycle for every full beat
    begun on each side.

    Bus: INCR bursts of full-width beats, at most `dma.burst_beats`, none across 4 KiB, at most
    `dma.read_outstanding` in flight. A burst is raised when all its beats have room in the read
    buffer, so ``r`` is always accepted and a stalled stream never blocks the bus.

    Retirement and faults: see :class:`~weft.hw.dma.packer.BytePacker`. One ``retired`` a BD, in the
    cycle in which its last beat is taken, its last response being in by then (combinational from
    ``o.ready``). A bad response does not end the BD: its bytes become the pad byte in beats with
    ``error``, and the BD reports READ_SLVERR or READ_DECERR once, with the address of the burst of
    the first bad beat.

    A burst that no window allows is not raised. Its beats count as answered with an error, one a
    cycle in their turn, without a place in the read buffer; the fault is WINDOW.

    ``activity``: ``valid`` and ``ready`` are those of ``o``; ``conflict`` is a stalled AR;
    ``accesses`` are R beats. ``progress``: bytes taken from ``o`` in beats without
    ``error``.

    Parameters
    ----------
    config
        The system; it has a DMA.
    mover
        The mover above; its kind is ``mm2s``.

    Members
    -------
    core : :class:`~weft.hw.mover.port.PortSignature`
    o : stream of :func:`~weft.hw.bus.streams.switch_beat`
    ar, r : stream
        As in :class:`~weft.hw.bus.axi.Axi4Signature`.
    drain : 1
        While set, no further AR is raised; one that is raised holds until it is taken.
    idle : 1
        No AR is raised and no burst is in flight.
    windows : array of :func:`~weft.hw.bus.windows.window_layout`; only with `dma.windows`
        Where it may read; changed while no task is under way.

    Attributes
    ----------
    fill : `range(dma.read_buffer + 1)`
        Beats in the read buffer.

    Raises
    ------
    ConfigError
        If `mover` is of another kind, or there is no DMA.

    Source: AMBA AXI (ARM IHI 0022); credits before the request follow from what PULP's iDMA
    learned about reads admitted without room.
    """

    def __init__(self, *, config: AcceleratorConfig, mover: MoverConfig) -> None:
        self._config = config
        self._mover = mover
        self._dma = dma = dma_of(config, mover, "mm2s")
        windows = data.ArrayLayout(window_layout(dma.address_bits), dma.windows)
        bus = Axi4Signature(address_bits=dma.address_bits, data_bits=dma.data_bits).members
        super().__init__(
            {
                "core": In(PortSignature(Descriptor(config, mover))),
                "o": Out(stream.Signature(switch_beat(dma.data_bits))),
                "ar": bus["ar"],
                "r": bus["r"],
                "drain": In(1),
                "idle": Out(1),
            }
            | ({"windows": In(windows)} if dma.windows else {})
        )
        answered = data.StructLayout({"data": dma.data_bits, "resp": Response, "last": 1})
        self._buffer = BeatBuffer(answered, depth=dma.read_buffer)
        self.fill = self._buffer.held

    @property
    def config(self) -> AcceleratorConfig:
        return self._config

    @property
    def mover(self) -> MoverConfig:
        return self._mover

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dma = self._dma
        lane_bits = (dma.data_bytes - 1).bit_length()
        m.submodules.planner = planner = RunPlanner(
            dma=dma,
            guards=self._mover.guards,
            depth=dma.read_outstanding + PIPELINE_ROWS,
            address_bits=lane_bits,
            ends=False,
        )
        m.submodules.packer = packer = BytePacker(data_bits=dma.data_bits, address_bits=lane_bits)
        adopt(packer, "o", self.o)
        m.submodules.buffer = buffer = self._buffer
        # Start of every burst that has a beat to come or in the buffer: each holds a credit.
        begun: dict[str, object] = {"addr": dma.address_bits}
        if dma.windows:
            begun |= {"len": 8, "denied": 1}
        m.submodules.starts = starts = Queue(data.StructLayout(begun), depth=dma.read_buffer)

        adopt(planner, "i", self.core.rows)
        adopt(packer, "i_pieces", flipped(planner.pieces))

        credits = Signal(range(dma.read_buffer + 1), init=dma.read_buffer)
        spare = Signal(signed(max(len(credits), 8) + 1))  # what the burst leaves of them
        outstanding = Signal(range(dma.read_outstanding + 1))
        raised = Signal()
        denied = Signal()  # the burst is not for the bus
        passed = Signal()
        freed = buffer.o.valid & buffer.o.ready
        answered_last = self.r.valid & self.r.payload.last
        burst = planner.bursts.payload
        m.d.comb += [
            spare.eq(credits - burst.len - 1),
            raised.eq(
                planner.bursts.valid
                & ~denied
                & (~self.ar.valid | self.ar.ready)
                & (spare >= 0)
                & (outstanding != dma.read_outstanding)
                & starts.i.ready
                & ~self.drain
            ),
            passed.eq(planner.bursts.valid & denied & starts.i.ready & ~self.drain),
            planner.bursts.ready.eq(raised | passed),
            starts.i.valid.eq(raised | passed),
            starts.i.payload.addr.eq(burst.addr),
            self.idle.eq(outstanding == 0),
        ]
        with m.If(~self.ar.valid | self.ar.ready):
            m.d.sync += self.ar.valid.eq(raised)
            with m.If(raised):
                m.d.sync += [
                    self.ar.payload.addr.eq(burst.addr),
                    self.ar.payload.len.eq(burst.len),
                ]
        with m.If(raised):
            m.d.sync += credits.eq(spare + freed)
        with m.Elif(freed):
            m.d.sync += credits.eq(credits + 1)
        with m.If(raised & ~answered_last):
            m.d.sync += outstanding.eq(outstanding + 1)
        with m.Elif(answered_last & ~raised):
            m.d.sync += outstanding.eq(outstanding - 1)

        m.d.comb += [
            self.r.ready.eq(1),
            buffer.i.valid.eq(self.r.valid),
            buffer.i.payload.data.eq(self.r.payload.data),
            buffer.i.payload.resp.eq(self.r.payload.resp),
            buffer.i.payload.last.eq(self.r.payload.last),
            packer.i_beats.valid.eq(buffer.o.valid),
            buffer.o.ready.eq(packer.i_beats.ready),
            packer.i_beats.payload.data.eq(buffer.o.payload.data),
            packer.i_beats.payload.resp.eq(buffer.o.payload.resp),
            packer.i_beats.payload.address.eq(starts.o.payload.addr),
            starts.o.ready.eq(freed & buffer.o.payload.last),
        ]
        if dma.windows:
            self._elaborate_windows(m, burst, denied, starts, packer)

        activity, progress = self.core.activity, self.core.progress
        with m.If(self.o.valid & self.o.ready & ~self.o.payload.error):
            m.d.comb += progress.bytes.eq(self.o.payload.count)
        m.d.comb += [
            progress.last.eq(packer.retired),
            self.core.retired.eq(packer.retired),
            self.core.fault.eq(packer.fault),
            activity.valid.eq(self.o.valid),
            activity.ready.eq(self.o.ready),
            activity.conflict.eq(self.ar.valid & ~self.ar.ready),
            activity.accesses.eq(self.r.valid),
        ]
        return m

    def _elaborate_windows(
        self, m: Module, burst: data.View, denied: Signal, starts: Queue, packer: BytePacker
    ) -> None:
        """The beats of a denied burst stand in `starts` alone, and are made there."""
        oldest = starts.o.payload
        given = Signal(8)
        m.d.comb += [
            denied.eq(~allowed(self.windows, burst.addr)),
            starts.i.payload.len.eq(burst.len),
            starts.i.payload.denied.eq(denied),
        ]
        with m.If(starts.o.valid & oldest.denied):
            m.d.comb += [
                packer.i_beats.valid.eq(1),
                packer.i_beats.payload.resp.eq(Response.DECERR),
                packer.i_beats.payload.denied.eq(1),
                self._buffer.o.ready.eq(0),
                starts.o.ready.eq(packer.i_beats.ready & (given == oldest.len)),
            ]
            with m.If(packer.i_beats.ready):
                m.d.sync += given.eq(Mux(starts.o.ready, 0, given + 1))
