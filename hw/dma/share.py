"""One AXI4 port for many: reads and writes of several clients, told apart by their ID."""

from collections.abc import Sequence
from typing import Any, ClassVar

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..bus.axi import Axi4Signature
from ..bus.queue import Queue
from ..bus.turns import Turns
from ..bus.wires import adopt
from ..config import DmaConfig

__all__ = ["ReadShare", "WriteShare", "id_bits"]


def id_bits(clients: int) -> int:
    """Width of an ID that tells `clients` apart; 0 for one."""
    return (clients - 1).bit_length()


def _pass(m: Module, source: Any, target: Any) -> None:
    """Wires from `source` to `target`; a field that only one of them has is not theirs."""
    fields = source.payload.shape().members.keys() & target.payload.shape().members.keys()
    m.d.comb += [target.payload[name].eq(source.payload[name]) for name in sorted(fields)]
    m.d.comb += [target.valid.eq(source.valid), source.ready.eq(target.ready)]


def _route(m: Module, source: Any, targets: Sequence[Any]) -> None:
    """Wires from `source` to the one of `targets` that its ID names."""
    if len(targets) == 1:
        _pass(m, source, targets[0])
        return
    for target in targets:
        for name in target.payload.shape().members:
            m.d.comb += target.payload[name].eq(source.payload[name])
    with m.Switch(source.payload.id):
        for number, target in enumerate(targets):
            with m.Case(number):
                m.d.comb += [target.valid.eq(source.valid), source.ready.eq(target.ready)]


