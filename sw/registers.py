"""Registers by page and name, over a transport."""

from __future__ import annotations

from ..hw.bus.registers import RegisterMap
from ..hw.config import AcceleratorConfig
from .transport import Transport

__all__ = ["Registers"]


class Registers:
    """Reads and writes by name; every call is one access on the bus.

    Parameters
    ----------
    transport
        Carries the accesses.
    config
        The system; its register map is the gateware's own.

    Attributes
    ----------
    map : :class:`~weft.hw.bus.registers.RegisterMap`
    """

    def __init__(self, transport: Transport, config: AcceleratorConfig) -> None:
        self.transport = transport
        self.map = RegisterMap(config)

    def read(self, page: str, name: str) -> int:
        """The word in register `name` of `page` (a mover's name, or ``system``)."""
        return self.transport.read_register(self.map.page(page).address(name))

    def fields(self, page: str, name: str) -> dict[str, int]:
        """The fields of a register, by name."""
        return self.map.page(page).register(name).unpack(self.read(page, name))

    def read_wide(self, page: str, name: str) -> int:
        """A 64-bit quantity: `name`_HIGH and `name`_LOW."""
        return self.read(page, f"{name}_HIGH") << 32 | self.read(page, f"{name}_LOW")

    def write(self, page: str, name: str, value: int) -> None:
        """Write the whole word."""
        self.transport.write_register(self.map.page(page).address(name), value)

    def write_fields(self, page: str, name: str, **fields: int) -> None:
        """Write the register with `fields` set and every other field 0."""
        self.write(page, name, self.map.page(page).register(name).pack(**fields))

    def write_wide(self, page: str, name: str, value: int) -> None:
        """Write a 64-bit quantity, or a signed one: `name`_LOW, then `name`_HIGH."""
        self.write(page, f"{name}_LOW", value & 0xFFFF_FFFF)
        self.write(page, f"{name}_HIGH", value >> 32 & 0xFFFF_FFFF)

    def write_slot(self, mover: str, slot: int, words: dict[int, int]) -> None:
        """Write words of BD `slot`, by their index in the descriptor."""
        base = self.map.slot_address(mover, slot)
        for index, word in words.items():
            self.transport.write_register(base + 4 * index, word)
