"""The gateware of one page of registers."""

from collections.abc import Mapping, Sequence
from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .counters import Count, CounterBank
from .registers import Page, Register, RegisterBusSignature

__all__ = ["RegisterPage", "register_shape"]


def register_shape(register: Register) -> object:
    """`register` as a shape: plain 32 bits, or a layout of its fields at their places."""
    if [field.name for field in register.fields] == ["value"]:
        return unsigned(32)
    fields = {field.name: data.Field(field.width, field.low) for field in register.fields}
    return data.FlexibleLayout(32, fields)


def _mask(register: Register) -> int:
    """The bits of `register` that belong to a field."""
    return sum(((1 << field.width) - 1) << field.low for field in register.fields)


class RegisterPage(wiring.Component):
    """The registers of a :class:`~weft.hw.bus.registers.Page` as ports.

    A request in cycle t is an ``error`` in that cycle for an offset without a register, a write to
    ``ro``, a read of ``wo``, or a write to ``wo`` that sets a bit without a field; an error has no
    side effect. ``read_data`` follows in t+1, 0 with an error. ``rw`` and ``wo`` ports show a write
    from cycle t+1 on, so a block that acts on it in t+1 is seen by a request in cycle t+2 and not
    before.
    Registers are multiplexed only on a request: one that changes costs nothing until it is read.
    Counters may be kept here: a read of one gives what it came to up to the cycle of the request;
    for their sake there are no requests in two successive cycles.

    Parameters
    ----------
    page
        The registers.
    counts
        Those among them, ``ro``, that are counters of a :class:`~weft.hw.bus.counters.CounterBank`.

    Members
    -------
    bus : :class:`~weft.hw.bus.registers.RegisterBusSignature`
        ``offset`` is relative to the page.
    one or more for each register, named as it is in lower case and of :func:`register_shape` :
        ``ro``
            ``x`` : In, what a read gives.
        ``rw``
            ``x`` : Out, what was written last; bits without a field stay 0, initially all do.
        ``wo``
            ``x`` : Out {valid, data}; ``valid`` is one cycle a write.
        ``w1c``
            ``x`` : Out, the bits that stand. ``x_set``, ``x_clear`` : In, bits to raise and to
            lower; lowering wins over raising, and raising over a one written by the host.
        ``w1s``
            ``x`` : Out, the bits that stand. ``x_clear`` : In, bits to lower; a one written by the
            host wins.
        of `counts`
            ``x_add``, ``x_clear`` : In, what it grows by in this cycle, and that it is 0.
    """

    def __init__(self, *, page: Page, counts: Mapping[str, Count] | None = None) -> None:
        self._page = page
        self._counts = dict(counts or {})
        names = [register.name.lower() for register in page.registers]
        members = self.ports(page, [name for name in names if name not in self._counts])
        for name, count in self._counts.items():
            members[f"{name}_add"] = In(range(count.most + 1))
            members[f"{name}_clear"] = In(1)
        super().__init__({"bus": In(RegisterBusSignature()), **members})

    @staticmethod
    def ports(page: Page, names: Sequence[str]) -> dict[str, Any]:
        """The members for the registers `names` of `page`, in lower case."""
        members: dict[str, Any] = {}
        for name in names:
            register = page.register(name.upper())
            shape = register_shape(register)
            match register.access:
                case "ro":
                    members[name] = In(shape)
                case "rw":
                    members[name] = Out(shape)
                case "wo":
                    members[name] = Out(data.StructLayout({"valid": 1, "data": shape}))
                case "w1c":
                    members[name] = Out(shape)
                    members[f"{name}_set"] = In(shape)
                    members[f"{name}_clear"] = In(shape)
                case "w1s":
                    members[name] = Out(shape)
                    members[f"{name}_clear"] = In(shape)
        return members

    @property
    def page(self) -> Page:
        return self._page

    @property
    def counts(self) -> dict[str, Count]:
        return dict(self._counts)

    def _port(self, register: Register, suffix: str = "") -> Value:
        return Value.cast(getattr(self, register.name.lower() + suffix))

    def _following(self, register: Register, standing: Value) -> Value:
        """The next state of a ``w1c`` register of which `standing` remains."""
        raised = self._port(register, "_set") & _mask(register)
        return (standing | raised) & ~self._port(register, "_clear")

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus = self.bus
        read_data = self._elaborate_counters(m) if self._counts else bus.read_data
        allowed = Signal()
        m.d.comb += bus.error.eq(bus.request & ~allowed)
        for register in self._page.registers:
            if register.access == "wo":
                m.d.sync += getattr(self, register.name.lower()).valid.eq(0)
            if register.access == "w1c":
                state = self._port(register)
                m.d.sync += state.eq(self._following(register, state))
            if register.access == "w1s":
                state = self._port(register)
                m.d.sync += state.eq(state & ~self._port(register, "_clear"))

        with m.If(bus.request):
            m.d.sync += read_data.eq(0)
            with m.Switch(bus.offset):
                for register in self._page.registers:
                    with m.Case(register.offset):
                        if register.name.lower() in self._counts:
                            m.d.comb += allowed.eq(~bus.write)
                        elif register.access != "wo":
                            with m.If(~bus.write):
                                m.d.comb += allowed.eq(1)
                                m.d.sync += read_data.eq(self._port(register))
                        if register.access == "rw":
                            with m.If(bus.write):
                                m.d.comb += allowed.eq(1)
                                m.d.sync += self._port(register).eq(
                                    bus.write_data & _mask(register)
                                )
                        if register.access == "wo":
                            event = getattr(self, register.name.lower())
                            unknown = bus.write_data & ~_mask(register) & 0xFFFFFFFF
                            with m.If(bus.write & ~unknown.any()):
                                m.d.comb += allowed.eq(1)
                                m.d.sync += [event.valid.eq(1), event.data.eq(bus.write_data)]
                        if register.access == "w1c":
                            with m.If(bus.write):
                                state = self._port(register)
                                left = state & ~bus.write_data
                                m.d.comb += allowed.eq(1)
                                m.d.sync += state.eq(self._following(register, left))
                        if register.access == "w1s":
                            with m.If(bus.write):
                                state = self._port(register)
                                left = state & ~self._port(register, "_clear")
                                m.d.comb += allowed.eq(1)
                                m.d.sync += state.eq(left | (bus.write_data & _mask(register)))
        return m

    def _elaborate_counters(self, m: Module) -> Signal:
        """Add the counters, and answer with them; where the other registers are to be read to."""
        bus, read_data, counted = self.bus, Signal(32), Signal()
        m.submodules.counters = bank = CounterBank(counts=self._counts)
        for number, name in enumerate(self._counts):
            m.d.comb += [
                bank.add[name].eq(getattr(self, f"{name}_add")),
                bank.clear[name].eq(getattr(self, f"{name}_clear")),
            ]
            offset = self._page.register(name.upper()).offset
            with m.If(bus.request & ~bus.write & (bus.offset == offset)):
                m.d.comb += [bank.look.eq(1), bank.which.eq(number)]
        m.d.sync += counted.eq(bank.look)
        m.d.comb += bus.read_data.eq(Mux(counted, bank.value, read_data))
        return read_data
