"""The memory port of a write mover: rows and beats in."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..agu.spatial import SpatialAgu
from ..bus.fault import TAG_BITS, FaultCode, fault_report
from ..bus.queue import Queue
from ..bus.streams import compute_beat, switch_beat
from ..bus.tcdm import MemoryPortSignature
from ..bus.wires import adopt
from ..config import AcceleratorConfig, MoverConfig
from ..mover.descriptor import Descriptor
from ..mover.flight import IN_FLIGHT
from ..mover.port import PortSignature
from .meter import Meter
from .ring import pointer_bits
from .rules import check_port
from .write_channel import WriteChannel

__all__ = ["WritePort"]


class WritePort(wiring.Component):
    """Stores each beat in the scratchpad at the words of the next row.

    Each channel has its own FIFOs of addresses and of words and its own requester
    (:class:`~weft.hw.streamer.write_channel.WriteChannel`), so channels run ahead of each other.
    Rows enter all channels together when all have room, and so do beats; ``i.ready`` is
    combinational from registers of the channels only. One beat passes each cycle while no bank is
    asked twice. Without the mover's `prefetch` a beat is accepted when every channel has been
    granted the one before it, so that all of its channels make their requests together: one passes
    every 3 cycles at most.

    A row accepted in cycle t is in the channels' FIFOs in t+2, a beat accepted in cycle t in t+1;
    when both are there the request follows in the next cycle. Skipped channels drop their word. Of
    a beat with ``count`` the bytes at and beyond it are not written; nor are, of a mover with a
    byte mask, those that the BD's does not have.

    Of `switch_beat` one is accepted only when its row is in the FIFOs: a BD takes as many beats as
    it has rows, each whole, and the next beat is the next BD's.

    A BD ends with its own row, whatever ``end`` and ``mark`` of the beats are: ``core.retired``
    comes, once for each row with ``end`` and in order, two cycles after every channel has had that
    row granted. A beat with ``error`` is stored as it is and reported as ``UPSTREAM`` of its row's
    execution, with address 0: in the cycle after both are in the FIFOs or, where a fault of the
    spatial unit comes then, after that. ``conflict``, ``accesses`` and ``written`` of
    ``core.activity`` are a cycle late. ``core.progress``: beats whose row is in the FIFOs, whole or
    with their ``count``; they are in memory when there are no requests any more. Those with
    ``error`` have no bytes.

    Parameters
    ----------
    config
        The system.
    mover
        One of its movers of kind ``write``.

    Members
    -------
    core : :class:`~weft.hw.mover.port.PortSignature`
    i : stream of :func:`~weft.hw.bus.streams.switch_beat` if the mover's stream is the DMA's, \
