"""One channel of a read port: address FIFO, requester, data FIFO."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..agu.row import channel_row
from ..bus.tcdm import MemoryPortSignature, memory_response
from ..bus.wires import adopt
from ..config import MemoryConfig, MoverConfig
from .address import ChannelAddress
from .ring import level, pointer_bits

__all__ = ["ReadChannel"]


class ReadChannel(wiring.Component):
    """Fetches the words of one channel, as far ahead of the beat as its FIFO allows.

    - `push` enters the channel's address of `row`, where the port's `push_pointer` says.
    - The oldest address becomes a request as soon as a word of the data FIFO is free; that word is
      reserved from then on, so a response always has room. A skipped address makes no request but
      takes its turn, its word, and the time of a read.
    - Responses arrive in order in the data FIFO, each at `arrived`, which then moves on. `word` is
      the one at the port's `pop_pointer`; with its ``valid`` clear it belongs to a skipped address
      and has no data. It is free when that pointer has moved on.

    A row pushed in cycle t is requested in t+2 at the earliest; `arrived` counts the word read by a
    request granted in cycle t from ``t + memory.latency + 1`` on. The data FIFO holds
    ``data_depth + 1`` words, the one on offer among them; one passes each cycle if `data_depth` is
    at least ``memory.latency + 3``. Pointers are those of :mod:`weft.hw.streamer.ring`. All outputs
    are registers, except `word`, an asynchronous read (LUTRAM), `room` and `lost`. With
    ``memory.fill_priority`` the port is urgent while there is at most one word behind the one on
    offer.

    Of a mover without prefetch the only word that is reserved is that of the beat on offer: the
    next address waits for `pop_pointer`, which moves for all channels at once.

    Parameters
    ----------
    memory
        The scratchpad.
    mover
        The mover: channels, reach and FIFO depths.
    index
        The number of this channel.

    Members
    -------
    row : :func:`~weft.hw.agu.row.channel_row`, the whole row
    push : 1
        Only while `room`.
    push_pointer, pop_pointer : :func:`~weft.hw.streamer.ring.pointer_bits`
        Rows that have been pushed; beats that have been taken, each after every channel's word of
        it has arrived.
    arrived : :func:`~weft.hw.streamer.ring.pointer_bits`
        Words that are in, skipped ones included.
    word : :func:`~weft.hw.bus.tcdm.memory_response`
    room : 1
        An address can be pushed. Combinational from registers.
    granted : 1
        In the last cycle a request was granted.
    lost : 1
        In this cycle one is offered and not granted. Combinational from the grant.
    memory : the port to the scratchpad

    Source: DataMaestro, section III-C (memory interface controller, outstanding request manager).
    """

    def __init__(self, *, memory: MemoryConfig, mover: MoverConfig, index: int) -> None:
        self._config = memory
        self._mover = mover
        self._index = index
        bits = pointer_bits(mover)
        super().__init__(
            {
                "row": In(channel_row(memory, mover)),
                "push": In(1),
                "push_pointer": In(bits),
                "pop_pointer": In(bits),
                "arrived": Out(bits),
                "word": Out(memory_response(memory)),
                "room": Out(1),
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
        mover = self._mover
        request, response = self.memory.req, self.memory.rsp

        place = self.row.channels[self._index]
        address = ChannelAddress(memory=self._config, mover=mover, index=self._index)
        m.submodules.addresses = addresses = Memory(
            shape=address.shape, depth=1 << pointer_bits(mover), init=[]
        )
        address_in = addresses.write_port()
        address_out = addresses.read_port(domain="comb")
        adopt(address_in, "addr", self.push_pointer)
        adopt(address_in, "en", self.push)
        m.d.comb += address_in.data.eq(address.kept(place))

        m.submodules.words = words = Memory(
            shape=memory_response(self._config), depth=1 << pointer_bits(mover), init=[]
        )
        word_in = words.write_port()
        word_out = words.read_port(domain="comb")
        adopt(word_in, "data", response)
        adopt(word_in, "addr", self.arrived)
        adopt(word_out, "addr", self.pop_pointer)
        adopt(word_out, "data", self.word)

        # The request stage holds one address: `request.valid` where it makes an access, else `skip`
        # where it makes none. It moves on when that access is granted.
        issued, skip = address_out.addr, Signal()
        advance = ~request.valid | request.ready
        head = address_out.data
        most = mover.data_depth + 1 if mover.prefetch else 1
        fetches = (issued != self.push_pointer) & (level(issued, self.pop_pointer) != most)
        m.d.comb += self.room.eq(level(self.push_pointer, issued) != mover.address_depth)
        if self._config.looks_ahead:
            m.d.comb += [
                self.memory.following.valid.eq(fetches & ~head.skip),
                self.memory.following.bank.eq(address.bank(head)),
            ]
        with m.If(advance):
            m.d.sync += [request.valid.eq(fetches & ~head.skip), skip.eq(fetches & head.skip)]
            with m.If(fetches):
                m.d.sync += [
                    request.payload.bank.eq(address.bank(head)),
                    request.payload.row.eq(head.row),
                    issued.eq(issued + 1),
                ]

        # What left the request stage arrives after the fixed latency of a read, skipped or not.
        skips = Signal(self._config.latency)
        m.d.sync += skips.eq(Cat(skip, skips))
        arrives = response.valid | skips[-1]
        m.d.comb += word_in.en.eq(arrives)
        with m.If(arrives):
            m.d.sync += self.arrived.eq(self.arrived + 1)
        if self._config.fill_priority:
            m.d.comb += self.memory.urgent.eq(level(self.arrived, self.pop_pointer) <= 2)

        m.d.sync += self.granted.eq(request.valid & request.ready)
        m.d.comb += self.lost.eq(request.valid & ~request.ready)
        return m
