"""What a BD says to all of its rows."""

from amaranth.hdl import Cat, Module, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..agu.row import temporal_row
from .descriptor import Descriptor
from .port import PortSignature

__all__ = ["RowSettings", "row_fields"]

_OF_A_GUARD = {
    "limits": "limit",
    "runs": "run",
    "coefficients": "coefficient",
    "dimensions": "dimension",
}
"""Settings that have a field of each guard."""


def row_fields(descriptor: Descriptor) -> frozenset[str]:
    """Names of the fields of a BD that its rows alone need."""
    names = descriptor.settings.members.keys() - descriptor.loaded_settings.members.keys()
    # A guard's dimension may have no bit there, and stands in the same word.
    guard = {f"guards.{field}" for field in _OF_A_GUARD.values()}
    return frozenset(names - _OF_A_GUARD.keys() | guard)


class RowSettings(wiring.Component):
    """Adds to every row those settings of its BD that nobody needs before. Combinational.

    They are read from the slot of the BD whose rows these are, so no register has them.

    Parameters
    ----------
    descriptor
        The BD.

    Members
    -------
    running : `descriptor.layout`
        Of the BD whose rows come: its :func:`row_fields`.
    i : stream of :func:`~weft.hw.agu.row.temporal_row` with `descriptor.loaded_settings`
    o : stream of the same with `descriptor.settings`
    """

    def __init__(self, *, descriptor: Descriptor) -> None:
        self._descriptor = descriptor
        mover = descriptor.mover
        row = temporal_row(descriptor.address_bits, mover.guards, descriptor.loaded_settings)
        super().__init__(
            {
                "running": In(descriptor.layout),
                "i": In(stream.Signature(row)),
                "o": Out(stream.Signature(PortSignature(descriptor).row)),
            }
        )

    @property
    def descriptor(self) -> Descriptor:
        return self._descriptor

    def elaborate(self, platform: object) -> Module:
        m = Module()
        given, row = self.i.payload, self.o.payload
        # Written whole, in the order of its fields.
        settings = Cat(self._setting(name) for name, _ in self._descriptor.settings)
        parts = [
            settings if name == "settings" else Value.cast(given[name]) for name, _ in row.shape()
        ]
        m.d.comb += [
            row.eq(Cat(parts)),
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready),
        ]
        return m

    def _setting(self, name: str) -> Value:
        """The bits of one of the settings."""
        if name in self._descriptor.loaded_settings.members:
            return Value.cast(self.i.payload.settings[name])
        if name in _OF_A_GUARD:
            guards = range(self._descriptor.mover.guards)
            said = [self.running.guards[index][_OF_A_GUARD[name]] for index in guards]
        elif name == "spatial_strides":
            said = list(self.running.spatial_strides)
        else:
            said = [self.running[name]]
        width = self._descriptor.settings[name].width // len(said)
        return Cat(Value.cast(each)[:width] for each in said)