class _AddressShare(wiring.Component):
    """Many address channels on one, combinational in both directions.

    Whose address stands on `o` is settled in the cycle in which it is raised, and stays so until it
    is taken; another one can be raised in the next cycle.

    Members
    -------
    i : a stream of addresses for each client
    o : stream of addresses with an ID
        The ID is the client's number.
    hold : 1
        While set, no further one is raised.
    raised : 1
        One is raised in this cycle.
    owner : `range(clients)`
        Whose stands on `o`.
    """

    def __init__(self, *, priorities: Sequence[bool], aging: int, client: Any, bus: Any) -> None:
        self._turns = Turns(priorities=priorities, aging=aging)
        count = len(priorities)
        super().__init__(
            {
                "i": client.flip().array(count),
                "o": bus,
                "hold": In(1),
                "raised": Out(1),
                "owner": Out(range(count)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.turns = turns = self._turns
        waits = Signal()
        waiting = Signal.like(self.owner)
        winner = Cat(
            Cat(bit for number, bit in enumerate(turns.grant) if number >> place & 1).any()
            for place in range(len(waiting))
        )
        m.d.comb += [
            turns.asking.eq(Cat(client.valid for client in self.i)),
            turns.taken.eq(self.raised),
            self.raised.eq(turns.grant.any() & ~waits & ~self.hold),
            self.owner.eq(Mux(waits, waiting, winner)),
            self.o.valid.eq(waits | self.raised),
        ]
        m.d.sync += [waits.eq(self.o.valid & ~self.o.ready), waiting.eq(self.owner)]

        m.submodules.choice = choice = Module()
        choice.d.comb += self.o.payload.id.eq(self.owner)
        with choice.Switch(self.owner):
            for number, client in enumerate(self.i):
                with choice.Case(number):
                    choice.d.comb += [
                        self.o.payload.addr.eq(client.payload.addr),
                        self.o.payload.len.eq(client.payload.len),
                        client.ready.eq(self.o.valid & self.o.ready),
                    ]
        return m


class _Share(wiring.Component):
    """What both shares have: parameters, and ports for `channels`."""

    channels: ClassVar[tuple[str, ...]]

    def __init__(self, *, dma: DmaConfig, priorities: Sequence[bool], bits: int) -> None:
        count = len(priorities)
        if not count:
            raise ValueError("a port is shared by at least one client")
        if bits < id_bits(count):
            raise ValueError(f"{bits} bits of ID do not tell {count} clients apart")
        self._dma = dma
        self._priorities = tuple(priorities)
        self._bits = bits
        widths = {"address_bits": dma.address_bits, "data_bits": dma.data_bits}
        self._client = Axi4Signature(**widths).members
        self._bus = Axi4Signature(**widths, id_bits=bits).members
        members = {name: self._client[name].flip().array(count) for name in self.channels}
        super().__init__(members | {f"bus_{name}": self._bus[name] for name in self.channels})

    @property
    def dma(self) -> DmaConfig:
        return self._dma

    @property
    def priorities(self) -> tuple[bool, ...]:
        return self._priorities

    @property
    def bits(self) -> int:
        return self._bits

    def _take_turns(self, channel: str) -> _AddressShare:
        """The arbiter between the clients' and the port's `channel`."""
        address = _AddressShare(
            priorities=self._priorities,
            aging=self._dma.aging,
            client=self._client[channel],
            bus=self._bus[channel],
        )
        adopt(address, "i", getattr(self, channel))
        adopt(address, "o", getattr(self, f"bus_{channel}"))
        return address


class ReadShare(_Share):
    """Lets several clients read through one AXI4 port.

    AR: one burst in every cycle in which the port takes one and anybody has one, in the order of
    :class:`~weft.hw.bus.turns.Turns`; combinational in both directions, and what has been raised
    stays until the port takes it. R: to the client that its ID names, combinational in both
    directions; an ID of nobody is never taken. With one client all is wires.

    A client that does not take its R at once keeps the others from theirs, so it should have asked
    for what it has room for only.

    Parameters
    ----------
    dma
        Widths, and the aging of the arbiter.
    priorities
        One entry a client: whether it is of the high class.
    bits
        Of an ID, at least ``id_bits(len(priorities))``.

    Members
    -------
    ar, r : streams of each client
        As in :class:`~weft.hw.bus.axi.Axi4Signature` without an ID.
    bus_ar, bus_r : stream
        The port's, with an ID of `bits`: the number of the client.
    """

    channels = ("ar", "r")

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if len(self.ar) == 1:
            _pass(m, self.ar[0], self.bus_ar)
        else:
            m.submodules.address = self._take_turns("ar")
        _route(m, self.bus_r, self.r)
        return m


class WriteShare(_Share):
    """Lets several clients write through one AXI4 port.

    AW: as AR of :class:`ReadShare`, while not more than two bursts a client have been raised and
    not ended on W. W: the bursts in the order of their AW, combinational in both directions from
    the client whose turn it is: from the cycle after its AW was raised, taken or not, and after
    the last beat before, so that no cycle is lost between two bursts. A client's W waits for its
    AW, whenever it is offered. B: to the client that its ID names, combinational in both
    directions; an ID of nobody is never taken. With one client all is wires.

    A client keeps the others from W between the raising of its AW and its last beat, so it should
    ask when it has the whole burst only; the same is true of a B that it does not take.

    Parameters
    ----------
    dma
        Widths, and the aging of the arbiter.
    priorities
        One entry a client: whether it is of the high class.
    bits
        Of an ID, at least ``id_bits(len(priorities))``.

    Members
    -------
    aw, w, b : streams of each client
        As in :class:`~weft.hw.bus.axi.Axi4Signature` without an ID.
    bus_aw, bus_w, bus_b : stream
        The port's, with an ID of `bits` on AW and B: the number of the client.
    """

    channels = ("aw", "w", "b")

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Modules of their own: an answer does not move the data.
        m.submodules.answers = answers = Module()
        _route(answers, self.bus_b, self.b)
        count = len(self.aw)
        if count == 1:
            _pass(m, self.aw[0], self.bus_aw)
            _pass(m, self.w[0], self.bus_w)
            return m
        m.submodules.address = address = self._take_turns("aw")
        m.submodules.owners = owners = Queue(range(count), depth=2 * count)
        m.d.comb += [
            address.hold.eq(~owners.i.ready),
            owners.i.valid.eq(address.raised),
            owners.i.payload.eq(address.owner),
            owners.o.ready.eq(self.bus_w.valid & self.bus_w.ready & self.bus_w.payload.last),
        ]
        m.submodules.beats = beats = Module()
        with beats.If(owners.o.valid):
            with beats.Switch(owners.o.payload):
                for number, client in enumerate(self.w):
                    with beats.Case(number):
                        _pass(beats, client, self.bus_w)
        return m
