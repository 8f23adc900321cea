"""The AXI4-Lite end of the register pages."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .access import RegisterAccessSignature
from .axi import AxiLiteSignature, Response

__all__ = ["AxiLiteBridge"]


class AxiLiteBridge(wiring.Component):
    """An AXI4-Lite slave that is a master of the register pages (AMBA AXI, ARM IHI 0022, part B).

    Each of AW, W and AR is taken into a register of its own as soon as that is empty, in any
    order; one access at a time goes to a page. A write whose later half arrives in cycle t requests
    in t+1, the answer comes in t+3, and B is valid in t+4; reads likewise, and both one cycle later
    if another master's access was accepted in t. With a master that never stalls, writes alone or
    reads alone take 4 cycles each; when both wait they take turns, one every 3 cycles. Readys and
    valids of ``axil`` are registers or their inverse: no path crosses the bridge combinationally. B
    and R hold until they are taken, and an access starts only when its response register is free.

    SLVERR answers a write with a strobe missing, which reaches nobody, and an access that the pages
    answer with an error. ``rdata`` is 0 with an error.

    Parameters
    ----------
    address_bits
        Width of a byte address.

    Members
    -------
    axil : AXI4-Lite slave
    access : :class:`~weft.hw.bus.access.RegisterAccessSignature`
        At least two cycles without a request follow each access.
    """

    def __init__(self, *, address_bits: int) -> None:
        self._address_bits = address_bits
        super().__init__(
            {
                "axil": In(AxiLiteSignature(address_bits=address_bits)),
                "access": Out(RegisterAccessSignature(address_bits=address_bits)),
            }
        )

    @property
    def address_bits(self) -> int:
        return self._address_bits

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus, request = self.axil, self.access.request

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

        # Choose an access. A write with a strobe missing is answered here.
        under_way, read_next = Signal(2), Signal()
        can_write, can_read, write = Signal(), Signal(), Signal()
        partial, wanted, start = Signal(), Signal(), Signal()
        m.d.comb += [
            can_write.eq(aw_full & w_full & ~bus.b.valid),
            can_read.eq(ar_full & ~bus.r.valid),
            write.eq(can_write & ~(can_read & read_next)),
            partial.eq(write & ~w.strb.all()),
            wanted.eq(~under_way.any() & (can_write | can_read)),
            request.valid.eq(wanted & ~partial),
            request.payload.address.eq(Mux(write, aw.addr, ar.addr)),
            request.payload.write.eq(write),
            request.payload.data.eq(w.data),
            start.eq(wanted & (partial | request.ready)),
        ]

        asked_write, refused = Signal(), Signal()
        m.d.sync += under_way.eq(Cat(start, under_way))
        with m.If(start):
            m.d.sync += [asked_write.eq(write), refused.eq(partial), read_next.eq(write)]
            with m.If(write):
                m.d.sync += [aw_full.eq(0), w_full.eq(0)]
            with m.Else():
                m.d.sync += ar_full.eq(0)
        with m.Elif(wanted):
            # What has been asked holds, whatever arrives meanwhile.
            m.d.sync += read_next.eq(~write)

        with m.If(bus.b.ready):
            m.d.sync += bus.b.valid.eq(0)
        with m.If(bus.r.ready):
            m.d.sync += bus.r.valid.eq(0)
        with m.If(under_way[-1]):
            answer = self.access.answer
            response = Mux(refused | answer.error, Response.SLVERR, Response.OKAY)
            with m.If(asked_write):
                m.d.sync += [bus.b.valid.eq(1), bus.b.payload.resp.eq(response)]
            with m.Else():
                m.d.sync += [
                    bus.r.valid.eq(1),
                    bus.r.payload.data.eq(answer.data),
                    bus.r.payload.resp.eq(response),
                ]
        return m
