"""A small stand-in for the accelerator: a register block, and a master that copies one burst."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from weft.hw.bus.axi import Response

__all__ = ["Copier", "Mute"]

ID_BITS = 3


class Copier(wiring.Component):
    """Copies one burst from SOURCE to TARGET when GO is written, then raises the interrupt.

    Registers: 0x00 identity, 0x04 SOURCE, 0x08 TARGET, 0x0C LENGTH (beats less one), 0x10 SIZE
    (what it says on ``arsize``), 0x14 GO, 0x18 CLEAR (the interrupt), 0x1C RESPONSE (the worst of
    the burst's); anything else answers SLVERR. An answer comes two cycles after its request.
    Its bursts have the lowest bits of LENGTH for an ID, those to write inverted; what carries
    another ID is no answer to it.
    """

    IDENTITY = 0x50434F50

    def __init__(self, *, data_bits: int = 64, master: bool = True, trace_bits: int = 0) -> None:
        self.data_bits = data_bits
        self.master = master
        members = {
            "s_axil_awaddr": In(16),
            "s_axil_awvalid": In(1),
            "s_axil_awready": Out(1),
            "s_axil_wdata": In(32),
            "s_axil_wstrb": In(4),
            "s_axil_wvalid": In(1),
            "s_axil_wready": Out(1),
            "s_axil_bresp": Out(Response),
            "s_axil_bvalid": Out(1),
            "s_axil_bready": In(1),
            "s_axil_araddr": In(16),
            "s_axil_arvalid": In(1),
            "s_axil_arready": Out(1),
            "s_axil_rdata": Out(32),
            "s_axil_rresp": Out(Response),
            "s_axil_rvalid": Out(1),
            "s_axil_rready": In(1),
            "irq": Out(1),
        }
        if master:
            for channel in ("ar", "aw"):
                members |= {
                    f"m_axi_{channel}id": Out(ID_BITS),
                    f"m_axi_{channel}addr": Out(40),
                    f"m_axi_{channel}len": Out(8),
                    f"m_axi_{channel}size": Out(3),
                    f"m_axi_{channel}burst": Out(2),
                    f"m_axi_{channel}valid": Out(1),
                    f"m_axi_{channel}ready": In(1),
                }
            members |= {
                "m_axi_wdata": Out(data_bits),
                "m_axi_wstrb": Out(data_bits // 8),
                "m_axi_wlast": Out(1),
                "m_axi_wvalid": Out(1),
                "m_axi_wready": In(1),
                "m_axi_bid": In(ID_BITS),
                "m_axi_bresp": In(Response),
                "m_axi_bvalid": In(1),
                "m_axi_bready": Out(1),
                "m_axi_rid": In(ID_BITS),
                "m_axi_rdata": In(data_bits),
                "m_axi_rresp": In(Response),
                "m_axi_rlast": In(1),
                "m_axi_rvalid": In(1),
                "m_axi_rready": Out(1),
            }
        if trace_bits:
            members["trace"] = Out(trace_bits)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        size = (self.data_bits // 8 - 1).bit_length()
        registers = [Signal(32, name=f"register{i}") for i in range(8)]
        registers[4] = Signal(32, name="size", init=size)
        source, target, length = registers[1:4]
        go = Signal()
        write, read = Signal(), Signal()
        m.d.comb += [
            write.eq(self.s_axil_awvalid & self.s_axil_wvalid & ~self.s_axil_bvalid),
            read.eq(self.s_axil_arvalid & ~self.s_axil_rvalid),
            registers[0].eq(self.IDENTITY),
        ]
        # Address and data are taken in the cycle after both are seen, with the answer.
        m.d.sync += [
            Cat(self.s_axil_awready, self.s_axil_wready).eq(0),
            self.s_axil_arready.eq(0),
            go.eq(0),
        ]
        with m.If(self.s_axil_bvalid & self.s_axil_bready):
            m.d.sync += self.s_axil_bvalid.eq(0)
        with m.If(self.s_axil_rvalid & self.s_axil_rready):
            m.d.sync += self.s_axil_rvalid.eq(0)
        with m.If(write & ~self.s_axil_awready):
            m.d.sync += [self.s_axil_awready.eq(1), self.s_axil_wready.eq(1)]
        with m.If(write & self.s_axil_awready):
            m.d.sync += [self.s_axil_bvalid.eq(1), self.s_axil_bresp.eq(Response.SLVERR)]
            for index in range(1, 7):
                with m.If(self.s_axil_awaddr == 4 * index):
                    m.d.sync += self.s_axil_bresp.eq(Response.OKAY)
                    if index == 5:
                        m.d.sync += go.eq(1)
                    elif index == 6:
                        m.d.sync += self.irq.eq(0)
                    else:
                        m.d.sync += registers[index].eq(self.s_axil_wdata)
        with m.If(read & ~self.s_axil_arready):
            m.d.sync += self.s_axil_arready.eq(1)
        with m.If(read & self.s_axil_arready):
            m.d.sync += [
                self.s_axil_rvalid.eq(1),
                self.s_axil_rresp.eq(Response.SLVERR),
                self.s_axil_rdata.eq(0),
            ]
            for index, register in enumerate(registers):
                with m.If(self.s_axil_araddr == 4 * index):
                    m.d.sync += [
                        self.s_axil_rresp.eq(Response.OKAY),
                        self.s_axil_rdata.eq(register),
                    ]
        if self.master:
            self._copy(m, go, source, target, length, registers[4], registers[7])
        else:
            m.d.sync += self.irq.eq(go | self.irq)
        return m

    def _copy(self, m: Module, go, source, target, length, size, response) -> None:
        m.submodules.buffer = buffer = memory.Memory(shape=self.data_bits, depth=256, init=[])
        store, load = buffer.write_port(), buffer.read_port(domain="comb")
        index = Signal(8)
        for channel, address in (("ar", source), ("aw", target)):
            m.d.comb += [
                getattr(self, f"m_axi_{channel}addr").eq(address),
                getattr(self, f"m_axi_{channel}len").eq(length),
                getattr(self, f"m_axi_{channel}size").eq(size),
                getattr(self, f"m_axi_{channel}burst").eq(1),
            ]
        m.d.comb += [
            store.addr.eq(index),
            store.data.eq(self.m_axi_rdata),
            load.addr.eq(index),
            self.m_axi_arid.eq(length),
            self.m_axi_awid.eq(~length),
            self.m_axi_wdata.eq(load.data),
            self.m_axi_wstrb.eq(~0),
            self.m_axi_wlast.eq(index == length),
        ]
        with m.FSM():
            with m.State("idle"):
                with m.If(go):
                    m.d.sync += [index.eq(0), response.eq(0)]
                    m.next = "ar"
            with m.State("ar"):
                m.d.comb += self.m_axi_arvalid.eq(1)
                with m.If(self.m_axi_arready):
                    m.next = "r"
            with m.State("r"):
                answered = self.m_axi_rvalid & (self.m_axi_rid == self.m_axi_arid)
                m.d.comb += [self.m_axi_rready.eq(1), store.en.eq(answered)]
                with m.If(answered):
                    m.d.sync += index.eq(index + 1)
                    with m.If(self.m_axi_rresp > response):
                        m.d.sync += response.eq(self.m_axi_rresp)
                    with m.If(self.m_axi_rlast):
                        m.d.sync += index.eq(0)
                        m.next = "aw"
            with m.State("aw"):
                m.d.comb += self.m_axi_awvalid.eq(1)
                with m.If(self.m_axi_awready):
                    m.next = "w"
            with m.State("w"):
                m.d.comb += self.m_axi_wvalid.eq(1)
                with m.If(self.m_axi_wready):
                    m.d.sync += index.eq(index + 1)
                    with m.If(self.m_axi_wlast):
                        m.next = "b"
            with m.State("b"):
                m.d.comb += self.m_axi_bready.eq(1)
                with m.If(self.m_axi_bvalid & (self.m_axi_bid == self.m_axi_awid)):
                    with m.If(self.m_axi_bresp > response):
                        m.d.sync += response.eq(self.m_axi_bresp)
                    m.d.sync += self.irq.eq(1)
                    m.next = "idle"


class Mute(Copier):
    """One that never answers."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += self.irq.eq(0)
        return m
