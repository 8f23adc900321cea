"""Memory filled with a pattern: a read of nothing, whose pad bytes are what is written."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..hw.config import AcceleratorConfig
from ..hw.dma.operators.xor import PATTERN_BITS
from .blocked import contiguous
from .descriptor import Guard
from .errors import SequenceError
from .lower import lower, slices
from .memref import MemRef
from .transfer import ScratchpadAddress, Step, joined

__all__ = ["fill_steps"]

PATTERN_LIMIT = 1 << PATTERN_BITS


def fill_steps(
    config: AcceleratorConfig,
    target: MemRef | ScratchpadAddress,
    pattern: int,
    nbytes: int | None = None,
) -> tuple[list[Step], str]:
    """The tasks that write byte k of `target` with byte ``k mod 4`` of `pattern`, lowest first.

    Parameters
    ----------
    target
        In DRAM in the order of its walk, or a place in the scratchpad.
    pattern
        Four bytes; four that are not the same take a source with the extension ``xor``.
    nbytes
        In the scratchpad, which does not say it.

    Returns
    -------
    list, str
        The tasks, and the name of the sink's mover.

    Raises
    ------
    SequenceError
        There are no movers for it, `pattern` has more than 32 bits, `nbytes` is missing, not
        positive, or given where the target says it.
    MappingError
        As :func:`~weft.sw.lower.lower`.
    """
    if not 0 <= pattern < PATTERN_LIMIT:
        raise SequenceError(
            f"fill: pattern = {pattern:#x}: must be from 0 to {PATTERN_LIMIT - 1:#x}"
        )
    if isinstance(target, MemRef) != (nbytes is None) or (nbytes is not None and nbytes <= 0):
        text = "says how much of the scratchpad is filled, and only there"
        raise SequenceError(f"fill: nbytes = {nbytes}: {text}")
    length = target.nbytes if isinstance(target, MemRef) else nbytes or 0
    uniform = pattern == (pattern & 0xFF) * 0x0101_0101
    giver = next(
        (
            mover
            for mover in map(config.mover, config.switch_sources)
            if mover.kind == "mm2s" and mover.guards and (uniform or "xor" in mover.extensions)
        ),
        None,
    )
    kind = "s2mm" if isinstance(target, MemRef) else "write"
    taker = next((m for m in map(config.mover, config.switch_sinks) if m.kind == kind), None)
    if giver is None or taker is None:
        extension = "" if uniform else " and the extension 'xor'"
        raise SequenceError(
            f"fill takes an mm2s mover with a guard{extension} and a {kind} mover on the switch, "
            f"and configuration {config.name} lacks them"
        )
    run = MemRef(address=0, offset=0, sizes=(length,), strides=(1,), dtype=np.dtype(np.uint8))
    nothing = replace(lower(giver, run), guards=(Guard(limit=0),))
    if uniform:
        nothing = replace(nothing, pad=pattern & 0xFF)
    else:
        nothing = replace(nothing, extensions=("xor",), parameters={"xor": pattern})
    if isinstance(target, MemRef):
        walks = [lower(taker, piece) for piece in slices(taker, target)]
    else:
        walks = [contiguous(config.memory, taker, base=target.offset, length=length)]
    steps = [(giver.name, joined(nothing, giver, taker))]
    steps += [(taker.name, joined(walk, taker, giver)) for walk in walks]
    return steps, taker.name
