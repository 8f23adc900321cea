"""Counting semaphores shared by all movers, the sequencer and the host."""

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.fault import FaultCode, lock_fault
from ..bus.turns import Turns
from ..config import MAX_LOCKS
from ..errors import ConfigError

__all__ = [
    "LOCK_DELTA_BITS",
    "LOCK_ID_BITS",
    "LOCK_VALUE_BITS",
    "LockBank",
    "LockClientSignature",
    "lock_acquire",
    "lock_release",
    "lock_set",
]

LOCK_ID_BITS = (MAX_LOCKS - 1).bit_length()
LOCK_VALUE_BITS = 6
LOCK_DELTA_BITS = LOCK_VALUE_BITS + 1


def lock_acquire() -> data.StructLayout:
    """Waits until lock ``id`` is at least ``value`` and takes that much off it; with ``equal``
    waits until it is ``value`` and leaves it."""
    return data.StructLayout({"id": LOCK_ID_BITS, "value": LOCK_VALUE_BITS, "equal": 1})


def lock_release() -> data.StructLayout:
    """Adds ``delta`` to lock ``id``."""
    return data.StructLayout({"id": LOCK_ID_BITS, "delta": signed(LOCK_DELTA_BITS)})


def lock_set() -> data.StructLayout:
    """Makes lock ``id`` be ``value``."""
    return data.StructLayout({"id": LOCK_ID_BITS, "value": LOCK_VALUE_BITS})


