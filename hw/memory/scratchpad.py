"""The banked scratchpad behind its crossbar."""

from collections.abc import Sequence

from amaranth.hdl import Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..bus.tcdm import MemoryPortSignature
from ..bus.wires import adopt
from ..config import MemoryConfig
from ..errors import ConfigError
from .bank import Bank
from .link import Link
from .requester import Requester

__all__ = ["Scratchpad"]

COUNT_BITS = 32


class Scratchpad(wiring.Component):
    """Banks of words that many requesters share, one access a bank and cycle.

    Every bank arbitrates for itself among the requesters that reach it: the high-priority class
    first, in a circle within a class (:class:`~weft.hw.memory.bank.Bank`). A low-priority request
    that has lost ``memory.aging`` cycles in a row stands in the high class until it is served. A
    request that loses waits; none is dropped. With n requesters that reach a bank

    - a high-priority request for it loses at most n - 1 cycles,
    - a low-priority one at most ``memory.aging`` + n - 1.

    With ``memory.fill_priority`` and the input of that name, the urgent of a class go before its
    others (:class:`~weft.hw.bus.tcdm.MemoryPortSignature`). Any request that has aged is urgent, so
    the bound is then ``memory.aging`` + n - 1 for all.

    ``req.ready`` is the grant, in the cycle of the request, whatever the stages. A read answers
    ``memory.latency`` cycles after its grant, in order. Accesses to a bank happen in the order of
    their grants; a byte of a write is stored where its strobe is set.

    A requester must not present a bank that it does not reach: nobody listens to it there, and such
    a request would never be granted. The contents are 0 at power-up and survive a reset.

    Parent and neighbours share the ports (:func:`~weft.hw.bus.wires.adopt`) rather than connect
    them: ``adopt(scratchpad, "ports", [wiring.flipped(port) for port in ...])``.

    Parameters
    ----------
    memory
        Banks, rows, word width, stages of the crossbar.
    requesters
        One for each port.

    Members
    -------
    ports : :class:`~weft.hw.bus.tcdm.MemoryPortSignature` for each requester
    fill_priority : 1; only with ``memory.fill_priority``
        Whether urgency counts. It may change at any time.
    clear_counters : 1; only with ``memory.bank_counters``
        The counts are 0 in the next cycle.
    bank_conflicts : COUNT_BITS for each bank; only with ``memory.bank_counters``
        Cycles in which a request for the bank was not granted, modulo 2**COUNT_BITS; two cycles
        after the fact.

    Raises
    ------
    ConfigError
        There is no requester, one's reach exceeds the banks, or a bank is reached by none.

    Source: DataMaestro, section III-A; the reach per port as in its public hardware.
    """

    def __init__(self, *, memory: MemoryConfig, requesters: Sequence[Requester]) -> None:
        self._memory = memory
        self._requesters = tuple(requesters)
        for requester in self._requesters:
            if requester.reach > memory.banks:
                raise ConfigError(
                    "requester.reach", requester.reach, f"exceeds memory.banks = {memory.banks}"
                )
        for bank in range(memory.banks):
            if not any(requester.reaches(bank) for requester in self._requesters):
                raise ConfigError("memory.banks", memory.banks, f"no requester reaches bank {bank}")
        members = {"ports": In(MemoryPortSignature(memory)).array(len(self._requesters))}
        if memory.fill_priority:
            members["fill_priority"] = In(1)
        if memory.bank_counters:
            members |= {
                "clear_counters": In(1),
                "bank_conflicts": Out(COUNT_BITS).array(memory.banks),
            }
        super().__init__(members)

    @property
    def memory(self) -> MemoryConfig:
        return self._memory

    @property
    def requesters(self) -> tuple[Requester, ...]:
        return self._requesters

    def elaborate(self, platform: object) -> Module:
        m = Module()
        memory, requesters = self._memory, self._requesters
        reaching = [
            [number for number, requester in enumerate(requesters) if requester.reaches(bank)]
            for bank in range(memory.banks)
        ]
        seats = max(len(numbers) for numbers in reaching)
        banks = [
            Bank(
                memory=memory,
                requesters=[requesters[number] for number in numbers],
                seats=seats,
            )
            for numbers in reaching
        ]
        links = []
        asks: list[list[Value]] = [[] for _ in banks]
        aged: list[list[Value]] = [[] for _ in banks]
        for number, requester in enumerate(requesters):
            reached = list(requester.banks(memory))
            link = Link(
                memory=memory,
                requester=requester,
                places=[reaching[bank].index(number) for bank in reached],
                seats=seats,
            )
            adopt(link, "port", self.ports[number])
            adopt(link, "grants", [banks[bank].grant for bank in reached])
            adopt(link, "words", [banks[bank].word for bank in reached])
            if memory.fill_priority:
                adopt(link, "fill_priority", self.fill_priority)
            m.submodules[f"link_{number}"] = link
            links.append(link)
            for place, bank in enumerate(reached):
                asks[bank].append(link.asks[place])
                aged[bank].append(link.aged[place])
        for number, (bank, numbers) in enumerate(zip(banks, reaching, strict=True)):
            seated = [links[requester] for requester in numbers]
            adopt(bank, "asks", asks[number])
            taken = [link.taken if memory.looks_ahead else link.port.req.payload for link in seated]
            adopt(bank, "request", taken)
            adopt(bank, "aged", aged[number])
            if memory.fill_priority:
                adopt(bank, "urgent", [link.urgent for link in seated])
            m.submodules[f"bank_{number}"] = bank
        if memory.bank_counters:
            m.submodules.counters = counters = Module()
            for bank, count in zip(banks, self.bank_conflicts, strict=True):
                with counters.If(self.clear_counters):
                    counters.d.sync += count.eq(0)
                with counters.Elif(bank.conflict):
                    counters.d.sync += count.eq(count + 1)
        return m
