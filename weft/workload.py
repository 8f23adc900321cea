"""Run a matrix product with random operands on a device, check it, and say what it cost."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from .hw.config import AcceleratorConfig
from .hw.errors import ConfigError
from .sim.simulation import MEMORY_BYTES
from .sw.device import Device

__all__ = ["GemmWorkload", "run_gemm"]

OPERAND_LIMIT = 1 << 28
"""Bytes of operands and result; far beyond what a simulation finishes."""


@dataclass(frozen=True, kw_only=True)
class GemmWorkload:
    """``out = a @ b``, plus ``c`` with `accumulate`: int8 operands of full range, int32 results."""

    m: int
    n: int
    k: int
    accumulate: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("m", "n", "k"):
            if getattr(self, name) < 1:
                raise ConfigError(name, getattr(self, name), "must be at least 1")
        if self.bytes > OPERAND_LIMIT:
            raise ConfigError(
                "m, n, k",
                (self.m, self.n, self.k),
                f"operands and result take {self.bytes} bytes, the limit is {OPERAND_LIMIT}",
            )

    @property
    def bytes(self) -> int:
        """Bytes of DRAM that operands and result take."""
        results = 2 if self.accumulate else 1
        return self.m * self.k + self.k * self.n + 4 * results * self.m * self.n

    @property
    def memory_bytes(self) -> int:
        """A DRAM size with room for them."""
        return max(MEMORY_BYTES, (self.bytes + (1 << 20)) // 4096 * 4096)

    @property
    def macs(self) -> int:
        return self.m * self.n * self.k

    def predicted_cycles(self, config: AcceleratorConfig) -> int:
        """Roughly how long it runs on `config`: the array's steps or the DMA's beats, if longer."""
        steps = beats = 0
        if config.array is not None:
            array = config.array
            tiles = -(-self.m // array.mu) * -(-self.n // array.nu)
            steps = tiles * -(-self.k // array.ku)
        if config.dma is not None:
            beats = self.bytes // config.dma.data_bytes
        return max(steps, beats)

    def as_dict(self) -> dict[str, Any]:
        return {
            "kind": "gemm",
            "m": self.m,
            "n": self.n,
            "k": self.k,
            "accumulate": self.accumulate,
            "layout": "row-major",
            "out": "int32",
            "seed": self.seed,
        }


def run_gemm(
    device: Device,
    workload: GemmWorkload,
    *,
    engine: str,
    meter: AbstractContextManager[object] | None = None,
) -> dict[str, Any]:
    """Run `workload` on `device`; the result as ``weft run gemm --json`` prints it.

    `engine` names what carries the device. A `meter` is entered around the product alone, without
    making its operands, checking its result and reading the counters.

    ``dma.bus_utilization`` is the share of both data channels' capacity over ``cycles_total`` that
    useful bytes took. ``mismatches`` counts wrong elements, ``first_mismatch`` is the first one's
    index.
    """
    array, dma = device.config.array, device.config.dma
    if array is None or dma is None:
        raise ConfigError("config", device.config.name, "a matrix product needs [array] and [dma]")
    random = np.random.default_rng(workload.seed)
    M, N, K = workload.m, workload.n, workload.k
    a = device.allocate((M, K), np.int8)
    b = device.allocate((K, N), np.int8)
    out = device.allocate((M, N), np.int32)
    a[:] = random.integers(-128, 128, (M, K), np.int8)
    b[:] = random.integers(-128, 128, (K, N), np.int8)
    # Modulo 2**32, as the accumulators are.
    expected = np.asarray(a, np.int64) @ np.asarray(b, np.int64)
    c = None
    if workload.accumulate:
        c = device.allocate((M, N), np.int32)
        c[:] = random.integers(-(1 << 31), 1 << 31, (M, N), np.int32)
        expected = expected + np.asarray(c)
    expected = expected.astype(np.int32)

    device.clear_counters()
    started = time.perf_counter()
    with meter or nullcontext():
        report = device.gemm(a, b, out=out, c=c)
    seconds = time.perf_counter() - started

    error = np.abs(np.asarray(out, np.int64) - expected)
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
        "mismatches": len(wrong),
        "first_mismatch": wrong[0].tolist() if len(wrong) else None,
    }


def _share(part: int, whole: int) -> float:
    return round(part / whole, 6) if whole else 0.0
