"""Which channel of a row in error is to blame, and for what."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..bus.fault import TAG_BITS, FaultCode, fault_report
from ..bus.turns import lowest
from ..config import MemoryConfig, MoverConfig
from .row import channel_address, row_address_bits

__all__ = ["ChannelBlame"]


class ChannelBlame(wiring.Component):
    """Reports the lowest of the channels that fail in a row, with its address and its flaw.

    Which those are comes late, and the way from there is long: so what it takes is kept of every
    row that leaves. One that leaves in cycle t with a channel in `failing` makes it `busy` in t+1,
    which finds the first of them, and in t+2, which sums that one's address again from its indices
    and so spares a multiplexer over the addresses of all channels. `fault` is set in t+3. No row
    may leave while it is busy.

    Parameters
    ----------
    memory
        The scratchpad.
    mover
        The mover whose channels they are.
    settings
        As of :class:`~weft.hw.agu.spatial.SpatialAgu`.

    Members
    -------
    accepts : 1
        A row comes, with these `given` settings, ahead of all that leave with its tag.
    given : ``tag`` and ``spatial_strides``
        Of that row. Rows with the same tag have the same strides, if no other's lie between.
    leaves : 1
        A row leaves, with what follows.
    failing : `mover.channels`
    address : :func:`~weft.hw.agu.row.row_address_bits`
    tag : `TAG_BITS`
    busy : 1
    fault : :func:`~weft.hw.bus.fault.fault_report`
        For one cycle. The address is in bytes, and signed.
    """

    def __init__(
        self, *, memory: MemoryConfig, mover: MoverConfig, settings: data.StructLayout
    ) -> None:
        self._memory = memory
        self._mover = mover
        self._settings = settings
        given = {name: settings[name].shape for name in ("tag", "spatial_strides")}
        super().__init__(
            {
                "accepts": In(1),
                "given": In(data.StructLayout(given)),
                "leaves": In(1),
                "failing": In(mover.channels),
                "address": In(row_address_bits(memory, mover.guards)),
                "tag": In(TAG_BITS),
                "busy": Out(1),
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
        memory, bounds = self._memory, self._mover.spatial_bounds
        failed, row, tag = (Signal.like(x) for x in (self.failing, self.address, self.tag))
        indices = [Signal(range(bound), name=f"index_{axis}") for axis, bound in enumerate(bounds)]
        left, faulty, found, reports = (Signal() for _ in range(4))
        # Of each execution, for they are its BD's.
        m.submodules.strides = kept = Memory(
            shape=self.given.spatial_strides.shape(), depth=1 << TAG_BITS, init=[]
        )
        write, read = kept.write_port(), kept.read_port(domain="comb")
        m.d.comb += [
            write.en.eq(self.accepts),
            write.addr.eq(self.given.tag),
            write.data.eq(self.given.spatial_strides),
            read.addr.eq(tag),
        ]
        m.d.comb += [faulty.eq(left & failed.any()), self.busy.eq(faulty | found)]
        m.d.sync += [left.eq(self.leaves), found.eq(faulty), reports.eq(found)]
        with m.If(self.leaves):
            m.d.sync += [failed.eq(self.failing), row.eq(self.address), tag.eq(self.tag)]

        # A module for each step: see the spatial unit.
        m.submodules.first = searching = Module()
        first = Signal(len(failed))
        searching.d.comb += first.eq(lowest(searching, failed))
        period = 1
        for index, bound in zip(indices, bounds, strict=True):
            searching.d.sync += [
                index[bit].eq(
                    Cat(first[c] for c in range(len(first)) if c // period % bound >> bit & 1).any()
                )
                for bit in range(len(index))
            ]
            period *= bound

        m.submodules.report = reporting = Module()
        total = row.as_signed() if self._mover.guards else row
        for index, stride in zip(indices, read.data, strict=True):
            for bit in range(len(index)):
                total = total + Mux(index[bit], stride.shift_left(bit), 0)
        where = Signal(channel_address(memory, self._mover))
        with reporting.If(found):
            reporting.d.sync += where.eq(total)
        outside = where[memory.address_bits :].any()
        if not self._mover.guards:
            outside |= row[-1]
        within = (memory.word_bytes - 1).bit_length()
        askew = [row[:within].any()]
        for index, stride in zip(indices, read.data, strict=True):
            askew.append(index.any() & stride[:within].any())
        code = Signal(FaultCode)
        with reporting.If(reports & outside):
            reporting.d.comb += code.eq(FaultCode.ADDRESS_RANGE)
        with reporting.Elif(reports & Cat(askew).any()):
            reporting.d.comb += code.eq(FaultCode.ALIGNMENT)
        with reporting.Elif(reports):
            reporting.d.comb += code.eq(FaultCode.REACH)
        m.d.comb += [
            self.fault.code.eq(code),
            self.fault.address.eq(where),
            self.fault.tag.eq(tag),
            self.fault.named.eq(1),
        ]
        return m
