"""One bank of the scratchpad: an arbiter in front of a synchronous memory."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..bus.tcdm import memory_request
from ..bus.turns import next_in_circle
from ..bus.wires import adopt
from ..config import MemoryConfig
from .requester import Requester

__all__ = ["Bank"]


class Bank(wiring.Component):
    """Serves one of the requests for it each cycle.

    Two classes stand at a bank: the high one has the high-priority requesters and every aged one,
    the low one has the others. The low class is served when nobody of the high class asks, and
    within a class whoever asks first after the last winner, in a circle. `grant` is combinational.

    With ``memory.fill_priority`` those of the class that is served who are `urgent`, if there are
    any, go before its others; they have no circle of their own.

    With ``memory.crossbar_stages`` of 1 the memory is accessed in the cycle of the grant and `word`
    has the word read in the next one. With more it is accessed a cycle later: who was granted is
    registered, and `request` is that of the cycle before. With 3 the word read is registered once
    more. `word` holds until the next read.

    Parameters
    ----------
    memory
        The scratchpad.
    requesters
        Those that reach this bank; the *seat* of a requester is its place in this sequence.
    seats
        Width of `grant`, at least ``len(requesters)``: the same for all banks.

    Members
    -------
    asks : 1 for each seat
        The requester has a request for this bank.
    request : :func:`~weft.hw.bus.tcdm.memory_request` for each seat
        The request, of this cycle or (two stages or more) of the last one; its bank does not count.
    aged : 1 for each seat
        It asks, and is lifted into the high class; not looked at for high-priority requesters.
    urgent : 1 for each seat; only with ``memory.fill_priority``
    grant : `seats`
        One-hot: whose request is taken in this cycle.
    word : ``memory.bank_bits``
    conflict : 1; only with ``memory.bank_counters``
        In the last cycle a request for this bank was not granted.
    """

    def __init__(
        self, *, memory: MemoryConfig, requesters: Sequence[Requester], seats: int
    ) -> None:
        self._memory = memory
        self._requesters = tuple(requesters)
        self._seats = seats
        count = len(self._requesters)
        members = {
            "asks": In(1).array(count),
            "request": In(memory_request(memory)).array(count),
            "aged": In(1).array(count),
            "grant": Out(seats),
            "word": Out(memory.bank_bits),
        }
        if memory.fill_priority:
            members["urgent"] = In(1).array(count)
        if memory.bank_counters:
            members["conflict"] = Out(1)
        super().__init__(members)

    @property
    def memory(self) -> MemoryConfig:
        return self._memory

    @property
    def requesters(self) -> tuple[Requester, ...]:
        return self._requesters

    @property
    def seats(self) -> int:
        return self._seats

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._arbitrate(m)
        self._access(m)
        return m

    def _arbitrate(self, m: Module) -> None:
        """Drive `grant` from the requests.

        The steps are modules of their own because a simulator that runs a module's combinational
        logic as one would otherwise gather all requests again for every change of a grant.
        """
        count = len(self._requesters)
        low_seats = [seat for seat in range(count) if not self._requesters[seat].high_priority]
        high = Signal(count)
        low = Signal(count)
        m.submodules.gather = gather = Module()
        gather.d.comb += high.eq(
            Cat(
                self.aged[seat] if seat in low_seats else asks
                for seat, asks in enumerate(self.asks)
            )
        )
        if low_seats:
            gather.d.comb += low.eq(
                Cat(asks if seat in low_seats else 0 for seat, asks in enumerate(self.asks))
            )

        m.submodules.choose = choose = Module()
        high_after, low_after = Signal(count), Signal(count)
        of_high, beyond_high = next_in_circle(choose, self._pressing(choose, high), high_after)
        of_low, beyond_low = Const(0), Const(0)
        if low_seats:
            of_low, beyond_low = next_in_circle(choose, self._pressing(choose, low), low_after)
        with choose.If(high.any()):
            choose.d.comb += self.grant.eq(of_high)
        with choose.Else():
            choose.d.comb += self.grant.eq(of_low)
        with m.If(high.any()):
            m.d.sync += high_after.eq(beyond_high)
        with m.Elif(low.any()):
            m.d.sync += low_after.eq(beyond_low)
        if self._memory.bank_counters:
            m.d.sync += self.conflict.eq(((high | low) & ~self.grant).any())

    def _pressing(self, m: Module, asking: Signal) -> Value:
        """Those of `asking` that are served before the others."""
        if not self._memory.fill_priority:
            return asking
        urgent, pressing = Signal.like(asking), Signal.like(asking)
        m.d.comb += [
            urgent.eq(asking & Cat(self.urgent)),
            pressing.eq(Mux(urgent.any(), urgent, asking)),
        ]
        return pressing

    def _access(self, m: Module) -> None:
        """Carry the granted request to the memory."""
        memory, count = self._memory, len(self._requesters)
        m.submodules.words = words = Memory(shape=memory.bank_bits, depth=memory.rows, init=[])
        write_port = words.write_port(granularity=8)
        read_port = words.read_port()
        adopt(write_port, "addr", read_port.addr)
        if memory.crossbar_stages == 3:
            # The memory is the slowest of all: a cycle for it alone, before the multiplexers.
            m.d.sync += self.word.eq(read_port.data)
        else:
            adopt(read_port, "data", self.word)

        m.submodules.access = access = Module()
        seat_bits = (count - 1).bit_length()
        # The binary number of the winner selects a payload with far less logic than its one-hot.
        winner = Cat(
            Cat(self.grant[seat] for seat in range(count) if seat >> bit & 1).any()
            for bit in range(seat_bits)
        )
        granted = self.grant.any()
        if memory.crossbar_stages > 1:
            # After the arbiter, not after the multiplexer: that has a cycle for itself.
            chosen, served = Signal(seat_bits), Signal()
            m.d.sync += [chosen.eq(winner), served.eq(granted)]
            winner, granted = chosen, served
        with access.If(granted):
            with access.Switch(winner):
                for seat, requester in enumerate(self._requesters):
                    request = self.request[seat]
                    with access.Case(seat):
                        access.d.comb += read_port.addr.eq(request.row)
                        if requester.reads:
                            access.d.comb += read_port.en.eq(
                                ~request.write if requester.writes else 1
                            )
                        if requester.writes:
                            access.d.comb += [
                                write_port.data.eq(request.data),
                                write_port.en.eq(Mux(request.write, request.strobe, 0)),
                            ]
