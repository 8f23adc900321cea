"""The seam between a mover's core (queue, BD, loops) and the memory port below it."""

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..agu.row import temporal_row
from ..bus.fault import fault_report
from ..config import MAX_CHANNELS, AcceleratorConfig, MoverConfig
from .descriptor import Descriptor

__all__ = ["ACTIVITY_BITS", "PROGRESS_BITS", "PortSignature", "activity", "most_moved", "progress"]

ACTIVITY_BITS = MAX_CHANNELS.bit_length()
"""Width of `accesses`."""

PROGRESS_BITS = 13
"""Width of `bytes`: of a burst, or of a beat."""


def activity() -> data.StructLayout:
    """What the core counts, cycle by cycle.

    ``valid`` and ``ready`` of the port's data stream; ``conflict``: a request to memory was
    offered and not granted; ``accesses``: words or bus beats granted in this cycle; ``written``: at
    least one of them was a write.
    """
    return data.StructLayout(
        {"valid": 1, "ready": 1, "conflict": 1, "accesses": ACTIVITY_BITS, "written": 1}
    )


def progress() -> data.StructLayout:
    """How far the port is in its BDs: ``bytes`` more in this cycle, of which those of a BD are in
    memory, or out of it; and whether with them the BD has its ``last``."""
    return data.StructLayout({"bytes": PROGRESS_BITS, "last": 1})


def most_moved(config: AcceleratorConfig, mover: MoverConfig) -> tuple[int, int]:
    """The most ``accesses`` and ``bytes`` that there can be in a cycle."""
    if not mover.is_scratchpad:
        return 1, (1 << PROGRESS_BITS) - 1
    return mover.channels, mover.channels * config.memory.word_bytes


class PortSignature(wiring.Signature):
    """A port as its core sees it.

    Members
    -------
    rows : stream of :func:`~weft.hw.agu.row.temporal_row`
    retired : 1
        One pulse for each BD, in order, when its last memory response is in.
    fault : :func:`~weft.hw.bus.fault.fault_report`
    activity : :func:`activity`
    progress : :func:`progress`
    """

    def __init__(self, descriptor: Descriptor) -> None:
        self.row = temporal_row(
            descriptor.address_bits, descriptor.mover.guards, descriptor.settings
        )
        super().__init__(
            {
                "rows": Out(stream.Signature(self.row)),
                "retired": In(1),
                "fault": In(fault_report(descriptor.fault_address)),
                "activity": In(activity()),
                "progress": In(progress()),
            }
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PortSignature) and other.row == self.row

    def __repr__(self) -> str:
        return f"PortSignature(row={self.row!r})"
