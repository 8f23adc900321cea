"""What every simulation engine is: a transport with a clock, a waveform and an end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

import numpy as np
import numpy.typing as npt

from weft.hw.errors import WeftError

__all__ = ["MEMORY_BASE", "MEMORY_BYTES", "Simulation", "SimulationError"]

MEMORY_BASE = 0x8000_0000
"""Default device address of the first byte of DRAM."""
MEMORY_BYTES = 64 << 20
"""Default size of DRAM; the host pays only for the pages it touches."""


class SimulationError(WeftError):
    """The simulation cannot go on: it was closed, has failed, or the design does not answer."""


class Simulation(ABC):
    """A simulated system as the driver's transport (:class:`weft.sw.transport.Transport`).

    Host time stands still between accesses: the design's clock runs only inside the methods below,
    and two engines give the same cycles for the same calls. A call begins right after a clock
    edge, in cycle ``cycles``; its signals are stable in that cycle already.

    - *write*: AW and W are valid from the first cycle on, each until its handshake, with all
      strobes; ``bready`` is high all the time; the call ends with the edge that takes B.
    - *read*: AR is valid from the first cycle on until its handshake; ``rready`` is high all the
      time; the call ends with the edge that takes R.
    - *wait*: ends with the first edge, of at most `timeout_cycles`, that sees the interrupt.

    The host sees DRAM as it is after the last edge.

    Attributes
    ----------
    engine : str
        Name on the command line.
    memory : array of uint8
        The DRAM.
    memory_base : int
        Device address of ``memory[0]``.
    """

    engine: str
    memory: npt.NDArray[np.uint8]
    memory_base: int

    @property
    @abstractmethod
    def cycles(self) -> int:
        """Clock edges since the simulation began."""

    @property
    @abstractmethod
    def evaluation_seconds(self) -> float:
        """Wall-clock time spent evaluating the design itself: neither DRAM model nor driver."""

    @property
    @abstractmethod
    def build_seconds(self) -> float:
        """Wall-clock time spent making the simulation: elaboration and compilation."""

    @abstractmethod
    def read_register(self, address: int) -> int:
        """Read the 32-bit register at byte `address`.

        Raises :class:`~weft.sw.transport.BusError` when the bus answers with an error.
        """

    @abstractmethod
    def write_register(self, address: int, value: int) -> None:
        """Write the 32-bit register at byte `address`.

        Raises :class:`~weft.sw.transport.BusError` when the bus answers with an error.
        """

    @abstractmethod
    def wait_interrupt(self, timeout_cycles: int) -> bool:
        """Run until the interrupt is high; False if it is not within `timeout_cycles` cycles."""

    def observed(self) -> Sequence[tuple[int, int]]:
        """The changes of the design's ``trace`` since the simulation began.

        ``(t, value)`` says that it was ``value`` (:func:`~weft.hw.observer.trace_layout`, packed)
        at the end of cycle t, just before the edge that ends it, and the same in every cycle up to
        the next entry. Cycle 0 ends with the first edge.

        Raises :class:`SimulationError` unless the simulation was made with ``observed=True``.
        """
        raise SimulationError("the simulation was made without observed=True")

    @abstractmethod
    def close(self) -> None:
        """Finish the waveform and free what the engine holds; closing twice is harmless."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