else of :func:`~weft.hw.bus.streams.compute_beat`
        One word for each channel.
    memory : :class:`~weft.hw.bus.tcdm.MemoryPortSignature` for each channel
        ``req`` is a register, but for the data, which are read from the FIFO (LUTRAM).
    drain : 1
        While set no beat is accepted; so the requests come to an end.
    finished : 1; only if it takes `switch_beat`
        Pulse: the present BD takes its last beat in this cycle. Combinational from ``i.valid``.

    Raises
    ------
    ConfigError
        The mover is of another kind.

    Source: DataMaestro, sections III-B and III-C.
    """

    def __init__(self, *, config: AcceleratorConfig, mover: MoverConfig) -> None:
        check_port(mover, "write")
        self._config = config
        self._mover = mover
        self._descriptor = Descriptor(config, mover)
        layout = switch_beat if mover.moves_bytes else compute_beat
        self._beat = layout(mover.channels * config.memory.bank_bits)
        self._switched = "count" in self._beat.members
        members = {
            "core": In(PortSignature(self._descriptor)),
            "i": In(stream.Signature(self._beat)),
            "memory": Out(MemoryPortSignature(config.memory)).array(mover.channels),
            "drain": In(1),
        }
        if self._switched:
            members["finished"] = Out(1)
        super().__init__(members)

    @property
    def config(self) -> AcceleratorConfig:
        return self._config

    @property
    def mover(self) -> MoverConfig:
        return self._mover

    def elaborate(self, platform: object) -> Module:
        m = Module()
        memory, mover = self._config.memory, self._mover
        m.submodules.spatial = spatial = SpatialAgu(
            memory=memory, mover=mover, settings=self._descriptor.settings
        )
        adopt(spatial, "i", self.core.rows)
        rows = spatial.o

        push, accept = Signal(), Signal()
        bits = pointer_bits(mover)
        push_pointer, accept_pointer = Signal(bits), Signal(bits)
        channels = []
        for index in range(mover.channels):
            channel = WriteChannel(memory=memory, mover=mover, index=index, beat=self._beat)
            adopt(channel, "row", rows.payload)
            adopt(channel, "beat", self.i.payload)
            adopt(channel, "push", push)
            adopt(channel, "push_pointer", push_pointer)
            adopt(channel, "accept", accept)
            adopt(channel, "accept_pointer", accept_pointer)
            adopt(channel, "memory", self.memory[index])
            m.submodules[f"channel_{index}"] = channel
            channels.append(channel)

        m.d.comb += [
            rows.ready.eq(Cat(channel.room for channel in channels).all()),
            push.eq(rows.valid & rows.ready),
        ]
        with m.If(push):
            m.d.sync += push_pointer.eq(push_pointer + 1)

        # Whether it ends its BD, of each row that has no beat yet. None of them has left its
        # channels' FIFOs of addresses, so there is room for all.
        m.submodules.ends = ends = Queue(1, depth=mover.address_depth)
        # Row and beat meet here: of a beat with `error` the fault is that of its row's execution.
        meet, flawed = Signal(), Signal()
        m.submodules.tags = tags = Queue(TAG_BITS, depth=IN_FLIGHT)
        given = self.core.rows
        m.d.comb += [
            ends.i.valid.eq(push),
            ends.i.payload.eq(rows.payload.end),
            ends.o.ready.eq(meet),
            tags.i.valid.eq(given.valid & given.ready & given.payload.first),
            tags.i.payload.eq(given.payload.settings.tag),
            tags.o.ready.eq(meet & ends.o.payload),
        ]
        if self._switched:
            m.d.comb += [
                meet.eq(accept),
                flawed.eq(self.i.payload.error),
                self.finished.eq(accept & ends.o.payload),
            ]
        else:
            # Beats come ahead of their rows, as many as the channels' FIFOs of words hold.
            m.submodules.errors = errors = Queue(1, depth=mover.data_depth)
            m.d.comb += [
                errors.i.valid.eq(accept),
                errors.i.payload.eq(self.i.payload.error),
                errors.o.ready.eq(meet),
                meet.eq(ends.o.valid & errors.o.valid),
                flawed.eq(errors.o.payload),
            ]

        # The steps below are modules of their own so that a simulator that runs a module's
        # combinational logic as one sees to each only when it has something to do.
        m.submodules.spread = spread = Module()
        space = Cat(channel.space for channel in channels).all()
        takes = space & ~self.drain
        spread.d.comb += [
            self.i.ready.eq(takes & ends.o.valid if self._switched else takes),
            accept.eq(self.i.valid & self.i.ready),
        ]
        with spread.If(accept):
            spread.d.sync += accept_pointer.eq(accept_pointer + 1)

        m.submodules.progress = progress = Module()
        whole = len(self.i.payload.data) // 8
        with progress.If(meet & ~flawed):
            progress.d.comb += self.core.progress.bytes.eq(
                self.i.payload.count if self._switched else whole
            )
        progress.d.comb += self.core.progress.last.eq(meet & ends.o.payload)

        # No channel is behind `complete`: where none is at it, all have done one row more. Rows are
        # in their FIFOs, in a request, or just done.
        m.submodules.closes = closes = Queue(1, depth=mover.address_depth + 2)
        m.submodules.retirement = retirement = Module()
        complete, completes = Signal(bits), closes.o.ready
        m.d.comb += [closes.i.valid.eq(push), closes.i.payload.eq(rows.payload.end)]
        retirement.d.comb += completes.eq(
            Cat(channel.done != complete for channel in channels).all()
        )
        retirement.d.sync += self.core.retired.eq(completes & closes.o.payload)
        with retirement.If(completes):
            retirement.d.sync += complete.eq(complete + 1)

        m.submodules.faults = faults = Module()
        upstream, blamed = Signal(), Signal(TAG_BITS)
        own = Signal(fault_report(self._descriptor.fault_address))
        adopt(spatial, "fault", own)
        late, fault = Signal(), self.core.fault
        faults.d.comb += [
            late.eq(upstream & (own.code == FaultCode.NONE)),
            fault.code.eq(Mux(late, FaultCode.UPSTREAM, own.code)),
            fault.address.eq(Mux(late, 0, own.address)),
            fault.tag.eq(Mux(late, blamed, own.tag)),
            fault.named.eq(1),
        ]
        with faults.If(meet & flawed):
            faults.d.sync += [upstream.eq(1), blamed.eq(tags.o.payload)]
        with faults.Elif(late):
            faults.d.sync += upstream.eq(0)

        m.submodules.meter = meter = Meter(channels=mover.channels, writes=True)
        adopt(meter, "valid", self.i.valid)
        adopt(meter, "ready", self.i.ready)
        adopt(meter, "granted", [channel.granted for channel in channels])
        adopt(meter, "lost", [channel.lost for channel in channels])
        adopt(meter, "o", self.core.activity)
        return m
