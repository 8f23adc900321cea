"""A mover: the core that every mover shares, on the memory port that makes it what it is."""

from typing import Any

from amaranth.hdl import Module, ResetInserter
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..bus.wires import adopt
from ..config import AcceleratorConfig, MoverConfig
from .core import MoverCore

__all__ = ["Mover"]


class Mover(wiring.Component):
    """A core and its port, joined row by row.

    Structure only: the ports of the two are used where they are (`mover.core.registers`,
    `mover.port.o` ...), so that a beat crosses no more processes than it must.

    Parameters
    ----------
    config
        The system.
    index
        Which of its movers.
    port
        The memory port below the core: a component with ``core: In(PortSignature)`` and ``drain``.

    Members
    -------
    drain : 1
        While set, the port brings what it has asked of memory to an end and asks for nothing more,
        and no push is taken.
    abort : 1
        Forgets every task, and what the port holds of their data. Only while ``drain`` has been set
        and the mover idle for some cycles.
    idle : 1
        Nothing is under way in memory, and what has finished has retired. A scratchpad port is idle
        between two requests too.
    """

    def __init__(self, *, config: AcceleratorConfig, index: int, port: Any) -> None:
        self._config = config.movers[index]
        self.core = MoverCore(config=config, index=index)
        self.port = port
        super().__init__({"drain": In(1), "abort": In(1), "idle": Out(1)})
        adopt(port, "core", wiring.flipped(self.core.port))
        if "windows" in port.signature.members:
            adopt(port, "windows", self.core.windows)
        adopt(port, "drain", self.drain)
        adopt(self.core, "drain", self.drain)
        adopt(self.core, "abort", self.abort)
        for name in self._config.beat_extensions:
            setting = f"extension_{name}"
            adopt(port, setting, wiring.flipped(getattr(self.core, setting)))

    @property
    def config(self) -> MoverConfig:
        return self._config

    @property
    def stream(self) -> Any:
        """The data stream, as the mover sees it: ``o`` of a source, ``i`` of a sink."""
        return self.port.o if self._config.is_source else self.port.i

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.core = self.core
        m.submodules.port = ResetInserter(self.abort)(self.port)
        if self._config.is_scratchpad:
            now = self.core.port.activity
            quiet = ~now.conflict & ~now.accesses.any()
        else:
            quiet = self.port.idle
        m.d.comb += self.idle.eq(quiet & self.core.settled)
        return m
