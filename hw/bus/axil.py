"""The AXI4-Lite end of the register pages."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .axi import AxiLiteSignature, Response
from .registers import PAGE_BYTES, RegisterBusSignature, RegisterMap

__all__ = ["AxiLiteBridge"]


class AxiLiteBridge(wiring.Component):
    """An AXI4-Lite slave in front of the register pages (AMBA AXI, ARM IHI 0022, part B).

    Each of AW, W and AR is taken into a register of its own as soon as that is empty, in any
    order; one access at a time goes to a page. A write whose later half arrives in cycle t requests
    in t+1, the page answers in t+2, and B is valid in t+3; reads likewise. With a master that never
    stalls, writes alone or reads alone take 3 cycles each; when both wait they take turns.
    Readys and valids are registers or their inverse: no path crosses the bridge combinationally.
    B and R hold until they are taken, and an access starts only when its response register is free.

    SLVERR answers an address that is no multiple of 4, a write with a strobe missing, a page that
    does not exist, and an error from the page. The first three never reach a page: an error has
    no side effect. ``rdata`` is 0 with an error.

    Parameters
    ----------
    register_map
        The pages.

    Members
    -------
    axil : AXI4-Lite slave, `register_map.address_bits` wide
    pages : array of :class:`~weft.hw.bus.registers.RegisterBusSignature`
        One a page, in the map's order. At least one cycle lies between two requests.
    """

    def __init__(self, *, register_map: RegisterMap) -> None:
        self._register_map = register_map
        super().__init__(
            {
                "axil": In(AxiLiteSignature(address_bits=register_map.address_bits)),
                "pages": Out(RegisterBusSignature()).array(len(register_map.pages)),
            }
        )

    @property
    def register_map(self) -> RegisterMap:
        return self._register_map

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus = self.axil

        held = {}
        for name in ("aw", "w", "ar"):
            channel = getattr(bus, name)
            full = Signal(name=f"{name}_full")
            payload = Signal(channel.payload.shape(), name=f"{name}_held")
            m.d.comb += channel.ready.eq(~full)
            with m.If(channel.valid & ~full):
                m.d.sync += [full.eq(1), payload.eq(channel.payload)]
            held[name] = full, payload
        (aw_full, aw), (w_full, w), (ar_full, ar) = held["aw"], held["w"], held["ar"]

        # Choose an access and show it to its page.
        answering = Signal()
        read_next = Signal()
        can_write, can_read, write, start = Signal(), Signal(), Signal(), Signal()
        address = Signal(self._register_map.address_bits)
        page = address[(PAGE_BYTES - 1).bit_length() :]
        legal = Signal()
        m.d.comb += [
            can_write.eq(aw_full & w_full & ~bus.b.valid),
            can_read.eq(ar_full & ~bus.r.valid),
            write.eq(can_write & ~(can_read & read_next)),
            start.eq(~answering & (can_write | can_read)),
            address.eq(Mux(write, aw.addr, ar.addr)),
            legal.eq(
                (address[:2] == 0)
                & (page < len(self._register_map.pages))
                & (~write | w.strb.all())
            ),
        ]
        for index, port in enumerate(self.pages):
            m.d.comb += [
                port.request.eq(start & legal & (page == index)),
                port.write.eq(write),
                port.offset.eq(address),
                port.write_data.eq(w.data),
            ]

        # Take the page's answer, which comes in the cycle after.
        asked = Signal.like(page)
        asked_write, refused = Signal(), Signal()
        m.d.sync += answering.eq(start)
        with m.If(start):
            m.d.sync += [
                asked.eq(page),
                asked_write.eq(write),
                refused.eq(~legal),
                read_next.eq(write),
            ]
            with m.If(write):
                m.d.sync += [aw_full.eq(0), w_full.eq(0)]
            with m.Else():
                m.d.sync += ar_full.eq(0)
        with m.If(bus.b.ready):
            m.d.sync += bus.b.valid.eq(0)
        with m.If(bus.r.ready):
            m.d.sync += bus.r.valid.eq(0)
        with m.If(answering):
            error, read_data = Signal(), Signal(32)
            m.d.comb += error.eq(1)
            with m.If(~refused):
                with m.Switch(asked):
                    for index, port in enumerate(self.pages):
                        with m.Case(index):
                            m.d.comb += [error.eq(port.error), read_data.eq(port.read_data)]
            response = Mux(error, Response.SLVERR, Response.OKAY)
            with m.If(asked_write):
                m.d.sync += [bus.b.valid.eq(1), bus.b.payload.resp.eq(response)]
            with m.Else():
                m.d.sync += [
                    bus.r.valid.eq(1),
                    bus.r.payload.data.eq(Mux(error, 0, read_data)),
                    bus.r.payload.resp.eq(response),
                ]
        return m
