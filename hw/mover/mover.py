"""A mover: the core that every mover shares, on the memory port that makes it what it is."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import wiring

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
        The memory port below the core: a component with ``core: In(PortSignature)``.
    """

    def __init__(self, *, config: AcceleratorConfig, index: int, port: Any) -> None:
        self._config = config.movers[index]
        self.core = MoverCore(config=config, index=index)
        self.port = port
        super().__init__({})
        adopt(port, "core", wiring.flipped(self.core.port))

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
        m.submodules.port = self.port
        return m
