"""A requester's side of the crossbar: whom it asks, its grant, its age, its responses."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..bus.tcdm import MemoryPortSignature, memory_request
from ..config import MemoryConfig
from .requester import Requester

__all__ = ["Link"]


class Link(wiring.Component):
    """Asks the bank of a request, tells the requester of its grant, and brings the word read.

    `asks` is combinational from the request; with ``memory.looks_ahead`` it is a register, loaded
    with what ``port.following`` says of the next cycle. A bank that the requester does not reach is
    not asked. ``port.req.ready`` is combinational from `grants`. The response comes
    ``memory.latency`` cycles after the grant of a read, combinationally multiplexed from `words`.

    `aged` are registers; that of the bank that is asked is set when the request has lost
    ``memory.aging`` cycles in a row, until its grant. Without ``memory.fill_priority`` they stay 0
    for a high-priority requester.

    Parameters
    ----------
    memory
        The scratchpad.
    requester
        Who is linked.
    places
        Its seat in each bank that it reaches, in the order of the banks.
    seats
        Width of a bank's grant.

    Members
    -------
    port : the requester's memory port
    asks : 1 for each bank reached, in order
        The request is for that bank.
    grants, words : one of each for each bank reached, in order
        That bank's `grant` and `word`.
    taken : :func:`~weft.hw.bus.tcdm.memory_request` without its bank; only with ``looks_ahead``
        The request of the last cycle.
    aged : 1 for each bank reached, in order
    fill_priority, urgent : 1; only with ``memory.fill_priority``
        Whether urgency counts; whether the request goes before others of its class, because the
        requester is urgent or the request has aged.
    """

    def __init__(
        self, *, memory: MemoryConfig, requester: Requester, places: Sequence[int], seats: int
    ) -> None:
        self._memory = memory
        self._requester = requester
        self._places = tuple(places)
        self._seats = seats
        members = {
            "port": In(MemoryPortSignature(memory)),
            "asks": Out(1).array(len(self._places)),
            "grants": In(seats).array(len(self._places)),
            "words": In(memory.bank_bits).array(len(self._places)),
            "aged": Out(1).array(len(self._places)),
        }
        if memory.looks_ahead:
            members["taken"] = Out(memory_request(memory))
        if memory.fill_priority:
            members |= {"fill_priority": In(1), "urgent": Out(1)}
        super().__init__(members)

    @property
    def memory(self) -> MemoryConfig:
        return self._memory

    @property
    def requester(self) -> Requester:
        return self._requester

    @property
    def places(self) -> tuple[int, ...]:
        return self._places

    @property
    def seats(self) -> int:
        return self._seats

    def elaborate(self, platform: object) -> Module:
        m = Module()
        banks = list(self._requester.banks(self._memory))
        granted = [grant[place] for grant, place in zip(self.grants, self._places, strict=True)]
        m.d.comb += self.port.req.ready.eq(Cat(granted).any())
        self._ask(m, banks)
        if self._memory.fill_priority or not self._requester.high_priority:
            self._grow_old(m)
        if self._memory.fill_priority:
            m.submodules.urgency = urgency = Module()
            urgency.d.comb += self.urgent.eq(
                self.fill_priority & (self.port.urgent | Cat(self.aged).any())
            )
        if self._requester.reads:
            self._respond(m, banks)
        return m

    def _ask(self, m: Module, banks: Sequence[int]) -> None:
        request = self.port.req
        if not self._memory.looks_ahead:
            for bank, asks in zip(banks, self.asks, strict=True):
                m.d.comb += asks.eq(request.valid & (request.payload.bank == bank))
            return
        following = self.port.following
        with m.If(~request.valid | request.ready):
            for bank, asks in zip(banks, self.asks, strict=True):
                m.d.sync += asks.eq(following.valid & (following.bank == bank))
        counts = ["row", "write", "data", "strobe"] if self._requester.writes else ["row"]
        for name in counts:
            m.d.sync += self.taken[name].eq(request.payload[name])

    def _grow_old(self, m: Module) -> None:
        lost = Signal(range(self._memory.aging))
        with m.If(~self.port.req.valid | self.port.req.ready):
            m.d.sync += [lost.eq(0), Cat(self.aged).eq(0)]
        with m.Elif(lost == self._memory.aging - 1):
            m.d.sync += Cat(self.aged).eq(Cat(self.asks))
        with m.Else():
            m.d.sync += lost.eq(lost + 1)

    def _respond(self, m: Module, banks: Sequence[int]) -> None:
        request, response = self.port.req, self.port.rsp
        stages = self._memory.latency
        pending = Signal(stages)
        bank: list[Value] = [request.payload.bank]
        granted = request.valid & request.ready
        if self._requester.writes:
            granted &= ~request.payload.write
        m.d.sync += pending.eq(Cat(granted, pending))
        for stage in range(stages):
            following = Signal(range(self._memory.banks), name=f"bank_{stage}")
            with m.If(pending[stage - 1] if stage else request.valid):
                m.d.sync += following.eq(bank[-1])
            bank.append(following)

        # A module of its own: the words change all the time, the grants need not be seen again.
        m.submodules.response = select = Module()
        select.d.comb += response.valid.eq(pending[-1])
        with select.If(pending[-1]):
            with select.Switch(bank[-1]):
                for number, word in zip(banks, self.words, strict=True):
                    with select.Case(number):
                        select.d.comb += response.data.eq(word)
