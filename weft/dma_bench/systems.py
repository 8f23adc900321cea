"""The systems on which the DMA is measured: a scratchpad, four movers, and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

from amaranth.lib.wiring import flipped

from ..engines import model_source
from ..generate import TOP_NAME, top_verilog
from ..hw.config import AcceleratorConfig, DmaConfig, MemoryConfig, MoverConfig, SequencerConfig
from ..hw.top import Top
from ..sim.amaranth_engine import AmaranthSimulation
from ..sim.dram import DramParameters
from ..sim.simulation import Simulation

__all__ = ["BUFFER_BEATS", "SCRATCHPAD_BYTES", "dma_system", "open_system", "system_top"]

SCRATCHPAD_BYTES = 128 << 10
MEMORY_BYTES = 8 << 20
BUFFER_BEATS = 256
"""Of each direction: a bus of latency 100 is kept busy by bursts that wait for whole room."""
FETCH_BEATS = 64
WORD_BITS = 64


def dma_system(data_bits: int, outstanding: int, *, sequencer: bool = False) -> AcceleratorConfig:
    """Two DRAM movers and their scratchpad ends on a bus of `data_bits`; a sequencer if asked.

    The scratchpad passes a beat of the bus in every cycle and never limits anything.
    """
    words = data_bits // WORD_BITS
    banks = max(2, words)
    ends = (("Y", "write", "MM2S0"), ("X", "read", "S2MM0"))
    channels = (("MM2S0", "mm2s", "Y"), ("S2MM0", "s2mm", "X"))
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
                    bind=bind,
                    spatial_bounds=(words,),
                    reach=words if words > 1 else 0,
                )
                for name, kind, bind in ends
            ),
            *(
                MoverConfig(name=name, kind=kind, bind=bind, loops=4, descriptors=4, queue_depth=16)
                for name, kind, bind in channels
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


def system_top(config: AcceleratorConfig, *, joined: bool) -> Top:
    """The system of `config`; `joined`: MM2S feeds S2MM directly, and the scratchpad idles."""
    top = Top(config)
    if joined:
        system: Any = top.accelerator
        source, sink = (system._movers[name] for name in ("MM2S0", "S2MM0"))

        def operators(control: object) -> Iterator[tuple[str, Any]]:
            sink.port.i = flipped(source.stream)
            return iter(())

        system._operators = operators
    return top


def open_system(
    config: AcceleratorConfig,
    engine: str,
    *,
    joined: bool,
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
    if engine == "python":
        top = system_top(config, joined=joined)
        return AmaranthSimulation(
            config, memory_bytes=MEMORY_BYTES, dram=dram, dut=top, progress=progress
        )
    from ..sim.verilator import VerilatorSimulation
    from ..sim.verilator.build import ModelSource

    plain = model_source(config)
    identity = hashlib.sha256(f"{plain.identity} {joined}".encode()).hexdigest()[:32]
    source = ModelSource(
        name=f"{config.name}{'-joined' if joined else ''}",
        top=TOP_NAME,
        verilog=lambda: top_verilog(system_top(config, joined=joined)),
        identity=identity,
    )
    return VerilatorSimulation(
        source, memory_bytes=MEMORY_BYTES, dram=dram, report=report, progress=progress
    )
