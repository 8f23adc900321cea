"""Run a workload with random operands on a device, check it, and say what it cost."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .hw.config import AcceleratorConfig, ArrayConfig
from .hw.errors import ConfigError
from .sim.simulation import MEMORY_BYTES
from .sw.device import Device
from .sw.run_array import ArrayReport

__all__ = ["RESULTS", "Trial", "Workload", "filled", "run_workload"]

RESULTS = ("int32", "int8")
"""Types of a result."""

OPERAND_LIMIT = 1 << 28
"""Bytes of operands and result; far beyond what a simulation finishes."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A workload with its operands on a device: `run` makes `out`, which must be `expected`."""

    operands: Mapping[str, npt.NDArray[Any]]
    """By the names that the driver gives them."""
    run: Callable[[], ArrayReport]
    out: npt.NDArray[Any]
    expected: npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Workload(ABC):
    """Something for the array, with int8 operands of full range.

    Parameters
    ----------
    seed
        Of the operands.
    out
        Type of the result. With int8 every column of it (filter of a convolution) is rescaled with
        random parameters of its own, and the operands have random zero points where the array has
        them.
    """

    seed: int = 0
    out: str = "int32"

    def __post_init__(self) -> None:
        if self.out not in RESULTS:
            raise ConfigError("out", self.out, f"must be one of {', '.join(RESULTS)}")

    @property
    @abstractmethod
    def title(self) -> str:
        """Its kind and shape."""

    @property
    @abstractmethod
    def bytes(self) -> int:
        """Bytes of DRAM that operands and result take."""

    @property
    @abstractmethod
    def macs(self) -> int: ...

    @abstractmethod
    def steps(self, array: ArrayConfig) -> int:
        """About how many steps the array takes."""

    @abstractmethod
    def as_dict(self) -> dict[str, Any]: ...

    def check(self, config: AcceleratorConfig) -> None:
        """Raise `ConfigError` where `config` has not got what it takes."""
        if self.out == "int8" and config.array is not None and not config.array.quantizer:
            raise ConfigError("out", self.out, f"configuration {config.name} has no quantizer")

    @abstractmethod
    def begin(self, device: Device) -> Trial:
        """Put operands on `device`."""

    @property
    def memory_bytes(self) -> int:
        """A DRAM size with room for them."""
        return max(MEMORY_BYTES, (self.bytes + (1 << 20)) // 4096 * 4096)

    def predicted_cycles(self, config: AcceleratorConfig) -> int:
        """Roughly how long it runs on `config`: the array's steps or the DMA's beats, if longer."""
        steps = 0 if config.array is None else self.steps(config.array)
        beats = 0 if config.dma is None else self.bytes // config.dma.data_bytes
        return max(steps, beats)

    def check_size(self, names: str, values: tuple[int, ...]) -> None:
        """Refuse what takes too much memory."""
        if self.bytes > OPERAND_LIMIT:
            limit = f"operands and result take {self.bytes} bytes, the limit is {OPERAND_LIMIT}"
            raise ConfigError(names, values, limit)


def filled(
    device: Device, shape: tuple[int, ...], dtype: npt.DTypeLike, random: np.random.Generator
) -> npt.NDArray[Any]:
    """An array on `device`, of full range."""
    array, limits = device.allocate(shape, dtype), np.iinfo(np.dtype(dtype))
    array[...] = random.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    return array


def run_workload(
    device: Device,
    workload: Workload,
    *,
    engine: str,
    meter: AbstractContextManager[object] | None = None,
) -> dict[str, Any]:
    """Run `workload` on `device`; the result as ``weft run --json`` prints it.

    `engine` names what carries the device. A `meter` is entered around the work alone, without
    making its operands, checking its result and reading the counters.

    ``dma.bus_utilization`` is the share of both data channels' capacity over ``cycles_total`` that
    useful bytes took. ``mismatches`` counts wrong elements, ``first_mismatch`` is the first one's
    index.
    """
    array, dma = device.config.array, device.config.dma
    if array is None or dma is None:
        needs = f"{workload.title} needs [array] and [dma]"
        raise ConfigError("config", device.config.name, needs)
    trial = workload.begin(device)
    device.clear_counters()
    started = time.perf_counter()
    with meter or nullcontext():
        report = trial.run()
    seconds = time.perf_counter() - started

    error = np.abs(np.asarray(trial.out, np.int64) - trial.expected)
    wrong = np.argwhere(error)
    counters = device.array_counters()
    active = counters["array_active"]
    moved = report.bytes_read + report.bytes_written
    return {
        "ok": not len(wrong),
        "workload": workload.as_dict(),
        "config": device.config.name,
        "engine": engine,
        "cycles_total": report.cycles_total,
        "cycles_span": counters["span_last"] - counters["span_first"] + 1,
        "cycles_active": active,
        "cycles_ideal": report.cycles_ideal,
        "macs": workload.macs,
        "utilization_temporal": _share(report.cycles_ideal, active),
        "utilization_mac": _share(workload.macs, array.macs * report.cycles_total),
        "movers": device.counters(),
        "dma": {
            "calls": report.dma_calls,
            "bds": report.dma_bds,
            "bytes_read": report.bytes_read,
            "bytes_written": report.bytes_written,
            "bus_utilization": _share(moved, 2 * dma.data_bytes * report.cycles_total),
        },
        "sim_seconds": round(seconds, 3),
        "max_abs_error": int(error.max()),
        "array": {
            name.removeprefix("array_"): count
            for name, count in counters.items()
            if name.startswith("array_")
        },
        "banks": device.bank_conflicts(),
        "config_hash": device.config.hash,
        "tiles": report.tiles,
        "via": report.via,
        "elements": trial.out.size,
        "mismatches": len(wrong),
        "first_mismatch": wrong[0].tolist() if len(wrong) else None,
    }


def _share(part: int, whole: int) -> float:
    return round(part / whole, 6) if whole else 0.0
