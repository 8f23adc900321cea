"""What a memory port tells its core to count."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..mover.port import activity

__all__ = ["Meter"]


class Meter(wiring.Component):
    """Sums up the channels of a port for :func:`~weft.hw.mover.port.activity`.

    `valid` and `ready` are those of the data stream in this cycle; ``conflict``, ``accesses`` and
    ``written`` are one cycle late: the channels tell of their grants a cycle after the fact, and
    that one has lost is a register here. It is apart from the port so that a simulator counts only
    when a flag has changed.

    Parameters
    ----------
    channels
        At most 255.
    writes
        Whether the accesses are writes.

    Members
    -------
    valid, ready : 1
    granted, lost : 1 for each channel
        The channel's request was granted in the cycle before; is offered and not granted in this.
    o : :func:`~weft.hw.mover.port.activity`
    """

    def __init__(self, *, channels: int, writes: bool) -> None:
        self._channels = channels
        self._writes = writes
        super().__init__(
            {
                "valid": In(1),
                "ready": In(1),
                "granted": In(1).array(channels),
                "lost": In(1).array(channels),
                "o": Out(activity()),
            }
        )

    @property
    def channels(self) -> int:
        return self._channels

    @property
    def writes(self) -> bool:
        return self._writes

    def elaborate(self, platform: object) -> Module:
        m = Module()
        granted = Cat(self.granted)
        # Assigned whole: an output with constant bits and conditional ones is emitted as a process
        # that nothing ever starts.
        accesses, conflict = Signal(range(self._channels + 1)), Signal()
        m.d.sync += conflict.eq(Cat(self.lost).any())
        m.d.comb += [
            self.o.accesses.eq(accesses),
            self.o.valid.eq(self.valid),
            self.o.ready.eq(self.ready),
            self.o.conflict.eq(conflict),
            self.o.written.eq(granted.any() if self._writes else 0),
        ]
        with m.If(granted.any()):
            m.d.comb += accesses.eq(sum(self.granted))
        return m