class LockClientSignature(wiring.Signature):
    """The locks as one of their clients sees them.

    Members
    -------
    acquire : stream of :func:`lock_acquire`
        Accepted when it is granted, in the cycle in which it is raised if it can be.
    release : stream of :func:`lock_release`
        Accepted after a bounded wait, whatever the locks' values.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "acquire": Out(stream.Signature(lock_acquire())),
                "release": Out(stream.Signature(lock_release())),
            }
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LockClientSignature)

    def __repr__(self) -> str:
        return "LockClientSignature()"


class LockBank(wiring.Component):
    """Locks of 0 to 63, all 0 after reset.

    In a cycle one acquire is granted and one release, or one ``set`` in its place, is executed, in
    this order, and the values show it in the next. The acquire is one of those that the present
    values satisfy, the release one of those offered, each in a circle: a client that can be served
    waits for one service of every other client at most, and a release for the sets besides. An
    urgent client goes before the others, but not twice in a row while one of them asks. A client
    that waits for its lock keeps nobody from anything. Every ready is combinational from registers
    and the clients' valids and payloads.

    A release that would leave 0 to 63 is accepted and changes nothing, nor does a release or a
    ``set`` of a lock that does not exist; it is remembered in ``overflow``, ``underflow`` or
    ``unknown`` until reset, and ``fault`` tells it in the next cycle. An acquire of a lock that
    does not exist is never granted.

    Parameters
    ----------
    locks
        1 to 32.
    clients
        At least 1.
    urgent
        Indices of the urgent ones.

    Members
    -------
    clients : array of :class:`LockClientSignature`
    set : stream of :func:`lock_set`
        Always accepted.
    values : array of 6 bits
    overflow, underflow : a bit for each lock
        Sticky.
    unknown : 1
        Sticky.
    fault : {valid, client 8, code 8, lock 8}
        ``valid`` is a pulse; what it was, of which lock and of whom; `clients` for ``set``.

    Raises
    ------
    ConfigError
        `locks` is out of its range.

    Source: the locks of AMD's AI Engine ML (AM020), whose counters wrap where these refuse.
    """

    def __init__(self, *, locks: int, clients: int, urgent: Sequence[int] = ()) -> None:
        if not 1 <= locks <= MAX_LOCKS:
            raise ConfigError("locks", locks, f"must be from 1 to {MAX_LOCKS}")
        self._locks = locks
        self._urgent = tuple(urgent)
        super().__init__(
            {
                "clients": In(LockClientSignature()).array(clients),
                "set": In(stream.Signature(lock_set())),
                "values": Out(data.ArrayLayout(LOCK_VALUE_BITS, locks)),
                "overflow": Out(locks),
                "underflow": Out(locks),
                "unknown": Out(1),
                "fault": Out(lock_fault()),
            }
        )

    @property
    def locks(self) -> int:
        return self._locks

    @property
    def urgent(self) -> tuple[int, ...]:
        return self._urgent

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count = len(self.clients)
        priorities = [index in self._urgent for index in range(count)]
        m.submodules.acquiring = acquiring = Turns(priorities=priorities, aging=1)
        m.submodules.releasing = releasing = Turns(priorities=priorities, aging=1)

        # An acquire: who can be served, and what that takes off its lock.
        taken = Signal(lock_set())
        m.d.comb += acquiring.taken.eq(1)
        for index, client in enumerate(self.clients):
            asked, now = client.acquire.payload, Signal(LOCK_VALUE_BITS, name=f"seen_{index}")
            m.d.comb += now.eq(self.values[asked.id])
            meets = Mux(asked.equal, now == asked.value, now >= asked.value)
            m.d.comb += [
                acquiring.asking[index].eq(client.acquire.valid & meets & self._exists(asked.id)),
                client.acquire.ready.eq(acquiring.grant[index]),
                releasing.asking[index].eq(client.release.valid),
                client.release.ready.eq(releasing.grant[index] & ~self.set.valid),
            ]
        added, who = Signal(lock_release()), Signal(8)
        with m.Switch(acquiring.grant):
            for index, client in enumerate(self.clients):
                with m.Case(1 << index):
                    asked = client.acquire.payload
                    m.d.comb += [
                        taken.id.eq(asked.id),
                        taken.value.eq(Mux(asked.equal, 0, asked.value)),
                    ]
        with m.Switch(releasing.grant):
            for index, client in enumerate(self.clients):
                with m.Case(1 << index):
                    m.d.comb += [added.eq(client.release.payload), who.eq(index)]
        m.d.comb += [releasing.taken.eq(~self.set.valid), self.set.ready.eq(1)]

        # A release, after the acquire; or a set.
        releases, sets = Signal(), self.set.valid
        place, before, total = Signal(LOCK_ID_BITS), Signal(LOCK_VALUE_BITS), Signal(signed(9))
        exists, fits = Signal(), Signal()
        m.d.comb += [
            releases.eq(releasing.asking.any() & ~sets),
            place.eq(Mux(sets, self.set.payload.id, added.id)),
            exists.eq(self._exists(place)),
            before.eq(self.values[place]),
            total.eq(before - Mux(taken.id == place, taken.value, 0) + added.delta),
            fits.eq(sets | ~total[LOCK_VALUE_BITS:].any()),
        ]
        after = Mux(sets, self.set.payload.value, total[:LOCK_VALUE_BITS])
        writes = (releases | sets) & fits
        for lock in range(self._locks):
            with m.If(writes & (place == lock)):
                m.d.sync += self.values[lock].eq(after)
            with m.Elif(acquiring.grant.any() & (taken.id == lock)):
                m.d.sync += self.values[lock].eq(self.values[lock] - taken.value)

        refused = (releases | sets) & (~exists | ~fits)
        m.d.sync += self.fault.valid.eq(refused)
        with m.If(refused):
            m.d.sync += [self.fault.lock.eq(place), self.fault.client.eq(Mux(sets, count, who))]
            with m.If(~exists):
                m.d.sync += [self.unknown.eq(1), self.fault.code.eq(FaultCode.LOCK_UNKNOWN)]
            with m.Elif(total < 0):
                m.d.sync += [
                    self.underflow.eq(self.underflow | 1 << place),
                    self.fault.code.eq(FaultCode.LOCK_UNDERFLOW),
                ]
            with m.Else():
                m.d.sync += [
                    self.overflow.eq(self.overflow | 1 << place),
                    self.fault.code.eq(FaultCode.LOCK_OVERFLOW),
                ]
        return m

    def _exists(self, lock: Value) -> Value:
        return lock < self._locks
