"""The host's hand on the locks: what stands behind the LOCK registers."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.page import register_shape
from ..bus.registers import LOCKS_A_REGISTER, Page
from ..config import MAX_LOCKS
from .locks import LOCK_VALUE_BITS, LockClientSignature, lock_set

__all__ = ["LockHost"]

TRY_CYCLES = 8
"""Of a try: an urgent client whose lock can be acquired waits for the bank to look at it, for one
other client at most, and a cycle more for a lock that has just changed."""


class LockHost(wiring.Component):
    """Sets, releases and tries to acquire locks as the host's registers say.

    A set or a release that is written in cycle t is offered to the bank from t+1 on, and accepted
    before the host can write the next: the host is an urgent client of the bank. A try is over when
    it is granted, or after 8 cycles, in which its request is withdrawn. LOCK_RESULT.done is low
    meanwhile, and ``granted`` is that of the last try.

    Parameters
    ----------
    page
        The system's page.
    locks
        Their number.

    Members
    -------
    lock_set, lock_release, lock_acquire : {valid, data}
        Writes of the registers of these names.
    lock_result, lock_errors, locks_0 ... : the registers of these names
    client : :class:`~weft.hw.mover.locks.LockClientSignature`
    set : stream of :func:`~weft.hw.mover.locks.lock_set`
    values : array of 6 bits
    overflow, underflow : a bit for each lock
    unknown : 1
        From the bank.
    """

    def __init__(self, *, page: Page, locks: int) -> None:
        self._page = page
        self._locks = locks
        self._events = ("lock_set", "lock_release", "lock_acquire")
        self._states = [
            register.name.lower()
            for register in page.registers
            if register.name.startswith(("LOCKS_", "LOCK_ERRORS", "LOCK_RESULT"))
        ]
        members = {
            name: In(data.StructLayout({"valid": 1, "data": self._shape(name)}))
            for name in self._events
        }
        members |= {name: Out(self._shape(name)) for name in self._states}
        super().__init__(
            members
            | {
                "client": Out(LockClientSignature()),
                "set": Out(stream.Signature(lock_set())),
                "values": In(data.ArrayLayout(LOCK_VALUE_BITS, locks)),
                "overflow": In(locks),
                "underflow": In(locks),
                "unknown": In(1),
            }
        )

    def _shape(self, name: str) -> object:
        return register_shape(self._page.register(name.upper()))

    @property
    def registers(self) -> list[str]:
        """Names of the registers that it serves."""
        return [*self._events, *self._states]

    @property
    def page(self) -> Page:
        return self._page

    @property
    def locks(self) -> int:
        return self._locks

    def elaborate(self, platform: object) -> Module:
        m = Module()
        client, left = self.client, Signal(range(TRY_CYCLES + 1))
        acquire = client.acquire
        for event, offered in (
            (self.lock_set, self.set),
            (self.lock_release, client.release),
            (self.lock_acquire, acquire),
        ):
            with m.If(offered.ready):
                m.d.sync += offered.valid.eq(0)
            with m.If(event.valid):
                m.d.sync += offered.valid.eq(event is not self.lock_acquire)
                m.d.sync += [
                    offered.payload[name].eq(event.data[name])
                    for name, _ in offered.payload.shape()
                ]
        with m.If(self.lock_acquire.valid):
            m.d.sync += [left.eq(TRY_CYCLES), self.lock_result.granted.eq(0)]
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
            with m.If(left == TRY_CYCLES):  # the payload stands
                m.d.sync += acquire.valid.eq(1)
            with m.If(acquire.valid & acquire.ready):
                m.d.sync += [self.lock_result.granted.eq(1), left.eq(0)]
            with m.If(left == 1):
                m.d.sync += acquire.valid.eq(0)
        m.d.comb += [
            self.lock_result.done.eq(left == 0),
            self.lock_errors.locks.eq(self.overflow | self.underflow),
        ]
        if self._locks < MAX_LOCKS:
            m.d.comb += self.lock_errors.unknown.eq(self.unknown)
        for lock in range(self._locks):
            register = getattr(self, f"locks_{lock // LOCKS_A_REGISTER}")
            m.d.comb += register[f"lock{lock}"].eq(self.values[lock])
        return m
