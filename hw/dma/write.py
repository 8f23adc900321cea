"""The DRAM port of a mover that writes: S2MM, stream to memory."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, flipped

from ..bus.axi import Axi4Signature
from ..bus.cut import cut_if
from ..bus.fault import FaultCode, fault_report
from ..bus.queue import Queue
from ..bus.streams import switch_beat
from ..bus.windows import allowed, window_layout
from ..bus.wires import adopt
from ..config import AcceleratorConfig, MoverConfig
from ..mover.descriptor import Descriptor
from ..mover.port import PROGRESS_BITS, PortSignature
from .buffer import BeatBuffer
from .planner import RunPlanner
from .read import dma_of
from .unpacker import ByteUnpacker, write_beat

__all__ = ["S2mmPort"]

PIPELINE_ROWS = 8
"""Rows of one beat between the unpacker and the raising of AW."""


class S2mmPort(wiring.Component):
    """Writes a dense stream to runs of bytes over AXI4.

    Every row consumes ``run_length`` bytes; those outside its guards are dropped, and strobes are
    exact to the byte. BDs of the source and of this port need not pair up: whatever follows a
    source's ``end`` continues the stream densely, and a BD that wants more waits for it.

    Runs of a BD that continue one another are written as one, see
    :class:`~weft.hw.dma.joiner.RunJoiner`.

    Timing: a row is there some cycles after it was accepted, which are more with `dma.pipelined`.
    With its row there, a stream beat accepted in cycle t that completes a burst raises its
    AW in t+4 and its first W beat in t+5. After that, as long as data, room and the bus last, a
    stream beat and a W beat pass in every cycle, across runs and BDs; a run costs as many cycles as
    it has bus beats, and clipped bytes one cycle for every full beat begun on each side.

    Bus: INCR bursts of full-width beats, at most `dma.burst_beats`, none across 4 KiB, at most
    `dma.write_outstanding` in flight. AW is raised when the whole burst is in the write buffer, and
    no earlier than in the cycle of the last W beat of the burst before; W never waits for data in
    a burst. ``b`` is accepted at once, or one cycle later behind the end of a BD without writes.

    Retirement: one ``retired`` a BD, in order, when its last B is in *and* all its bytes are
    consumed, two cycles after the later of them; that of a BD that writes nothing as well.

    Faults: every bad B reports WRITE_SLVERR or WRITE_DECERR with its burst's address, two cycles
    after it was accepted. Bytes of a stream beat with ``error`` are consumed and not written; the
    BD reports UPSTREAM once, together with its ``retired``, with the address of the (joined) run
    that the first of them fell in (a bus fault reported in the same cycle wins, and belongs to the
    same BD). A report always belongs to the oldest BD that has not retired before.

    A burst that no window allows is not raised: its beats leave the write buffer, one a cycle, and
    it is reported as WINDOW like a bad B, in its turn.

    ``activity``: ``valid`` and ``ready`` are those of ``i``; ``conflict`` is a stalled AW or W;
    ``accesses`` are W beats. ``progress``: bytes answered with OKAY, two cycles after their B.

    Parameters
    ----------
    config
        The system; it has a DMA.
    mover
        The mover above; its kind is ``s2mm``.

    Members
    -------
    core : :class:`~weft.hw.mover.port.PortSignature`
    i : stream of :func:`~weft.hw.bus.streams.switch_beat`
    aw, w, b : stream
        As in :class:`~weft.hw.bus.axi.Axi4Signature`.
    drain : 1
        While set, no further AW is raised; one that is raised holds until it is taken, and its
        W beats follow.
    idle : 1
        No AW or W is raised and no burst is in flight.
    windows : array of :func:`~weft.hw.bus.windows.window_layout`; only with `dma.windows`
        Where it may write; changed while no task is under way.
    bound, finished, holding : 1
        As in :class:`~weft.hw.dma.unpacker.ByteUnpacker`, for a switch in front.

    Attributes
    ----------
    fill : `range(dma.write_buffer + 1)`
        Beats in the write buffer.

    Raises
    ------
    ConfigError
        If `mover` is of another kind, or there is no DMA.

    Source: AMBA AXI (ARM IHI 0022).
    """

    def __init__(self, *, config: AcceleratorConfig, mover: MoverConfig) -> None:
        self._config = config
        self._mover = mover
        self._dma = dma = dma_of(config, mover, "s2mm")
        windows = data.ArrayLayout(window_layout(dma.address_bits), dma.windows)
        bus = Axi4Signature(address_bits=dma.address_bits, data_bits=dma.data_bits).members
        super().__init__(
            {
                "core": In(PortSignature(Descriptor(config, mover))),
                "i": In(stream.Signature(switch_beat(dma.data_bits))),
                "aw": bus["aw"],
                "w": bus["w"],
                "b": bus["b"],
                "drain": In(1),
                "idle": Out(1),
                "bound": In(1, init=1),
                "finished": Out(1),
                "holding": Out(1),
            }
            | ({"windows": In(windows)} if dma.windows else {})
        )
        self._buffer = BeatBuffer(write_beat(dma.data_bits), depth=dma.write_buffer)
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
            depth=PIPELINE_ROWS,
            address_bits=dma.address_bits,
            ends=True,
        )
        m.submodules.bursts = bursts = Queue(planner.bursts.payload.shape(), depth=PIPELINE_ROWS)
        m.submodules.unpacker = unpacker = ByteUnpacker(
            data_bits=dma.data_bits,
            address_bits=dma.address_bits,
            completions=dma.write_outstanding + PIPELINE_ROWS,
        )
        adopt(unpacker, "i", self.i)
        for name in ("bound", "finished", "holding"):
            adopt(unpacker, name, getattr(self, name))
        m.submodules.buffer = buffer = self._buffer
        # Bursts raised and not answered; between them, without a B to come (`none`), those denied
        # and the ends of BDs that have no last burst.
        awaited = data.StructLayout(
            {
                "addr": dma.address_bits,
                "size": PROGRESS_BITS,
                "end": 1,
                "none": 1,
                "denied": 1,
            }
        )
        m.submodules.tracker = tracker = Queue(awaited, depth=dma.write_outstanding + 2)

        adopt(planner, "i", self.core.rows)
        adopt(bursts, "i", flipped(planner.bursts))
        adopt(unpacker, "i_pieces", flipped(planner.pieces))
        adopt(buffer, "i", flipped(unpacker.o))

        buffered = Signal(range(dma.write_buffer + 2))  # beats that no raised burst has claimed
        spare = Signal(signed(max(len(buffered), 8) + 1))  # what the next burst leaves of them
        outstanding = Signal(range(dma.write_outstanding + 1))
        left = Signal(range(dma.burst_beats + 1))  # beats of the present burst not yet on W
        following = cut_if(dma.pipelined, m, "following", bursts.o)
        burst = following.payload
        beats = burst.len + 1
        stored = unpacker.o.valid & unpacker.o.ready
        aw_free = ~self.aw.valid | self.aw.ready
        send = Signal()
        raised = Signal()
        denied = Signal()  # no window allows the burst
        dropped = Signal()
        dropping = Signal()  # the present burst is not for the bus
        passed = Signal()
        begins = Signal()  # a burst can follow the one before
        answered = self.b.valid & self.b.ready
        m.d.comb += [
            send.eq((left != 0) & buffer.o.valid & (dropping | ~self.w.valid | self.w.ready)),
            buffer.o.ready.eq(send),
            spare.eq(buffered - burst.len - 1),
            begins.eq(
                following.valid
                & ~burst.none
                & (spare >= 0)
                & tracker.i.ready
                & ((left == 0) | ((left == 1) & send))
                & ~self.drain
            ),
            raised.eq(begins & ~denied & (outstanding != dma.write_outstanding) & aw_free),
            dropped.eq(begins & denied),
            passed.eq(following.valid & burst.none & tracker.i.ready),
            following.ready.eq(raised | dropped | passed),
            tracker.i.valid.eq(raised | dropped | passed),
            tracker.i.payload.addr.eq(burst.addr),
            tracker.i.payload.size.eq((beats << lane_bits) - burst.before - burst.behind),
            tracker.i.payload.end.eq(burst.end),
            tracker.i.payload.none.eq(burst.none | denied),
            tracker.i.payload.denied.eq(denied & ~burst.none),
            self.idle.eq(outstanding == 0),
        ]
        if dma.windows:
            m.d.comb += denied.eq(~allowed(self.windows, burst.addr))
        with m.If(aw_free):
            m.d.sync += self.aw.valid.eq(raised)
            with m.If(raised):
                m.d.sync += [
                    self.aw.payload.addr.eq(burst.addr),
                    self.aw.payload.len.eq(burst.len),
                ]
        with m.If(~self.w.valid | self.w.ready):
            m.d.sync += self.w.valid.eq(send & ~dropping)
            with m.If(send & ~dropping):
                m.d.sync += [
                    self.w.payload.data.eq(buffer.o.payload.data),
                    self.w.payload.strb.eq(buffer.o.payload.strb),
                    self.w.payload.last.eq(left == 1),
                ]
        with m.If(raised | dropped):
            m.d.sync += [left.eq(beats), dropping.eq(dropped)]
        with m.Elif(send):
            m.d.sync += left.eq(left - 1)
        with m.If(raised | dropped):
            m.d.sync += buffered.eq(spare + stored)
        with m.Elif(stored):
            m.d.sync += buffered.eq(buffered + 1)
        with m.If(raised & ~answered):
            m.d.sync += outstanding.eq(outstanding + 1)
        with m.Elif(answered & ~raised):
            m.d.sync += outstanding.eq(outstanding - 1)

        # A BD retires when it is answered (its last B is in, or it has none) and done (its bytes
        # are consumed). Answered BDs that are not done have a row in `runs` or behind.
        head = tracker.o.payload
        done = unpacker.o_done
        answers = Signal(range(PIPELINE_ROWS + 7))
        ended = tracker.o.valid & tracker.o.ready & head.end
        retire = (answers != 0) & done.valid
        m.d.comb += [
            self.b.ready.eq(~(tracker.o.valid & head.none)),
            tracker.o.ready.eq(head.none | self.b.valid),
            done.ready.eq(answers != 0),
        ]
        with m.If(ended & ~retire):
            m.d.sync += answers.eq(answers + 1)
        with m.Elif(retire & ~ended):
            m.d.sync += answers.eq(answers - 1)

        # Faults and bytes of the bus take as long as a retirement, so that none overtakes the one
        # before.
        refused, written = Signal(fault_report()), Signal(PROGRESS_BITS)
        progress = self.core.progress
        m.d.comb += progress.last.eq(self.core.retired)
        m.d.sync += [
            refused.code.eq(FaultCode.NONE),
            self.core.retired.eq(retire),
            self.core.fault.eq(refused),
            written.eq(Mux(answered & ~self.b.payload.resp[1], head.size, 0)),
            progress.bytes.eq(written),
        ]
        with m.If(answered & self.b.payload.resp[1]):
            code = Mux(self.b.payload.resp[0], FaultCode.WRITE_DECERR, FaultCode.WRITE_SLVERR)
            m.d.sync += [refused.code.eq(code), refused.address.eq(head.addr)]
        with m.If(tracker.o.valid & head.denied):
            m.d.sync += [refused.code.eq(FaultCode.WINDOW), refused.address.eq(head.addr)]
        with m.If(retire & done.payload.error & (refused.code == FaultCode.NONE)):
            m.d.sync += [
                self.core.fault.code.eq(FaultCode.UPSTREAM),
                self.core.fault.address.eq(done.payload.address),
            ]

        activity = self.core.activity
        moved = self.w.valid & self.w.ready
        m.d.comb += [
            activity.valid.eq(self.i.valid),
            activity.ready.eq(self.i.ready),
            activity.conflict.eq((self.aw.valid & ~self.aw.ready) | (self.w.valid & ~self.w.ready)),
            activity.accesses.eq(moved),
            activity.written.eq(moved),
        ]
        return m
