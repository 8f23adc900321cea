"""One channel of a read port: address FIFO, requester, data FIFO."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..agu.row import channel_row
from ..bus.tcdm import MemoryPortSignature, memory_response
from ..bus.wires import adopt
from ..config import MemoryConfig, MoverConfig
from .ring import count, following

__all__ = ["ReadChannel"]


class ReadChannel(wiring.Component):
    """Fetches the words of one channel, as far ahead of the beat as its FIFO allows.

    - `push` enters the channel's address of `row`, where the port's `push_pointer` says.
    - The oldest address becomes a request as soon as a word of the data FIFO is free; that word is
      reserved from then on, so a response always has room. A skipped address makes no request but
      takes its turn, its word, and the time of a read.
    - Responses arrive in order in the data FIFO. `word` is the one at the port's `pop_pointer`;
      with its ``valid`` clear it belongs to a skipped address and has no data.
    - `pop` frees that word.
    - `ended` says that the response of a row with ``end`` has arrived that `retire` has not yet
      acknowledged.

    A row pushed in cycle t is requested in t+2 at the earliest; the word read by a request granted
    in cycle t is there in ``t + memory.latency + 1``. One word passes each cycle if the data FIFO
    has at least ``memory.latency + 3`` words. All outputs are registers, except `word`, an
    asynchronous read (LUTRAM). With ``memory.fill_priority`` the port is urgent while the data FIFO
    holds one word or none.

    Parameters
    ----------
    memory
        The scratchpad.
    mover
        The mover: channels and FIFO depths.
    index
        The number of this channel.

    Members
    -------
    row : :func:`~weft.hw.agu.row.channel_row`, the whole row
    push, pop, retire : 1
        Only while `room`, `filled` and `ended`, respectively.
    push_pointer : ``range(mover.address_depth)``
    pop_pointer : ``range(mover.data_depth)``
    word : :func:`~weft.hw.bus.tcdm.memory_response`
    room, filled, ended : 1
        An address can be pushed; a word can be popped; a row with ``end`` is in.
    granted, lost : 1
        In the last cycle a request was granted, or offered and not granted.
    memory : the port to the scratchpad

    Source: DataMaestro, section III-C (memory interface controller, outstanding request manager).
    """

    def __init__(self, *, memory: MemoryConfig, mover: MoverConfig, index: int) -> None:
        self._config = memory
        self._mover = mover
        self._index = index
        super().__init__(
            {
                "row": In(channel_row(memory, mover)),
                "push": In(1),
                "push_pointer": In(range(mover.address_depth)),
                "pop": In(1),
                "pop_pointer": In(range(mover.data_depth)),
                "retire": In(1),
                "word": Out(memory_response(memory)),
                "room": Out(1, init=1),
                "filled": Out(1),
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
        request, response = self.memory.req, self.memory.rsp

        place = self.row.channels[self._index]
        entry = data.StructLayout({"place": place.shape(), "end": 1})
        m.submodules.addresses = addresses = Memory(shape=entry, depth=address_depth, init=[])
        address_in = addresses.write_port()
        address_out = addresses.read_port(domain="comb")
        adopt(address_in, "addr", self.push_pointer)
        adopt(address_in, "en", self.push)
        m.d.comb += [address_in.data.place.eq(place), address_in.data.end.eq(self.row.end)]

        m.submodules.words = words = Memory(
            shape=memory_response(self._config), depth=data_depth, init=[]
        )
        word_in = words.write_port()
        word_out = words.read_port(domain="comb")
        adopt(word_in, "data", response)
        adopt(word_out, "addr", self.pop_pointer)
        adopt(word_out, "data", self.word)

        # The request stage holds one address: `request.valid` where it makes an access, else `skip`
        # where it makes none. It moves on when that access is granted.
        addresses_held = Signal(range(address_depth + 1))
        words_free = Signal(range(data_depth + 1), init=data_depth)
        skip = Signal()
        end = Signal()
        advance = ~request.valid | request.ready
        head = address_out.data
        with m.If(advance & (addresses_held != 0) & (words_free != 0)):
            m.d.sync += [
                request.valid.eq(~head.place.skip),
                request.payload.bank.eq(head.place.bank),
                request.payload.row.eq(head.place.row),
                skip.eq(head.place.skip),
                end.eq(head.end),
                address_out.addr.eq(following(address_out.addr, address_depth)),
            ]
            with m.If(~self.push):
                m.d.sync += [addresses_held.eq(addresses_held - 1), self.room.eq(1)]
            with m.If(~self.pop):
                m.d.sync += words_free.eq(words_free - 1)
        with m.Else():
            with m.If(advance):
                m.d.sync += [request.valid.eq(0), skip.eq(0), end.eq(0)]
            with m.If(self.push):
                m.d.sync += [
                    addresses_held.eq(addresses_held + 1),
                    self.room.eq(addresses_held != address_depth - 1),
                ]
            with m.If(self.pop):
                m.d.sync += words_free.eq(words_free + 1)

        # What left the request stage arrives after the fixed latency of a read, skipped or not.
        skips = Signal(self._config.latency)
        ends = Signal(self._config.latency)
        m.d.sync += [skips.eq(Cat(skip, skips)), ends.eq(Cat(end & advance, ends))]
        arrives = response.valid | skips[-1]
        m.d.comb += word_in.en.eq(arrives)
        with m.If(arrives):
            m.d.sync += word_in.addr.eq(following(word_in.addr, data_depth))
        words_held = Signal(range(data_depth + 1))
        count(m, words_held, up=arrives, down=self.pop, occupied=self.filled)
        if self._config.fill_priority:
            m.d.comb += self.memory.urgent.eq(words_held <= 1)
        ends_held = Signal(range(data_depth + 1))
        count(m, ends_held, up=ends[-1], down=self.retire, occupied=self.ended)

        m.d.sync += [
            self.granted.eq(request.valid & request.ready),
            self.lost.eq(request.valid & ~request.ready),
        ]
        return m
