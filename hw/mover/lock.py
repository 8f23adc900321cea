"""One lock: a number that stays between its limits."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["LOCK_DELTA_BITS", "LOCK_VALUE_BITS", "Lock"]

LOCK_VALUE_BITS = 6
LOCK_DELTA_BITS = LOCK_VALUE_BITS + 1


class Lock(wiring.Component):
    """A value of 0 to 63, 0 after reset.

    In a cycle something is taken off it, then something is added to what is left, or takes its
    place; `value` shows both in the next cycle. Nothing wraps: nobody takes more than there is, and
    a sum that would leave 0 to 63 is not made.

    Members
    -------
    takes : 1
        ``taken`` is taken off.
    taken : 6
        At most `value`.
    changes, sets : 1
        ``amount`` is added; with ``sets`` it is the new value.
    amount : signed 7
        Not below 0 with ``sets``.
    value : 6
    below, beyond : 1
        The sum of the cycle before would have been less than 0, or more than 63; registers.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "takes": In(1),
                "taken": In(LOCK_VALUE_BITS),
                "changes": In(1),
                "sets": In(1),
                "amount": In(signed(LOCK_DELTA_BITS)),
                "value": Out(LOCK_VALUE_BITS),
                "below": Out(1),
                "beyond": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        left, total = Signal(LOCK_VALUE_BITS), Signal(signed(LOCK_DELTA_BITS + 1))
        m.d.comb += [
            left.eq(Mux(self.takes, self.value - self.taken, self.value)),
            total.eq(Mux(self.sets, 0, left) + self.amount),
        ]
        is_large, is_negative = total[LOCK_VALUE_BITS:]
        m.d.sync += [
            self.value.eq(Mux(self.changes & ~is_large & ~is_negative, total, left)),
            self.below.eq(self.changes & is_negative),
            self.beyond.eq(self.changes & is_large & ~is_negative),
        ]
        return m
