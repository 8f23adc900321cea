"""What the driver needs from whatever carries it: a simulator or a board link."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from .errors import BusError

__all__ = ["BusError", "Transport"]


@runtime_checkable
class Transport(Protocol):
    """Registers, device DRAM and the interrupt of one accelerator.

    Host time stands still between accesses: a simulator advances only inside a call, by as many
    cycles as the access takes, so that two engines agree to the cycle.
    """

    @property
    def memory(self) -> npt.NDArray[np.uint8]:
        """The device's DRAM as one contiguous writable array of bytes: always the same object."""
        ...

    @property
    def memory_base(self) -> int:
        """Device address of ``memory[0]``."""
        ...

    @property
    def cycles(self) -> int:
        """Clock cycles since the transport was opened."""
        ...

    def read_register(self, address: int) -> int:
        """Read the 32-bit register at byte `address`.

        Raises
        ------
        BusError
            The access was answered with SLVERR or DECERR.
        """
        ...

    def write_register(self, address: int, value: int) -> None:
        """Write the 32-bit register at byte `address`; errors as `read_register`."""
        ...

    def wait_interrupt(self, timeout_cycles: int) -> bool:
        """Let time pass until the interrupt is high (at once if it is).

        Returns False if `timeout_cycles` cycles went by first.
        """
        ...
