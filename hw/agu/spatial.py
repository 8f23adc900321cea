"""The spatial address generation unit: from one row address to a word of every channel."""

from functools import reduce
from math import prod
from operator import and_

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.fault import fault_report
from ..bus.wires import adopt
from ..config import MemoryConfig, MoverConfig
from ..errors import ConfigError
from .blame import ChannelBlame
from .multiple import multiple
from .remap import BankMap
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
    not below the capacity), ``ALIGNMENT`` or ``REACH``. Its address is to be a sum of whole words:
    the row's address and the stride along every dimension in which its index is not 0. And with
    ``mover.reach`` g, so that its bank is congruent to c modulo g, the former is to be a multiple
    of g words, and the latter, in words, congruent to what a step of the index counts in c. A
    channel that fails is skipped, the row has ``error`` set, and the lowest of the row's failing
    channels is reported on `fault`.

    A row accepted in cycle t is offered in cycle t+1, after a register behind the products; a row a
    cycle passes, but for one behind a row in error, which waits two. ``o`` and `fault` are
    functions of registers, and a stalled payload holds; ``i.ready`` is combinational from
    ``o.ready``.

    Parameters
    ----------
    memory
        The scratchpad.
    mover
        The mover that this is part of: its channels, reach and guards.
    settings
        Layout with ``tag``, ``mode`` (one of ``memory.modes(mover.reach)``), ``pad``,
        ``spatial_strides`` (an array with a signed number of bytes for each spatial dimension) and,
        of a mover with guards, ``limits``, ``coefficients`` and ``dimensions`` as `ChannelWindows`
        takes them; ``channels`` and ``byte_mask`` of one that has them.

    Members
    -------
    i : stream of :func:`~weft.hw.agu.row.temporal_row`
        Rows with the same ``tag`` have the same strides, if no other's lie between. The
        address has :func:`~weft.hw.agu.row.row_address_bits`.
    o : stream of :func:`~weft.hw.agu.row.channel_row`
    fault : :func:`~weft.hw.bus.fault.fault_report`
        Set for one cycle, the third after a row with a failing channel has been taken. The
        address is in bytes, and signed.

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
        row, leaves = self.i.payload, self.o.payload
        memory, mover, bounds = self._memory, self._mover, self._mover.spatial_bounds
        channels = range(mover.channels)
        word_bits = (memory.word_bytes - 1).bit_length()
        reach_bits = (mover.reach - 1).bit_length() if mover.reach else 0
        inner = [prod(bounds[:axis]) for axis in range(len(bounds))]

        # A word's number is summed without the bits that the reach says, if those of the offsets
        # along the dimensions stand beside each other and never carry. Half of the offsets along a
        # dimension are others shifted, as long as they have such bits: they are cut off behind the
        # register.
        apart = all(bound & (bound - 1) == 0 for bound in bounds[:-1])
        known = reach_bits if apart else 0
        fractions = [max(known - (size - 1).bit_length(), 0) for size in inner]
        banks = BankMap(memory=memory, reach=mover.reach, known=known)
        span = channel_address(memory, mover).width - word_bits - known + banks.most
        sum_shape = signed(span)

        # The register: a row as it came, and its terms. Of two dimensions and more it has the sums
        # of all indices along dimension 0.
        ahead = 0 if len(bounds) == 1 else 1
        near = Signal(data.ArrayLayout(sum_shape, bounds[0] if ahead else 1))
        far = [
            Signal(data.ArrayLayout(signed(span + fraction), bound))
            for bound, fraction in zip(bounds[ahead:], fractions[ahead:], strict=True)
        ]
        wrong, astray = Signal(), Signal(len(bounds))
        address = Signal.like(row.address)
        tag, mode = Signal.like(row.settings.tag), Signal.like(row.settings.mode)
        enabled = Signal(mover.channels)
        full = Signal()
        m.submodules.blame = blame = ChannelBlame(
            memory=memory, mover=mover, settings=self._settings
        )
        adopt(blame, "fault", self.fault)

        m.d.comb += [
            self.o.valid.eq(full & ~blame.busy),
            self.i.ready.eq(~full | (self.o.valid & self.o.ready)),
        ]
        with m.If(self.i.valid & self.i.ready):
            given, numbers = row.settings.spatial_strides, []
            for axis, fraction in enumerate(fractions):
                number = given[axis][word_bits + known - fraction :].as_signed()
                numbers.append(banks.lift(number, row.settings.mode))
            number = row.address[word_bits + known :]
            first = banks.lift(number.as_signed() if mover.guards else number, row.settings.mode)
            m.d.sync += [
                full.eq(1),
                wrong.eq(
                    row.address[: word_bits + reach_bits].any()
                    | (0 if mover.guards else row.address[-1])
                ),
                astray.eq(
                    Cat(
                        stride[: word_bits + reach_bits] != size % (1 << reach_bits) << word_bits
                        for stride, size in zip(given, inner, strict=True)
                    )
                ),
                address.eq(row.address),
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
            m.d.sync += near[0].eq(first)
            m.d.sync += [
                near[index].eq(first + (multiple(numbers[0], index) >> fractions[0]))
                for index in range(1, len(near))
            ]
            m.d.sync += [
                offsets[index].eq(multiple(number, index))
                for number, offsets in zip(numbers[ahead:], far, strict=True)
                for index in range(1, len(offsets))
            ]
        with m.Elif(self.o.valid & self.o.ready):
            m.d.sync += full.eq(0)

        # Behind it: sum, check, remap. A simulator evaluates a module's combinational logic as one,
        # and again for every step of a chain in it: hence a module for each of two steps.
        m.submodules.sums = summing = Module()
        m.submodules.checks = checking = Module()
        sums = [Signal(sum_shape, name=f"sum_{channel}") for channel in channels]
        places = [
            Signal(memory.address_bits - word_bits, name=f"place_{channel}") for channel in channels
        ]
        flaws: list[Value] = []
        for channel in channels:
            indices = [channel // size % bound for size, bound in zip(inner, bounds, strict=True)]
            total = near[indices[0] if ahead else 0]
            for offsets, index, fraction in zip(
                far, indices[ahead:], fractions[ahead:], strict=True
            ):
                if index:
                    total = total + (offsets[index] >> fraction)
            summing.d.comb += sums[channel].eq(total)
            bank, bank_row = banks.place(sums[channel], mode)
            residue = Const(channel % (1 << reach_bits), reach_bits)
            checking.d.comb += places[channel].eq(
                Cat(residue, bank[reach_bits - known :], bank_row)
            )
            turns = Cat(astray[axis] for axis, index in enumerate(indices) if index)
            flaws.append(wrong | turns.any() | banks.beyond(sums[channel], mode))
        flawed = Signal(len(channels))
        checking.d.comb += flawed.eq(Cat(flaws))
        failing = skips = flawed
        exists = [enabled] if "channels" in self._settings.members else []
        if mover.guards:
            m.submodules.windows = windows = ChannelWindows(mover=mover)
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
            asked = reduce(and_, exists)
            failing, skips = Signal(len(channels)), Signal(len(channels))
            checking.d.comb += [failing.eq(flawed & asked), skips.eq(flawed | ~asked)]
        m.d.comb += [
            # Written whole, in the order of its fields: bank, row, skip.
            leaves.channels.eq(Cat(Cat(places[channel], skips[channel]) for channel in channels)),
        ]
        if mover.is_source:
            m.d.comb += leaves.error.eq(failing.any())
        m.d.comb += [
            blame.accepts.eq(self.i.valid & self.i.ready),
            blame.given.tag.eq(row.settings.tag),
            blame.given.spatial_strides.eq(row.settings.spatial_strides),
            blame.leaves.eq(self.o.valid & self.o.ready),
            blame.failing.eq(failing),
            blame.address.eq(address),
            blame.tag.eq(tag),
        ]
        return m
