"""A reader's and a writer's channel on one port of the scratchpad."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..bus.tcdm import MemoryPortSignature
from ..config import MemoryConfig

__all__ = ["PortShare"]


class PortShare(wiring.Component):
    """Lets two requesters use one memory port in turn.

    When both ask they alternate, a grant each, so neither starves; when one asks alone it has every
    cycle. A request that has been presented stays until it is granted. Nothing is registered:
    ``memory.req`` is combinational from the two requests, and their ``ready`` from
    ``memory.req.ready``. Only `reader` gets responses; a write gives none.

    Parameters
    ----------
    memory
        The scratchpad.

    Members
    -------
    reader, writer : the two requesters' memory ports
    memory : the shared port
    """

    def __init__(self, *, memory: MemoryConfig) -> None:
        self._config = memory
        port = MemoryPortSignature(memory)
        super().__init__({"reader": In(port), "writer": In(port), "memory": Out(port)})

    @property
    def config(self) -> MemoryConfig:
        return self._config

    def elaborate(self, platform: object) -> Module:
        m = Module()
        reader, writer, request = self.reader.req, self.writer.req, self.memory.req
        # Set when the writer goes first: it is waiting, or the reader has just been served.
        writer_first = Signal()
        with m.If(writer.valid & (writer_first | ~reader.valid)):
            m.d.comb += [
                request.valid.eq(1),
                request.payload.eq(writer.payload),
                writer.ready.eq(request.ready),
            ]
            m.d.sync += writer_first.eq(~request.ready)
        with m.Elif(reader.valid):
            m.d.comb += [
                request.valid.eq(1),
                request.payload.eq(reader.payload),
                reader.ready.eq(request.ready),
            ]
            m.d.sync += writer_first.eq(request.ready)

        # A module of its own: responses do not move the requests.
        m.submodules.response = response = Module()
        response.d.comb += self.reader.rsp.eq(self.memory.rsp)
        return m
