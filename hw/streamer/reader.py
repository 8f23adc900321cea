"""The memory port of a read mover: rows in, beats out."""

from itertools import takewhile
from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..agu.spatial import SpatialAgu
from ..bus.queue import Queue
from ..bus.streams import compute_beat
from ..bus.tcdm import MemoryPortSignature
from ..bus.wires import adopt
from ..config import AcceleratorConfig, MoverConfig
from ..extensions import Chain, Rearrangement, extension_setting
from ..mover.descriptor import Descriptor
from ..mover.port import PortSignature
from ..registry import EXTENSIONS
from .gather import Gather
from .meter import Meter
from .read_channel import ReadChannel
from .ring import pointer_bits
from .rules import check_port

__all__ = ["ReadPort"]


class ReadPort(wiring.Component):
    """Fetches the words of each row from the scratchpad and gives them as one beat.

    Each channel has its own FIFO of addresses, requester and FIFO of words
    (:class:`~weft.hw.streamer.read_channel.ReadChannel`), so channels run ahead of each other and
    of the beat (fine-grained prefetch). Rows enter all channels together when all have room; a beat
    leaves when all have its word. A beat comes a cycle if ``data_depth >= memory.latency + 3``,
    ``address_depth >= 2``, and no bank is asked twice. Without the mover's `prefetch` all channels
    of a beat make their requests together, after the beat before it has been taken: a beat comes
    every ``memory.latency + 4`` cycles at most.

    A row accepted in cycle t is in the channels' FIFOs in t+2, requested in t+3, and without a
    conflict offered as a beat in ``t + memory.latency + 5``. ``o.valid`` is a function of
    registers, ``o.payload`` is read from the FIFOs (LUTRAM). The words of skipped channels are the
    BD's pad byte, repeated; ``error`` is set if a channel of the row failed its address check.

    Of the mover's extensions on beats those that come first and only move bytes are done while the
    words are gathered (:class:`~weft.hw.streamer.gather.Gather`), the others in a
    :class:`~weft.hw.extensions.chain.Chain` behind that; ``o`` is what comes out of them all. What
    is said here of beats holds of those that go into them.

    ``core.retired`` comes, once for each row with ``end`` and in order, when every channel has the
    response of that row, whether or not the beat has been taken: two cycles after the last one.
    ``core.fault`` is that of the spatial unit. ``conflict`` and ``accesses`` of ``core.activity``
    are a cycle late. ``core.progress`` is that of the beats that are taken, which may be of a BD
    that has retired; those with ``error`` have no bytes.

    Parameters
    ----------
    config
        The system.
    mover
        One of its movers of kind ``read``.

    Members
    -------
    core : :class:`~weft.hw.mover.port.PortSignature`
    o : stream of :func:`~weft.hw.bus.streams.compute_beat`
        One word for each channel.
    extension_<name> : stream of :func:`~weft.hw.extensions.extension.extension_setting`
        For each extension on beats: one for each BD, in order, taken with the last of its beats
        that comes there.
    memory : :class:`~weft.hw.bus.tcdm.MemoryPortSignature` for each channel
        ``req`` is a register.
    drain : 1
        While set no further beat is offered; so the requests come to an end.

    Attributes
    ----------
    fill : `range(address_depth + data_depth + 2)`
        Rows that the channels have, that of the beat on offer among them.

    Raises
    ------
    ConfigError
        The mover is of another kind.

    Source: DataMaestro, sections III-B and III-C.
    """

    def __init__(self, *, config: AcceleratorConfig, mover: MoverConfig) -> None:
        check_port(mover, "read")
        self._config = config
        self._mover = mover
        self._descriptor = Descriptor(config, mover)
        beat = compute_beat(mover.channels * config.memory.bank_bits)
        super().__init__(
            {
                "core": In(PortSignature(self._descriptor)),
                "o": Out(stream.Signature(beat)),
                "memory": Out(MemoryPortSignature(config.memory)).array(mover.channels),
                "drain": In(1),
            }
            | {
                f"extension_{name}": In(
                    stream.Signature(extension_setting(mover.parameter_bits(name)))
                )
                for name in mover.beat_extensions
            }
        )
        # What belongs to a row as a whole waits beside the channels, in as many entries as a
        # channel can hold addresses and words: it is never full when there is room in them.
        rows = mover.address_depth + mover.data_depth + 1
        whole = data.StructLayout({"pad": 8, "mark": 1, "end": 1, "error": 1})
        self._wholes = Queue(whole, depth=rows)
        self._ends = Queue(1, depth=rows)
        self.fill = self._wholes.level

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
        adopt(spatial, "fault", self.core.fault)
        rows = spatial.o

        push = Signal()
        bits = pointer_bits(mover)
        push_pointer, pop_pointer = Signal(bits), Signal(bits)
        channels = []
        for index in range(mover.channels):
            channel = ReadChannel(memory=memory, mover=mover, index=index)
            adopt(channel, "row", rows.payload)
            adopt(channel, "push", push)
            adopt(channel, "push_pointer", push_pointer)
            adopt(channel, "pop_pointer", pop_pointer)
            adopt(channel, "memory", self.memory[index])
            m.submodules[f"channel_{index}"] = channel
            channels.append(channel)

        m.submodules.wholes, m.submodules.ends = wholes, ends = self._wholes, self._ends
        m.d.comb += [
            rows.ready.eq(Cat(channel.room for channel in channels).all()),
            push.eq(rows.valid & rows.ready),
            wholes.i.valid.eq(push),
            wholes.i.payload.pad.eq(rows.payload.pad),
            wholes.i.payload.mark.eq(rows.payload.mark),
            wholes.i.payload.end.eq(rows.payload.end),
            wholes.i.payload.error.eq(rows.payload.error),
            ends.i.valid.eq(push),
            ends.i.payload.eq(rows.payload.end),
        ]
        with m.If(push):
            m.d.sync += push_pointer.eq(push_pointer + 1)

        # The steps below are modules of their own so that a simulator that runs a module's
        # combinational logic as one sees to each only when it has something to do.

        # No channel is behind `complete`: where none is at it, all have one row more.
        m.submodules.retirement = retirement = Module()
        complete, completes = Signal(bits), ends.o.ready
        retirement.d.comb += completes.eq(
            Cat(channel.arrived != complete for channel in channels).all()
        )
        retirement.d.sync += self.core.retired.eq(completes & ends.o.payload)
        with retirement.If(completes):
            retirement.d.sync += complete.eq(complete + 1)

        m.submodules.beats = beats = Module()
        fetched = self._elaborate_beats(beats)

        m.submodules.offer = offer = Module()
        whole, row = wholes.o.payload, fetched.payload
        standing = Signal()  # what is on offer stays there
        offer.d.comb += [
            fetched.valid.eq((pop_pointer != complete) & (standing | ~self.drain)),
            wholes.o.ready.eq(fetched.valid & fetched.ready),
            row.words.eq(Cat(channel.word for channel in channels)),
            row.pad.eq(whole.pad),
            row.mark.eq(whole.mark),
            row.end.eq(whole.end),
            row.error.eq(whole.error),
        ]
        offer.d.sync += standing.eq(fetched.valid & ~fetched.ready)
        with offer.If(wholes.o.ready):
            offer.d.sync += pop_pointer.eq(pop_pointer + 1)

        m.submodules.progress = progress = Module()
        taken = wholes.o.ready
        with progress.If(taken & ~whole.error):
            progress.d.comb += self.core.progress.bytes.eq(mover.channels * memory.word_bytes)
        progress.d.comb += self.core.progress.last.eq(taken & whole.end)

        m.submodules.meter = meter = Meter(channels=mover.channels, writes=False)
        adopt(meter, "valid", fetched.valid)
        adopt(meter, "ready", fetched.ready)
        adopt(meter, "granted", [channel.granted for channel in channels])
        adopt(meter, "lost", [channel.lost for channel in channels])
        adopt(meter, "o", self.core.activity)
        return m

    def _elaborate_beats(self, m: Module) -> Any:
        """What rows go through that have their words; the stream where they enter it."""
        memory, mover = self._config.memory, self._mover
        kinds = {
            name: EXTENSIONS[name].load(EXTENSIONS[name].beats) for name in mover.beat_extensions
        }
        orders = {
            name: kind.order_of(mover, memory.word_bytes)
            for name, kind in takewhile(
                lambda item: issubclass(item[1], Rearrangement), kinds.items()
            )
        }
        gather = Gather(memory=memory, channels=mover.channels, orders=orders)
        m.submodules.gather = gather
        stages: dict[str, Any] = {
            name: kind.of_mover(mover, memory.bank_bits)
            for name, kind in kinds.items()
            if name not in orders
        }
        last: Any = gather
        if stages:
            m.submodules.chain = last = Chain(extensions=stages)
            adopt(last, "i", wiring.flipped(gather.o))
        adopt(last, "o", self.o)
        for name in kinds:
            adopt(gather if name in orders else last, name, getattr(self, f"extension_{name}"))
        return gather.i
