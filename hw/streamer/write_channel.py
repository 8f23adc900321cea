"""One channel of a write port: address FIFO, data FIFO, requester."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..agu.row import channel_row
from ..bus.streams import present_fields
from ..bus.tcdm import MemoryPortSignature
from ..bus.wires import adopt
from ..config import MemoryConfig, MoverConfig
from .ring import count, following

__all__ = ["WriteChannel"]


class WriteChannel(wiring.Component):
    """Stores the words of one channel, as soon as it has both address and word.

    - `push` enters the channel's address of `row`, where the port's `push_pointer` says.
    - Of a mover with a byte mask, bytes that the row's does not have are not written.
    - `accept` enters the channel's word of `beat`, where the port's `accept_pointer` says. Of a
      beat with ``count``, bytes at and beyond it are not written.
    - The oldest address and word become a request together; with ``skip`` they are dropped.
    - `ended` says that a row with ``end`` has been granted, or skipped after the grants of all
      before it, that `retire` has not yet acknowledged.

    Address and word that are there in cycle t are requested in t+1; one word passes each cycle. All
    outputs are registers. With ``memory.fill_priority`` the port is urgent while the data FIFO has
    room for one word or none.

    Parameters
    ----------
    memory
        The scratchpad.
    mover
        The mover: channels and FIFO depths.
    index
        The number of this channel.
    beat
        Layout of a beat: ``data``, and ``count`` in bytes if it can be less than the whole.

    Members
    -------
    row : :func:`~weft.hw.agu.row.channel_row`, the whole row
    beat : `beat`, the whole beat
    push, accept, retire : 1
        Only while `room`, `space` and `ended`, respectively.
    push_pointer : ``range(mover.address_depth)``
    accept_pointer : ``range(mover.data_depth)``
    room, space, ended : 1
        An address can be pushed; a word can be accepted; a row with ``end`` is out.
    granted, lost : 1
        In the last cycle a request was granted, or offered and not granted.
    memory : the port to the scratchpad

    Source: DataMaestro, section III-C (memory interface controller).
    """

    def __init__(
        self, *, memory: MemoryConfig, mover: MoverConfig, index: int, beat: data.StructLayout
    ) -> None:
        self._config = memory
        self._mover = mover
        self._index = index
        super().__init__(
            {
                "row": In(channel_row(memory, mover)),
                "beat": In(beat),
                "push": In(1),
                "push_pointer": In(range(mover.address_depth)),
                "accept": In(1),
                "accept_pointer": In(range(mover.data_depth)),
                "retire": In(1),
                "room": Out(1, init=1),
                "space": Out(1, init=1),
                "ended": Out(1),
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
        address_depth, data_depth = self._mover.address_depth, self._mover.data_depth
        bits, size = self._config.bank_bits, self._config.word_bytes
        request = self.memory.req

        place = self.row.channels[self._index]
        masked = self._mover.byte_mask
        mask_bits = size if masked else 0
        entry = present_fields({"place": place.shape(), "byte_mask": mask_bits, "end": 1})
        m.submodules.addresses = addresses = Memory(shape=entry, depth=address_depth, init=[])
        address_in = addresses.write_port()
        address_out = addresses.read_port(domain="comb")
        adopt(address_in, "addr", self.push_pointer)
        adopt(address_in, "en", self.push)
        m.d.comb += [address_in.data.place.eq(place), address_in.data.end.eq(self.row.end)]
        if masked:
            m.d.comb += address_in.data.byte_mask.eq(self.row.byte_mask)

        # Apart from the addresses: a beat and a row seldom come in the same cycle.
        partial = "count" in self.beat.shape().members
        word = present_fields({"data": bits, "strobe": size if partial else 0})
        m.submodules.words = words = Memory(shape=word, depth=data_depth, init=[])
        m.submodules.enter = enter = Module()
        word_in = words.write_port()
        word_out = words.read_port(domain="comb")
        adopt(word_in, "addr", self.accept_pointer)
        adopt(word_in, "en", self.accept)
        enter.d.comb += word_in.data.data.eq(self.beat.data.word_select(self._index, bits))
        if partial:
            first = self._index * size
            enter.d.comb += word_in.data.strobe.eq(
                Cat(self.beat.count > first + byte for byte in range(size))
            )

        # The request stage holds one row: with `request.valid` set an access, else a skipped row or
        # nothing. It moves on when that access is granted.
        addresses_held = Signal(range(address_depth + 1))
        words_held = Signal(range(data_depth + 1))
        end = Signal()
        advance = ~request.valid | request.ready
        head = address_out.data
        with m.If(advance & (addresses_held != 0) & (words_held != 0)):
            m.d.sync += [
                request.valid.eq(~head.place.skip),
                request.payload.bank.eq(head.place.bank),
                request.payload.row.eq(head.place.row),
                request.payload.write.eq(1),
                request.payload.data.eq(word_out.data.data),
                request.payload.strobe.eq(
                    (word_out.data.strobe if partial else ~0) & (head.byte_mask if masked else ~0)
                ),
                end.eq(head.end),
                address_out.addr.eq(following(address_out.addr, address_depth)),
                word_out.addr.eq(following(word_out.addr, data_depth)),
            ]
            with m.If(~self.push):
                m.d.sync += [addresses_held.eq(addresses_held - 1), self.room.eq(1)]
            with m.If(~self.accept):
                m.d.sync += [words_held.eq(words_held - 1), self.space.eq(1)]
        with m.Else():
            with m.If(advance):
                m.d.sync += [request.valid.eq(0), end.eq(0)]
            with m.If(self.push):
                m.d.sync += [
                    addresses_held.eq(addresses_held + 1),
                    self.room.eq(addresses_held != address_depth - 1),
                ]
            with m.If(self.accept):
                m.d.sync += [
                    words_held.eq(words_held + 1),
                    self.space.eq(words_held != data_depth - 1),
                ]

        if self._config.fill_priority:
            m.d.comb += self.memory.urgent.eq(words_held >= data_depth - 1)
        # Every BD that is out here and not in another channel still has its row there.
        ends_held = Signal(range(address_depth + 2))
        count(m, ends_held, up=end & advance, down=self.retire, occupied=self.ended)

        m.d.sync += [
            self.granted.eq(request.valid & request.ready),
            self.lost.eq(request.valid & ~request.ready),
        ]
        return m
