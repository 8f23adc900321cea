"""Register accesses from more than one master to the register pages."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .registers import DESCRIPTOR_STORE, PAGE_BYTES, RegisterBusSignature, RegisterMap

__all__ = ["PageDecoder", "RegisterAccessSignature", "register_access"]


def register_access(address_bits: int) -> data.StructLayout:
    """A register access: byte ``address``, ``write``, and the ``data`` to write."""
    return data.StructLayout({"address": address_bits, "write": 1, "data": 32})


class RegisterAccessSignature(wiring.Signature):
    """The register pages as a master sees them.

    A request handed over in cycle t is answered in t+2, always: ``error``, a register, and the
    ``data`` read, which count in that cycle alone.

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

    A request is handed to its page in the cycle after it was accepted, and the page's answer goes
    back in the one after that. In the first of them no request is accepted: what a register does
    shows a cycle after its write, and whoever comes next shall find it done. A write to a
    descriptor store does nothing but be there, so another request may follow it at once::

        cycle      t      t+1    t+2    t+3    t+4    t+5    t+6
        request    slot   slot   slot   reg    -      slot
        page              slot   slot   slot   reg    -      slot
        answer                   slot   slot   slot   reg

    Who follows at once does not know of an error yet. So a request that was accepted in the cycle
    after one of the same master that is an error reaches no page, and is an error as well: of a row
    of writes to a store nothing is done behind the first error.

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
        start, acts, stores = Signal(), Signal(), Signal()
        asked, number = Signal(), Signal(range(len(self.masters)))
        chosen = Signal(register_access(self._register_map.address_bits))

        def serve(index: int) -> None:
            request = self.masters[index].request
            m.d.comb += [
                asked.eq(1),
                number.eq(index),
                request.ready.eq(~acts),
                chosen.eq(request.payload),
            ]

        first, second = self.masters[0].request, self.masters[-1].request
        yields = Signal()
        with m.If(first.valid & ~(yields & second.valid)):
            serve(0)
        if len(self.masters) == 2:
            with m.Elif(second.valid):
                serve(1)
            with m.If(~acts):
                m.d.sync += yields.eq(first.valid & first.ready)
        offset_bits = (PAGE_BYTES - 1).bit_length()
        offset, page = chosen.address[:offset_bits], chosen.address[offset_bits:]
        m.d.comb += [
            start.eq(asked & ~acts),
            stores.eq(chosen.write & (offset >= DESCRIPTOR_STORE)),
        ]

        # The cycle of the pages.
        taken, handed = Signal.like(chosen), Signal()
        whose, follows = Signal.like(number), Signal()
        pages = Signal(len(self.pages))
        m.d.sync += [handed.eq(start), acts.eq(start & ~stores)]
        with m.If(start):
            m.d.sync += [
                taken.eq(chosen),
                whose.eq(number),
                follows.eq(handed & (number == whose)),
                # One-hot; of no page, if there is none.
                pages.eq(Cat((offset[:2] == 0) & (page == i) for i in range(len(self.pages)))),
            ]
        error, made = Signal(), Signal()
        m.d.comb += made.eq(handed & ~(follows & error))
        for is_own, port in zip(pages, self.pages, strict=True):
            m.d.comb += [
                port.request.eq(made & is_own),
                port.write.eq(taken.write),
                port.offset.eq(taken.address[:offset_bits]),
                port.write_data.eq(taken.data),
            ]
        refused = Cat(port.error for port in self.pages).any()
        m.d.sync += error.eq(handed & ~(made & pages.any() & ~refused))

        # The cycle of the answer.
        served, read_data = Signal.like(page), Signal(32)
        with m.If(made):
            m.d.sync += served.eq(taken.address[offset_bits:])
        with m.If(~error), m.Switch(served):
            for index, port in enumerate(self.pages):
                with m.Case(index):
                    m.d.comb += read_data.eq(port.read_data)
        for master in self.masters:
            m.d.comb += [master.answer.error.eq(error), master.answer.data.eq(read_data)]
        return m
