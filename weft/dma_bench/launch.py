"""Launch latency: from the push of a resident descriptor to the bus, and a small copy whole."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat

from ..hw.top import Top
from ..sim.amaranth_engine import AmaranthSimulation
from ..sim.dram import DramParameters
from ..sw.descriptor import BufferDescriptor
from ..sw.device import Device
from .systems import dma_system

__all__ = ["measure_launch"]

COPY_BYTES = 64
MEMORY_BYTES = 1 << 16
EVENTS = ("push_read", "push_write", "ar", "aw", "retired")


def measure_launch(*, bus_bits: int, latency: int, outstanding: int) -> dict[str, Any]:
    """A copy of 64 bytes on an idle system, in Amaranth's simulator (a few hundred cycles).

    The row has ``first_ar``: cycles from the push's arrival at the reading mover to AR valid;
    ``first_aw``: from that push to AW valid; ``cycles``: from that push to the cycle in which the
    writing mover retires. ``floor`` is 0: there is no bus utilization to speak of.
    """
    config = dma_system(bus_bits, outstanding)
    top: Any = Top(config)
    read, write = (top.accelerator._movers[name] for name in ("MM2S0", "S2MM0"))
    top.trace = Cat(
        read.core.tasks.i.valid,
        write.core.tasks.i.valid,
        top.accelerator.bus.ar.valid,
        top.accelerator.bus.aw.valid,
        write.core.port.retired,
    )
    dram = DramParameters(read_latency=latency - 1, write_latency=latency - 1)
    with AmaranthSimulation(
        config, memory_bytes=MEMORY_BYTES, dram=dram, dut=top, observed=True
    ) as simulation:
        device = Device(simulation, config)
        simulation.memory[:COPY_BYTES] = range(COPY_BYTES)
        ends = ("S2MM0", "MM2S0")
        for mover, other, address in zip(ends, ends[::-1], (MEMORY_BYTES // 2, 0), strict=True):
            descriptor = BufferDescriptor(
                base=simulation.memory_base + address, run_length=COPY_BYTES, route=(other,)
            )
            device.write_descriptor(mover, 0, descriptor)
            token = device.push(mover, 0, interrupt=mover == "S2MM0")
        simulation.wait_interrupt(10_000)
        device.wait("S2MM0", token)
        copied = simulation.memory[MEMORY_BYTES // 2 :][:COPY_BYTES]
        first = {
            name: next(cycle for cycle, value in simulation.observed() if value >> bit & 1)
            for bit, name in enumerate(EVENTS)
        }
    pushed = first["push_read"]
    return {
        "path": "dram-dram",
        "bus_bits": bus_bits,
        "latency": latency,
        "pattern": "launch",
        "row_bytes": COPY_BYTES,
        "src_offset": 0,
        "dst_offset": 0,
        "outstanding": outstanding,
        "rows": 1,
        "cycles": first["retired"] - pushed,
        "first_ar": first["ar"] - pushed,
        "first_aw": first["aw"] - pushed,
        "utilization": 0.0,
        "floor": 0.0,
        "mode": "program",
        "ok": copied.tolist() == list(range(COPY_BYTES)),
    }
