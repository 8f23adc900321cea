"""The systems on which the DMA is measured: a scratchpad, four movers, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

from ..engines import open_simulation
from ..hw.config import (
    SWITCH,
    AcceleratorConfig,
    DmaConfig,
    MemoryConfig,
    MoverConfig,
    SequencerConfig,
)
from ..sim.dram import DramParameters
from ..sim.simulation import Simulation

__all__ = ["BUFFER_BEATS", "SCRATCHPAD_BYTES", "dma_system", "open_system"]

SCRATCHPAD_BYTES = 128 << 10
MEMORY_BYTES = 8 << 20
BUFFER_BEATS = 256
"""Of each direction: a bus of latency 100 is kept busy by bursts that wait for whole room."""
FETCH_BEATS = 64
QUEUED_TASKS = 64
"""Writes of a bus of latency 100 that are pushed, one in two cycles, before their data come."""
WORD_BITS = 64


def dma_system(data_bits: int, outstanding: int, *, sequencer: bool = False) -> AcceleratorConfig:
    """Two movers of DRAM and two of the scratchpad on a switch; a sequencer if asked.

    The scratchpad passes a beat of the bus in every cycle and never limits anything.
    """
    words = data_bits // WORD_BITS
    banks = max(2, words)
    return AcceleratorConfig(
        name=f"dma-{data_bits}-{outstanding}{'-sequencer' if sequencer else ''}",
        memory=MemoryConfig(
            banks=banks,
            bank_bits=WORD_BITS,
            rows=SCRATCHPAD_BYTES * 8 // (banks * WORD_BITS),
            groups=(banks,),
        ),
        movers=(
            *(
                MoverConfig(
                    name=name,
                    kind=kind,
                    bind=SWITCH,
                    spatial_bounds=(words,),
                    reach=words if words > 1 else 0,
                )
                for name, kind in (("Y", "write"), ("X", "read"))
            ),
            *(
                MoverConfig(
                    name=name,
                    kind=kind,
                    bind=SWITCH,
                    loops=4,
                    descriptors=4,
                    queue_depth=QUEUED_TASKS,
                )
                for name, kind in (("MM2S0", "mm2s"), ("S2MM0", "s2mm"))
            ),
        ),
        dma=DmaConfig(
            data_bits=data_bits,
            address_bits=32,
            read_outstanding=outstanding,
            write_outstanding=outstanding,
            read_buffer=BUFFER_BEATS,
            write_buffer=BUFFER_BEATS,
        ),
        sequencer=SequencerConfig(fetch_beats=FETCH_BEATS) if sequencer else None,
    )


def open_system(
    config: AcceleratorConfig,
    engine: str,
    *,
    latency: int,
    report: Callable[[str], None] = lambda text: None,
    progress: Callable[[int], None] | None = None,
) -> Simulation:
    """`config` in a simulation whose memory answers `latency` cycles after a request.

    From the handshake of AR to that of the first R beat, and from that of the last W beat to that
    of B. The memory takes every request at once and moves a beat a cycle each way.
    """
    dram = DramParameters(
        read_latency=latency - 1,
        write_latency=latency - 1,
        read_outstanding=1024,
        write_outstanding=1024,
    )
    return open_simulation(
        config, engine, memory_bytes=MEMORY_BYTES, dram=dram, report=report, progress=progress
    )
