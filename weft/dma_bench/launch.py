"""Launch latency: from the push of a resident descriptor to the bus, and a small copy whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from amaranth.hdl import Cat

from ..hw.top import Top
from ..sim.amaranth_engine import AmaranthSimulation
from ..sim.dram import DramParameters
from ..sw.descriptor import BufferDescriptor
from ..sw.device import Device
from .systems import dma_system

__all__ = ["measure_launches"]

COPY_BYTES = 64
MEMORY_BYTES = 1 << 16
LAUNCHES: dict[str, dict[str, Any]] = {
    "launch": {},
    "launch-lock": {"acquire_enable": 1, "acquire_id": 0, "acquire_value": 1},
}
"""What the reading mover's BD of each pattern has besides; the lock is free."""
EVENTS = ("push", "first_ar", "first_aw", "cycles")


def measure_launches(*, bus_bits: int, latency: int, outstanding: int) -> Iterator[dict[str, Any]]:
    """Copies of 64 bytes on an idle system, in Amaranth's simulator (a few hundred cycles).

    A row has ``first_ar``: cycles from the push's arrival at the reading mover to AR valid;
    ``first_aw``: from that push to AW valid; ``cycles``: from that push to the cycle in which the
    writing mover retires. ``floor`` is 0: there is no bus utilization to speak of.
    """
    config = dma_system(bus_bits, outstanding)
    top: Any = Top(config)
    read, write = (top.accelerator._movers[name] for name in ("MM2S0", "S2MM0"))
    top.trace = Cat(
        read.core.tasks.i.valid,
        top.accelerator.bus.ar.valid,
        top.accelerator.bus.aw.valid,
        write.core.port.retired,
    )
    dram = DramParameters(read_latency=latency - 1, write_latency=latency - 1)
    with AmaranthSimulation(
        config, memory_bytes=MEMORY_BYTES, dram=dram, dut=top, observed=True
    ) as simulation:
        device = Device(simulation, config)
        begun = 0
        for index, (pattern, fields) in enumerate(LAUNCHES.items()):
            device.registers.write_fields("system", "LOCK_SET", id=0, value=1)
            given = [(index + byte) % 256 for byte in range(COPY_BYTES)]
            simulation.memory[:COPY_BYTES] = given
            _copy(device, simulation.memory_base, fields)
            first = _first_events(simulation.observed(), begun)
            begun = first["push"] + first["cycles"] + 1
            yield {
                "path": "dram-dram",
                "bus_bits": bus_bits,
                "latency": latency,
                "pattern": pattern,
                "row_bytes": COPY_BYTES,
                "src_offset": 0,
                "dst_offset": 0,
                "outstanding": outstanding,
                "rows": 1,
                "cycles": first["cycles"],
                "first_ar": first["first_ar"],
                "first_aw": first["first_aw"],
                "utilization": 0.0,
                "floor": 0.0,
                "mode": "program",
                "ok": simulation.memory[MEMORY_BYTES // 2 :][:COPY_BYTES].tolist() == given,
            }


def _copy(device: Device, base: int, fields: Mapping[str, Any]) -> None:
    """A copy whose writing mover has its task first."""
    ends, tokens = ("S2MM0", "MM2S0"), {}
    for mover, other, address in zip(ends, ends[::-1], (MEMORY_BYTES // 2, 0), strict=True):
        descriptor = BufferDescriptor(
            base=base + address,
            run_length=COPY_BYTES,
            route=(other,),
            **fields if mover == "MM2S0" else {},
        )
        device.write_descriptor(mover, 0, descriptor)
        tokens[mover] = device.push(mover, 0, interrupt=mover == "S2MM0")
    device.transport.wait_interrupt(10_000)
    device.wait("S2MM0", tokens["S2MM0"])


def _first_events(observed: Iterable[tuple[int, int]], begun: int) -> dict[str, int]:
    """The cycle of the first push from `begun` on, and how long after it each other event is."""
    seen = [entry for entry in observed if entry[0] >= begun]
    pushed = next(cycle for cycle, value in seen if value & 1)
    return {"push": pushed} | {
        name: next(cycle for cycle, value in seen if cycle >= pushed and value >> bit & 1) - pushed
        for bit, name in enumerate(EVENTS)
        if bit
    }
