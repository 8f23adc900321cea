"""One channel of a write port: address FIFO, data FIFO, requester."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..agu.row import channel_row
from ..bus.streams import present_fields
from ..bus.tcdm import MemoryPortSignature
from ..bus.wires import adopt
from ..config import MemoryConfig, MoverConfig
from .address import ChannelAddress
from .ring import level, pointer_bits

__all__ = ["WriteChannel"]


class WriteChannel(wiring.Component):
    """Stores the words of one channel, as soon as it has both address and word.

    - `push` enters the channel's address of `row`, where the port's `push_pointer` says.
    - Of a mover with a byte mask, bytes that the row's does not have are not written.
    - `accept` enters the channel's word of `beat`, where the port's `accept_pointer` says. Of a
      beat with ``count``, bytes at and beyond it are not written.
    - The oldest address and word become a request together; with ``skip`` they are dropped.
    - `done` counts the rows that have been granted, or skipped after the grants of all before them.

    Address and word that are there in cycle t are requested in t+1; one word passes each cycle.
    Pointers are those of :mod:`weft.hw.streamer.ring`. All outputs are registers, except the word
    of a request, an asynchronous read (LUTRAM), `room`, `space` and `lost`. With
    ``memory.fill_priority`` the port is urgent while the data FIFO has room for one word or none.

    Of a mover without prefetch there is space for a word only when all before it are `done`.

    Parameters
    ----------
    memory
        The scratchpad.
    mover
        The mover: channels, reach and FIFO depths.
    index
        The number of this channel.
    beat
        Layout of a beat: ``data``, and ``count`` in bytes if it can be less than the whole.

    Members
    -------
    row : :func:`~weft.hw.agu.row.channel_row`, the whole row
    beat : `beat`, the whole beat
    push, accept : 1
        Only while `room` and `space`, respectively.
    push_pointer, accept_pointer : :func:`~weft.hw.streamer.ring.pointer_bits`
        Rows that have been pushed; beats that have been accepted.
    done : :func:`~weft.hw.streamer.ring.pointer_bits`
    room, space : 1
        An address can be pushed; a word can be accepted. Combinational from registers.
    granted : 1
        In the last cycle a request was granted.
    lost : 1
        In this cycle one is offered and not granted. Combinational from the grant.
    memory : the port to the scratchpad

    Source: DataMaestro, section III-C (memory interface controller).
    """

    def __init__(
        self, *, memory: MemoryConfig, mover: MoverConfig, index: int, beat: data.StructLayout
    ) -> None:
        self._config = memory
        self._mover = mover
        self._index = index
        pointer = pointer_bits(mover)
        super().__init__(
            {
                "row": In(channel_row(memory, mover)),
                "beat": In(beat),
                "push": In(1),
                "push_pointer": In(pointer),
                "accept": In(1),
                "accept_pointer": In(pointer),
                "done": Out(pointer),
                "room": Out(1),
                "space": Out(1),
                "granted": Out(1),
                "lost": Out(1),
                "memory": Out(MemoryPortSignature(memory)),
            }
        )

    @property
    def config(self) -> MemoryConfig:
        return self._config

    @property
    def mover(self) -> MoverConfig:
        return self._mover

    @property
    def index(self) -> int:
        return self._index

    def elaborate(self, platform: object) -> Module:
        m = Module()
        mover, places = self._mover, 1 << pointer_bits(self._mover)
        bits, size = self._config.bank_bits, self._config.word_bytes
        request = self.memory.req

        place = self.row.channels[self._index]
        address = ChannelAddress(memory=self._config, mover=mover, index=self._index)
        mask_bits = size if mover.byte_mask else 0
        entry = present_fields({"place": address.shape, "byte_mask": mask_bits})
        m.submodules.addresses = addresses = Memory(shape=entry, depth=places, init=[])
        address_in = addresses.write_port()
        address_out = addresses.read_port(domain="comb")
        adopt(address_in, "addr", self.push_pointer)
        adopt(address_in, "en", self.push)
        m.d.comb += address_in.data.place.eq(address.kept(place))
        mask = Signal(size) if mover.byte_mask else Const(-1, size)
        if mover.byte_mask:
            m.d.comb += address_in.data.byte_mask.eq(self.row.byte_mask)

        # Apart from the addresses: a beat and a row seldom come in the same cycle.
        partial = "count" in self.beat.shape().members
        word = present_fields({"data": bits, "strobe": size if partial else 0})
        m.submodules.words = words = Memory(shape=word, depth=places, init=[])
        m.submodules.enter = enter = Module()
        word_in = words.write_port()
        word_out = words.read_port(domain="comb")
        adopt(word_in, "addr", self.accept_pointer)
        adopt(word_in, "en", self.accept)
        adopt(word_out, "addr", self.done)
        enter.d.comb += word_in.data.data.eq(self.beat.data.word_select(self._index, bits))
        if partial:
            first = self._index * size
            enter.d.comb += word_in.data.strobe.eq(
                Cat(self.beat.count > first + byte for byte in range(size))
            )

        # The request stage holds one row: with `request.valid` set an access, else a skipped row
        # with `skip`. It moves on when that access is granted; until then its word stays in the
        # FIFO, a place more than the FIFO shows.
        begun, skip = address_out.addr, Signal()
        advance = ~request.valid | request.ready
        head = address_out.data.place
        begins = (begun != self.push_pointer) & (begun != self.accept_pointer)
        left, most = (begun, mover.data_depth) if mover.prefetch else (self.done, 1)
        m.d.comb += [
            self.room.eq(level(self.push_pointer, begun) != mover.address_depth),
            self.space.eq(level(self.accept_pointer, left) != most),
            request.payload.write.eq(1),
            request.payload.data.eq(word_out.data.data),
            request.payload.strobe.eq((word_out.data.strobe if partial else ~0) & mask),
        ]
        if self._config.looks_ahead:
            m.d.comb += [
                self.memory.following.valid.eq(begins & ~head.skip),
                self.memory.following.bank.eq(address.bank(head)),
            ]
        with m.If(advance):
            m.d.sync += [request.valid.eq(begins & ~head.skip), skip.eq(begins & head.skip)]
            with m.If(begins):
                m.d.sync += [
                    request.payload.bank.eq(address.bank(head)),
                    request.payload.row.eq(head.row),
                    begun.eq(begun + 1),
                ]
                if mover.byte_mask:
                    m.d.sync += mask.eq(address_out.data.byte_mask)
            with m.If(request.valid | skip):
                m.d.sync += self.done.eq(self.done + 1)
        if self._config.fill_priority:
            held = level(self.accept_pointer, begun)
            m.d.comb += self.memory.urgent.eq(held >= mover.data_depth - 1)

        m.d.sync += self.granted.eq(request.valid & request.ready)
        m.d.comb += self.lost.eq(request.valid & ~request.ready)
        return m
