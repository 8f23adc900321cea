"""What is wrong with a BD, if anything."""

from collections.abc import Iterator

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..bus.fault import FaultCode
from .descriptor import Descriptor
from .words import word_notes

__all__ = ["BdCheck"]


class BdCheck(wiring.Component):
    """Finds the first flaw of a BD, combinationally.

    In this order: the slot exists, the BD is valid, no field without hardware is set, and
    addresses, deltas, strides, iteration, locks, the addressing mode, the guards' dimensions and
    the route fit what is behind them. What shows in single words was noted when they were written.

    Parameters
    ----------
    descriptor
        The BD.

    Members
    -------
    slot : 8
        Where it was read.
    bd : `descriptor.layout`
    notes : :func:`~weft.hw.mover.words.word_notes`
    rebased : 1
        Its base is that of the task, not its own.
    base_fits : 1
        That of the task is an address.
    start_fits : 1
        If the base does, so does the address of the first row.
    flaw : :class:`~weft.hw.bus.fault.FaultCode`
    sound : 1
        There is none.
    """

    def __init__(self, *, descriptor: Descriptor) -> None:
        self._descriptor = descriptor
        super().__init__(
            {
                "slot": In(8),
                "bd": In(descriptor.layout),
                "notes": In(word_notes()),
                "rebased": In(1),
                "base_fits": In(1),
                "start_fits": In(1),
                "flaw": Out(FaultCode),
                "sound": Out(1),
            }
        )

    @property
    def descriptor(self) -> Descriptor:
        return self._descriptor

    def elaborate(self, platform: object) -> Module:
        m = Module()
        exists, in_range = Signal(), Signal()
        m.d.comb += [
            exists.eq(self.slot < self._descriptor.mover.descriptors),
            in_range.eq(Cat(*self._fit()).all()),
            self.sound.eq(exists & self.bd.valid & ~self.notes.absent & in_range),
        ]
        with m.If(~exists):
            m.d.comb += self.flaw.eq(FaultCode.NO_DESCRIPTOR)
        with m.Elif(~self.bd.valid):
            m.d.comb += self.flaw.eq(FaultCode.INVALID)
        with m.Elif(self.notes.absent):
            m.d.comb += self.flaw.eq(FaultCode.UNSUPPORTED)
        with m.Elif(~in_range):
            m.d.comb += self.flaw.eq(FaultCode.FIELD_RANGE)
        return m

    def _fit(self) -> Iterator[Value]:
        """For each field that is wider in the BD than what is behind it, whether it fits."""
        bd, mover, config = self.bd, self._descriptor.mover, self._descriptor.config
        yield Mux(self.rebased, self.base_fits, ~self.notes.base)
        yield self.start_fits
        yield ~bd.acquire_enable | (bd.acquire_id < config.locks)
        yield (bd.release_delta == 0) | (bd.release_id < config.locks)
        yield ~self.notes.range
        if mover.is_scratchpad:
            yield Cat(bd.mode == mode for mode in config.memory.modes(mover.reach)).any()
        if self._descriptor.has_route:
            yield self._route_fits()

    def _route_fits(self) -> Value:
        """Whether the route names others that there are."""
        mover, config, route = self._descriptor.mover, self._descriptor.config, self.bd.route
        sinks, sources = config.switch_sinks, config.switch_sources
        names_sinks = (route != 0) & ~route[len(sinks) :].any()
        names_source = route < len(sources)
        if not mover.compares:
            return names_sinks if mover.is_source else names_source
        return Mux(
            self.bd.extensions[mover.extensions.index("compare")],
            names_source & (route != sources.index(mover.name)),
            names_sinks & ~route[sinks.index(mover.name)],
        )
