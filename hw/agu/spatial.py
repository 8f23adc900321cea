"""The spatial address generation unit: from one row address to a word of every channel."""

from functools import reduce
from operator import and_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.fault import FaultCode, fault_report
from ..bus.turns import lowest
from ..config import MemoryConfig, MoverConfig
from ..errors import ConfigError
from .multiple import multiple
from .remap import remap
from .row import channel_address, channel_row, row_address_bits, temporal_row
from .window import ChannelWindows

__all__ = ["SpatialAgu"]


class SpatialAgu(wiring.Component):
    """Spreads a row over the channels of a scratchpad mover, checks and remaps their addresses.

    Channel c has one index along each spatial dimension, dimension 0 the fastest. Its byte address
    is the row's address plus the sum of index times ``settings.spatial_strides``; the indices are
    design-time constants, so that is shifts and adds. The sum is kept in as many bits as it can
    take, so nothing wraps unseen. Without guards a row address with its highest bit set has left
    the scratchpad, on either side, and takes all its channels with it; with guards a row address is
    signed, and each channel's sum counts.

    Of a mover with guards only those channels exist that lie inside every window, see
    :class:`~weft.hw.agu.window.ChannelWindows`; of one with a channel enable only those that the BD
    has among its ``channels``. The others are skipped, and nothing is asked of their addresses.

    A channel that exists fails, in this order of precedence, with ``ADDRESS_RANGE`` (negative, or
    not below the capacity), ``ALIGNMENT`` (not a multiple of a word) or ``REACH`` (with
    ``mover.reach`` g, its bank is not congruent to c modulo g). It is skipped, the row has
    ``error`` set, and the lowest of the row's failing channels is reported on `fault`.

    A row accepted in cycle t is offered in cycle t+1, after a register behind the products; a row a
    cycle passes. ``o`` and `fault` are functions of registers, and a stalled payload holds;
    ``i.ready`` is combinational from ``o.ready``.

    Parameters
    ----------
    memory
        The scratchpad.
    mover
        The mover that this is part of: its channels, reach and guards.
    settings
        Layout with ``tag``, ``mode`` (an index into ``memory.groups``), ``pad``,
        ``spatial_strides`` (an array with a signed number of bytes for each spatial dimension) and,
        of a mover with guards, ``limits``, ``coefficients`` and ``dimensions`` as `ChannelWindows`
        takes them; ``channels`` and ``byte_mask`` of one that has them.

    Members
    -------
    i : stream of :func:`~weft.hw.agu.row.temporal_row`
        The address has :func:`~weft.hw.agu.row.row_address_bits`.
    o : stream of :func:`~weft.hw.agu.row.channel_row`
    fault : :func:`~weft.hw.bus.fault.fault_report`
        Set for one cycle, the one after a row with a failing channel has been taken. The address
        is in bytes, and signed.

    Raises
    ------
    ConfigError
        The mover has no channels, or `settings` other dimensions than the mover.

    Source: DataMaestro, section III-B.
    """

    def __init__(
        self, *, memory: MemoryConfig, mover: MoverConfig, settings: data.StructLayout
    ) -> None:
        where = f"movers.{mover.name}"
        if not mover.is_scratchpad:
            raise ConfigError(f"{where}.kind", mover.kind, "only a scratchpad mover has channels")
        strides = settings["spatial_strides"].shape.length
        if strides != len(mover.spatial_bounds):
            raise ConfigError(
                f"{where}.spatial_bounds",
                mover.spatial_bounds,
                f"the settings have {strides} spatial strides",
            )
        self._memory = memory
        self._mover = mover
        self._settings = settings
        row = temporal_row(row_address_bits(memory, mover.guards), mover.guards, settings)
        super().__init__(
            {
                "i": In(stream.Signature(row)),
                "o": Out(stream.Signature(channel_row(memory, mover))),
                "fault": Out(fault_report(channel_address(memory, mover))),
            }
        )

    @property
    def memory(self) -> MemoryConfig:
        return self._memory

    @property
    def mover(self) -> MoverConfig:
        return self._mover

    @property
    def settings(self) -> data.StructLayout:
        return self._settings

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row, bounds = self.i.payload, self._mover.spatial_bounds
        channels = range(self._mover.channels)
        sum_shape = channel_address(self._memory, self._mover)
        base = row.address.as_signed() if self._mover.guards else row.address

        # The register: the offsets along every dimension, half of which are others shifted. Of two
        # dimensions and more it has the addresses of every index along dimension 0 instead.
        ahead = 0 if len(bounds) == 1 else 1
        outside = Signal()
        near = Signal(data.ArrayLayout(sum_shape, bounds[0] if ahead else 1))
        far = [Signal(data.ArrayLayout(sum_shape, bound)) for bound in bounds[ahead:]]
        strides = Signal(row.settings.spatial_strides.shape())
        tag = Signal.like(row.settings.tag)
        mode = Signal.like(row.settings.mode)
        leaves = self.o.payload
        enabled = Signal(self._mover.channels)

        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        with m.If(self.i.valid & self.i.ready):
            given = row.settings.spatial_strides
            m.d.sync += [
                self.o.valid.eq(1),
                strides.eq(given),
                outside.eq(0 if self._mover.guards else row.address[-1]),
                tag.eq(row.settings.tag),
                mode.eq(row.settings.mode),
                leaves.pad.eq(row.settings.pad),
                leaves.mark.eq(row.mark),
                leaves.end.eq(row.end),
            ]
            if "channels" in self._settings.members:
                m.d.sync += enabled.eq(row.settings.channels)
            if "byte_mask" in self._settings.members:
                m.d.sync += leaves.byte_mask.eq(row.settings.byte_mask)
            m.d.sync += [
                near[index].eq(base + multiple(given[0], index) if index else base)
                for index in range(len(near))
            ]
            m.d.sync += [
                offsets[index].eq(multiple(given[dimension], index))
                for dimension, offsets in enumerate(far, ahead)
                for index in range(1, len(offsets))
            ]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)

        # Behind it: sum, check, remap. A simulator evaluates a module's combinational logic as one,
        # and again for every step of a chain in it: hence a module for each of two steps.
        m.submodules.sums = summing = Module()
        m.submodules.checks = checking = Module()
        address_bits = self._memory.address_bits
        byte_bits = (self._memory.word_bytes - 1).bit_length()
        reach_bits = (self._mover.reach - 1).bit_length() if self._mover.reach else 0
        sums = [Signal(sum_shape, name=f"address_{channel}") for channel in channels]
        places = [Signal(address_bits - byte_bits, name=f"place_{channel}") for channel in channels]
        too_far = Signal(len(channels))
        unaligned = Signal(len(channels))
        unreachable = Signal(len(channels))
        flaws: list[tuple[Value, Value, Value]] = []
        for channel in channels:
            inner, rest = channel % len(near), channel // len(near)
            total = near[inner]
            for offsets in far:
                index, rest = rest % len(offsets), rest // len(offsets)
                if index:
                    total = total + offsets[index]
            address = sums[channel]
            summing.d.comb += address.eq(total)
            bank, bank_row = remap(self._memory, address[byte_bits:], mode)
            residue = Const(channel % (1 << reach_bits), reach_bits)
            checking.d.comb += places[channel].eq(Cat(residue, bank[reach_bits:], bank_row))
            flaws.append(
                (
                    outside | address[address_bits:].any(),
                    address[:byte_bits].any(),
                    bank[:reach_bits] != residue,
                )
            )
        for flaw, found in zip(
            (too_far, unaligned, unreachable), zip(*flaws, strict=True), strict=True
        ):
            checking.d.comb += flaw.eq(Cat(found))
        flawed = too_far | unaligned | unreachable
        failing = skips = Signal(len(channels))
        exists = [enabled] if "channels" in self._settings.members else []
        if self._mover.guards:
            m.submodules.windows = windows = ChannelWindows(mover=self._mover)
            m.d.comb += [
                windows.load.eq(self.i.valid & self.i.ready),
                windows.values.eq(row.guards),
            ]
            m.d.comb += [
                getattr(windows, name).eq(row.settings[name])
                for name in ("limits", "coefficients", "dimensions")
                if name in windows.signature.members
            ]
            exists.append(windows.exists)
        if exists:
            skips, asked = Signal(len(channels)), reduce(and_, exists)
            checking.d.comb += skips.eq(flawed | ~asked)
            flawed = flawed & asked
        checking.d.comb += failing.eq(flawed)

        # The lowest failing channel's indices; its address is summed again from them in the next
        # cycle, which costs a fraction of a multiplexer over the sums of all channels.
        blame = Signal(FaultCode)
        blamed = [Signal(range(bound), name=f"blamed_{axis}") for axis, bound in enumerate(bounds)]
        blamed_row = Signal.like(base)
        blamed_tag = Signal.like(tag)
        blamed_strides = Signal.like(strides)
        leaving = Signal()

        first = Signal(len(channels))
        m.submodules.first = searching = Module()
        searching.d.comb += first.eq(lowest(searching, failing))
        m.d.comb += [
            # Written whole, in the order of its fields: bank, row, skip.
            leaves.channels.eq(Cat(Cat(places[channel], skips[channel]) for channel in channels)),
            leaves.error.eq(failing.any()),
        ]
        m.d.comb += leaving.eq(self.o.valid & self.o.ready)
        m.d.sync += blame.eq(FaultCode.NONE)
        with m.If(leaving):
            # Of every row: whether it is in error comes late.
            m.d.sync += [
                blamed_row.eq(near[0]),
                blamed_tag.eq(tag),
                blamed_strides.eq(strides),
            ]
        with m.If(leaving & leaves.error):
            with m.If((first & too_far).any()):
                m.d.sync += blame.eq(FaultCode.ADDRESS_RANGE)
            with m.Elif((first & unaligned).any()):
                m.d.sync += blame.eq(FaultCode.ALIGNMENT)
            with m.Else():
                m.d.sync += blame.eq(FaultCode.REACH)
            period = 1
            for index, bound in zip(blamed, bounds, strict=True):
                m.d.sync += [
                    index[bit].eq(
                        Cat(first[c] for c in channels if c // period % bound >> bit & 1).any()
                    )
                    for bit in range(len(index))
                ]
                period *= bound

        m.submodules.blaming = blaming = Module()
        address = blamed_row
        for index, stride in zip(blamed, blamed_strides, strict=True):
            for bit in range(len(index)):
                address = address + Mux(index[bit], stride.shift_left(bit), 0)
        blaming.d.comb += [
            self.fault.code.eq(blame),
            self.fault.address.eq(address),
            self.fault.tag.eq(blamed_tag),
            self.fault.named.eq(1),
        ]
        return m
