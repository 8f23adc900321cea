"""The device as its user sees it (signatures first: others build against them)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from ..hw.config import AcceleratorConfig
from .allocator import DeviceArray
from .memref import MemRef
from .registers import Registers
from .transport import Transport

__all__ = ["Device", "GemmReport", "Statistics", "Transfer"]

DEFAULT_TIMEOUT = 1_000_000


@dataclass(kw_only=True)
class Statistics:
    """Sums over the device's life: operand copies by the host, DMA requests, BDs, DRAM bytes."""

    host_copies: int = 0
    dma_calls: int = 0
    dma_bds: int = 0
    bytes_read: int = 0
    bytes_written: int = 0


@dataclass(frozen=True, kw_only=True)
class GemmReport:
    """What a matrix product took."""

    cycles_total: int
    cycles_ideal: int
    macs: int
    dma_calls: int
    dma_bds: int
    bytes_read: int
    bytes_written: int
    tiles: tuple[Any, ...]


class Transfer:
    """A transfer under way."""

    def wait(self, timeout: int = DEFAULT_TIMEOUT) -> None:
        raise NotImplementedError


class Device:
    """An accelerator over a transport."""

    transport: Transport
    config: AcceleratorConfig
    registers: Registers
    stats: Statistics

    def __init__(self, transport: Transport, config: AcceleratorConfig) -> None:
        raise NotImplementedError

    def reset(self) -> None:
        raise NotImplementedError

    def allocate(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> DeviceArray:
        raise NotImplementedError

    def free(self, array: npt.NDArray[Any]) -> None:
        raise NotImplementedError

    def scratchpad(self, offset: int) -> Any:
        raise NotImplementedError

    def clear_counters(self) -> None:
        """Zero CYCLES, the array's counters and every mover's."""
        raise NotImplementedError

    def counters(self) -> dict[str, dict[str, int]]:
        """By mover name: active, starved, blocked, conflict, accesses."""
        raise NotImplementedError

    def array_counters(self) -> dict[str, int]:
        """The system page's span_first, span_last, array_active, array_steps, array_bubbles..."""
        raise NotImplementedError

    def push(self, mover: str, slot: int, repeat: int = 1, interrupt: bool = False) -> int:
        raise NotImplementedError

    def wait(self, mover: str, retired_target: int, timeout: int = DEFAULT_TIMEOUT) -> None:
        raise NotImplementedError

    def send(self, source: MemRef | DeviceArray, *, to: Any, mode: str = "sg") -> Transfer:
        raise NotImplementedError

    def recv(self, target: MemRef | DeviceArray, *, from_: Any, mode: str = "sg") -> Transfer:
        raise NotImplementedError

    def gemm(
        self,
        a: MemRef | DeviceArray,
        b: MemRef | DeviceArray,
        out: MemRef | DeviceArray,
        c: MemRef | DeviceArray | None = None,
        timeout: int = DEFAULT_TIMEOUT,
    ) -> GemmReport:
        raise NotImplementedError
