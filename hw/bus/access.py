"""Register accesses from more than one master to the register pages."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .registers import DESCRIPTOR_STORE, PAGE_BYTES, RegisterBusSignature, RegisterMap

__all__ = ["PageDecoder", "RegisterAccessSignature", "register_access"]


def register_access(address_bits: int) -> data.StructLayout:
    """A register access: byte ``address``, ``write``, and the ``data`` to write."""
    return data.StructLayout({"address": address_bits, "write": 1, "data": 32})


class RegisterAccessSignature(wiring.Signature):
    """The register pages as a master sees them.

    A request handed over in cycle t is answered in t+1, always: ``error``, and the ``data`` read,
    which count in that cycle alone.

    Parameters
    ----------
    address_bits
        Width of a byte address.

    Members
    -------
    request : stream of :func:`register_access`
    answer : {error, data 32}
    """

    def __init__(self, *, address_bits: int) -> None:
        self.address_bits = address_bits
        super().__init__(
            {
                "request": Out(stream.Signature(register_access(address_bits))),
                "answer": In(data.StructLayout({"error": 1, "data": 32})),
            }
        )

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, RegisterAccessSignature) and other.address_bits == self.address_bits
        )

    def __repr__(self) -> str:
        return f"RegisterAccessSignature(address_bits={self.address_bits})"


class PageDecoder(wiring.Component):
    """Gives every access to its page, one at a time.

    A request is handed to its page in the cycle in which it is accepted, and the page's answer goes
    back in the next. In that one no request is accepted: what a register does shows a cycle after
    its write, and whoever comes next shall find it done. A write to a descriptor store does
    nothing but be there, so another request may follow it at once::

        cycle      t      t+1    t+2    t+3    t+4    t+5
        request    slot   slot   slot   reg    -      slot
        answer            slot   slot   slot   reg

    Of several masters that ask at once the first is served, but it gives way when the access before
    was its own and no cycle has been free since: the first waits for one cycle, the second for one
    access of the first. ``request.ready`` is combinational from the masters' ``valid``.

    An address that is no multiple of 4, or beyond the last page, is answered with ``error`` and
    reaches no page. ``data`` is 0 with an error.

    Parameters
    ----------
    register_map
        The pages.
    masters
        Their number, 1 or 2.

    Members
    -------
    masters : array of :class:`RegisterAccessSignature`
        The first is the one that shall not wait.
    pages : array of :class:`~weft.hw.bus.registers.RegisterBusSignature`
        One a page, in the map's order.
    """

    def __init__(self, *, register_map: RegisterMap, masters: int) -> None:
        if masters not in (1, 2):
            raise ValueError(f"a decoder has 1 or 2 masters, not {masters}")
        self._register_map = register_map
        access = RegisterAccessSignature(address_bits=register_map.address_bits)
        super().__init__(
            {
                "masters": In(access).array(masters),
                "pages": Out(RegisterBusSignature()).array(len(register_map.pages)),
            }
        )

    @property
    def register_map(self) -> RegisterMap:
        return self._register_map

    def elaborate(self, platform: object) -> Module:
        m = Module()
        answering, asked, start = Signal(), Signal(), Signal()
        acts = Signal()  # The access of the cycle before is done in this one.
        chosen = Signal(register_access(self._register_map.address_bits))

        def serve(master: Any) -> None:
            m.d.comb += [
                asked.eq(1),
                master.request.ready.eq(~acts),
                chosen.eq(master.request.payload),
            ]

        first, second = self.masters[0], self.masters[-1]
        yields = Signal()
        with m.If(first.request.valid & ~(yields & second.request.valid)):
            serve(first)
        if second is not first:
            with m.Elif(second.request.valid):
                serve(second)
            with m.If(~acts):
                m.d.sync += yields.eq(first.request.valid & first.request.ready)
        offset_bits = (PAGE_BYTES - 1).bit_length()
        offset, page = chosen.address[:offset_bits], chosen.address[offset_bits:]
        legal, stores = Signal(), Signal()
        m.d.comb += [
            start.eq(asked & ~acts),
            stores.eq(chosen.write & (offset >= DESCRIPTOR_STORE)),
            legal.eq((offset[:2] == 0) & (page < len(self._register_map.pages))),
        ]
        for index, port in enumerate(self.pages):
            m.d.comb += [
                port.request.eq(start & legal & (page == index)),
                port.write.eq(chosen.write),
                port.offset.eq(offset),
                port.write_data.eq(chosen.data),
            ]

        served, refused = Signal.like(page), Signal()
        m.d.sync += [answering.eq(start), acts.eq(start & ~stores)]
        with m.If(start):
            m.d.sync += [served.eq(page), refused.eq(~legal)]
        error, read_data = Signal(), Signal(32)
        with m.If(answering):
            m.d.comb += error.eq(1)
            with m.If(~refused):
                with m.Switch(served):
                    for index, port in enumerate(self.pages):
                        with m.Case(index):
                            m.d.comb += error.eq(port.error)
                            with m.If(~port.error):
                                m.d.comb += read_data.eq(port.read_data)
        for master in self.masters:
            m.d.comb += [master.answer.error.eq(error), master.answer.data.eq(read_data)]
        return m
