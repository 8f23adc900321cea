"""Counting semaphores shared by all movers, the sequencer and the host."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.fault import FaultCode, lock_fault
from ..bus.turns import Turns, chosen
from ..config import MAX_LOCKS
from ..errors import ConfigError
from .lock import LOCK_DELTA_BITS, LOCK_VALUE_BITS, Lock

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


def lock_change() -> data.StructLayout:
    """A release that was accepted, or with ``sets`` a set; whether it ``lowers``, and whose."""
    return data.StructLayout(
        {
            "valid": 1,
            "sets": 1,
            "lowers": 1,
            "id": LOCK_ID_BITS,
            "amount": signed(LOCK_DELTA_BITS),
            "client": 8,
        }
    )


def lock_taken() -> data.StructLayout:
    """An acquire that was granted and takes ``value``."""
    return data.StructLayout({"valid": 1, "id": LOCK_ID_BITS, "value": LOCK_VALUE_BITS})


class LockClientSignature(wiring.Signature):
    """The locks as one of their clients sees them.

    Members
    -------
    acquire : stream of :func:`lock_acquire`
        Accepted when it is granted, in the cycle in which it is raised if it can be. The payload
        stands from the cycle before ``valid`` on: the bank looks at it there.
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

    In a cycle one acquire is granted and one release accepted, or one ``set`` in its place. They
    are executed in the next cycle, the acquire first, and `values` show it in the one after.

    *Acquires.* Whether a lock satisfies an acquire is looked up in the cycle before. Of those who
    were found satisfied the next in a circle is granted, unless its lock is lowered by an execution
    of this cycle or of the one before, which the look could not know: then nobody is, and it
    remains the next. Hence a release that is accepted in cycle t lets a waiting client go on in
    t+3; those who share a lock take from it every third cycle; a client that waits for its lock
    keeps nobody from anything; and one whose lock satisfies it waits for one acquire of every other
    client at most, and for two cycles more each time that the lock of the next one is lowered.

    *Releases.* The next in a circle of those who offer one, unless there is a ``set``.

    An urgent client goes before the others, but not twice in a row while one of them asks. Every
    ready is combinational from registers and the clients' valids and payloads.

    A release that would leave 0 to 63 is accepted and changes nothing, nor does a release or a
    ``set`` of a lock that does not exist; ``fault`` tells it in the cycle after its execution, and
    ``overflow``, ``underflow`` or ``unknown`` from the next one on until reset. An acquire of a
    lock that does not exist is never granted.

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
        taken, change = Signal(lock_taken()), Signal(lock_change())
        self._grant(m, taken, change)
        self._accept(m, change)
        self._execute(m, taken, change)
        return m

    def _turns(self) -> Turns:
        return Turns(
            priorities=[index in self._urgent for index in range(len(self.clients))], aging=1
        )

    def _grant(self, m: Module, taken: Any, change: Any) -> None:
        """Of the acquires that the look of the cycle before has found satisfied, grant one."""
        m.submodules.acquiring = acquiring = self._turns()
        asked = [client.acquire.payload for client in self.clients]
        granted = Signal(len(asked))
        calm, was_calm = Signal(len(asked)), Signal(len(asked))
        for index, (client, want) in enumerate(zip(self.clients, asked, strict=True)):
            enough, exact = Signal(name=f"enough_{index}"), Signal(name=f"exact_{index}")
            rest = Signal(signed(LOCK_VALUE_BITS + 1), name=f"rest_{index}")
            falls = (taken.valid & (taken.id == want.id)) | (change.lowers & (change.id == want.id))
            found = enough & (exact | ~want.equal)
            m.d.comb += [
                rest.eq(self.values[want.id] - want.value),
                calm[index].eq(~falls),
                acquiring.asking[index].eq(client.acquire.valid & found),
                client.acquire.ready.eq(granted[index]),
            ]
            m.d.sync += [
                enough.eq((rest >= 0) & self._exists(want.id)),
                exact.eq(rest == 0),
            ]
        takes = Cat(~want.equal for want in asked)
        m.d.comb += [
            granted.eq(acquiring.grant & calm & was_calm),
            acquiring.taken.eq(granted.any()),
        ]
        m.d.sync += [
            was_calm.eq(calm),
            taken.valid.eq((granted & takes).any()),
            taken.id.eq(chosen(acquiring.grant, [want.id for want in asked])),
            taken.value.eq(chosen(acquiring.grant, [want.value for want in asked])),
        ]

    def _accept(self, m: Module, change: Any) -> None:
        """Accept a release, or a set."""
        m.submodules.releasing = releasing = self._turns()
        offers = [client.release for client in self.clients]
        for index, offer in enumerate(offers):
            m.d.comb += [
                releasing.asking[index].eq(offer.valid),
                offer.ready.eq(releasing.grant[index] & ~self.set.valid),
            ]
        m.d.comb += [releasing.taken.eq(~self.set.valid), self.set.ready.eq(1)]
        given = [offer.payload for offer in offers]
        falls = chosen(releasing.grant, [offer.delta < 0 for offer in given])
        m.d.sync += [
            change.valid.eq(releasing.asking.any() | self.set.valid),
            change.sets.eq(self.set.valid),
            change.lowers.eq(falls | self.set.valid),
            change.id.eq(chosen(releasing.grant, [offer.id for offer in given])),
            change.amount.eq(chosen(releasing.grant, [offer.delta for offer in given])),
            change.client.eq(chosen(releasing.grant, [Const(i) for i in range(len(given))])),
        ]
        with m.If(self.set.valid):
            m.d.sync += [
                change.id.eq(self.set.payload.id),
                change.amount.eq(self.set.payload.value),
                change.client.eq(len(given)),
            ]

    def _execute(self, m: Module, taken: Any, change: Any) -> None:
        """Take from one lock; then add to one, or set it."""
        below, beyond = Signal(self._locks), Signal(self._locks)
        for index in range(self._locks):
            m.submodules[f"lock_{index}"] = lock = Lock()
            m.d.comb += [
                lock.takes.eq(taken.valid & (taken.id == index)),
                lock.taken.eq(taken.value),
                lock.changes.eq(change.valid & (change.id == index)),
                lock.sets.eq(change.sets),
                lock.amount.eq(change.amount),
                self.values[index].eq(lock.value),
                below[index].eq(lock.below),
                beyond[index].eq(lock.beyond),
            ]
        unknown = Signal()
        m.d.sync += [
            unknown.eq(change.valid & ~self._exists(change.id)),
            self.fault.lock.eq(change.id),
            self.fault.client.eq(change.client),
            self.underflow.eq(self.underflow | below),
            self.overflow.eq(self.overflow | beyond),
            self.unknown.eq(self.unknown | unknown),
        ]
        m.d.comb += self.fault.valid.eq(below.any() | beyond.any() | unknown)
        with m.If(unknown):
            m.d.comb += self.fault.code.eq(FaultCode.LOCK_UNKNOWN)
        with m.Elif(below.any()):
            m.d.comb += self.fault.code.eq(FaultCode.LOCK_UNDERFLOW)
        with m.Elif(beyond.any()):
            m.d.comb += self.fault.code.eq(FaultCode.LOCK_OVERFLOW)

    def _exists(self, lock: Value) -> Value:
        return lock < self._locks
