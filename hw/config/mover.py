"""Parameters of a mover."""

import math
from dataclasses import dataclass

from ..registry import EXTENSIONS
from .array import ARRAY_PORTS
from .checks import check, check_range, is_power_of_two

__all__ = ["MAX_CHANNELS", "MAX_DESCRIPTORS", "MAX_REPLAY_DEPTH", "SWITCH", "MoverConfig"]

SCRATCHPAD_KINDS = ("read", "write")
DRAM_KINDS = ("mm2s", "s2mm")

SWITCH = "switch"
"""What a mover binds whose BDs choose the other end of their stream."""

MAX_EXTENSIONS = 8
"""A descriptor enables each by a bit."""

MAX_REPLAY_DEPTH = 64

MAX_DESCRIPTORS = 64
"""The `next` field of a descriptor has six bits."""

MAX_CHANNELS = 255
"""Of a scratchpad mover; its accesses in a cycle are counted in as many bits as this takes."""

RESERVED_NAMES = (
    "array",
    "bridge",
    "control",
    "dma",
    "lock_host",
    "lock_sets",
    "locks",
    "observer",
    "pages",
    "recorder",
    "scratchpad",
    "sequencer",
    "switch",
    "system",
    "unit",
)
RESERVED_PREFIXES = ("dense_", "extension_", "share_")
"""Parts and register pages of the system, which stand beside the movers."""


@dataclass(frozen=True, kw_only=True)
class MoverConfig:
    """One mover: a scratchpad streamer or a DRAM channel of the DMA.

    Parameters
    ----------
    name
        An ASCII identifier; names registers, counters and ports, of which some differ in case, so
        that no two movers may, and none may be called as another part of the system is.
    kind
        ``read`` and ``write`` move a scratchpad beat, ``mm2s`` and ``s2mm`` a run of DRAM bytes.
    bind
        Where the stream goes: an array port (``array.a`` ... ``array.d``, and ``array.e`` and
        ``array.s`` with a quantizer); ``switch``, where every BD names the other end; the name of
        another mover (a DRAM mover and its scratchpad end name each other, and nothing stands
        between them); or ``export``: a top-level port for an accelerator of the user's own.
    spatial_bounds
        Channels along each spatial dimension, innermost first; empty for a DRAM mover.
    loops
        Temporal loops.
    address_depth, data_depth
        Entries of each channel's address and data FIFO (scratchpad movers).
    prefetch
        Whether channels run ahead, of each other and of the beat (scratchpad movers). Without it a
        beat is one wide request: its channels ask together, and those of the next beat only when
        this one has been taken (``read``) or all of its channels have been granted (``write``). It
        is what prefetching is measured against.
    reach
        0: every channel reaches all banks; g: channel i only reaches banks congruent to i modulo g,
        and no BD may have an addressing mode with groups of fewer banks.
    ports
        Ports to the scratchpad's crossbar, of which channel i uses port i modulo `ports` in turn
        with the others there: fewer than channels make the crossbar smaller, and a beat takes
        channels / ports cycles. 0: one a channel.
    shares_ports_with
        Name of the mover of the other direction whose memory ports this one uses.
    high_priority
        Wins arbitration against movers that are not (subject to aging): at the banks, or, for a
        DRAM mover, at the AXI port.
    guards
        Affine windows per BD. A DRAM mover clips a run to them, a scratchpad mover skips the
        channels outside.
    descriptors, queue_depth
        BD slots, and entries of the task queue.
    extensions
        Stream operators by their names in :data:`~weft.hw.registry.EXTENSIONS`, in the order in
        which the stream goes through them: on the beats of a ``read`` mover, then on the bytes
        between a source and the switch. A source with ``compare`` is a sink of the switch as
        well: of what its own stream is compared with.
    replay_depth
        Beats of the longest run that the extension ``repeater`` gives again; a power of two. It
        keeps all but the last of them in a memory.
    channel_enable
        Whether a BD says which channels access memory (scratchpad movers).
    byte_mask
        Whether a BD says which bytes of every word are written (``write`` movers).
    """

    name: str
    kind: str
    bind: str
    spatial_bounds: tuple[int, ...] = ()
    loops: int = 3
    address_depth: int = 8
    data_depth: int = 8
    prefetch: bool = True
    reach: int = 0
    ports: int = 0
    shares_ports_with: str = ""
    high_priority: bool = True
    guards: int = 0
    descriptors: int = 4
    queue_depth: int = 4
    extensions: tuple[str, ...] = ()
    replay_depth: int = 1
    channel_enable: bool = False
    byte_mask: bool = False

    def __post_init__(self) -> None:
        where = f"movers.{self.name}"
        check(
            self.name.isascii() and self.name.isidentifier(),
            "movers.name",
            self.name,
            "must be an identifier of ASCII letters, digits and underscores",
        )
        check(
            self.name.lower() not in RESERVED_NAMES
            and not self.name.lower().startswith(RESERVED_PREFIXES),
            "movers.name",
            self.name,
            "is what another part of the system is called",
        )
        check(
            self.kind in SCRATCHPAD_KINDS + DRAM_KINDS,
            f"{where}.kind",
            self.kind,
            "must be one of read, write, mm2s, s2mm",
        )
        check_range(f"{where}.loops", self.loops, 1, 8)
        check_range(f"{where}.descriptors", self.descriptors, 1, MAX_DESCRIPTORS)
        check_range(f"{where}.queue_depth", self.queue_depth, 1, 64)
        check_range(f"{where}.guards", self.guards, 0, 4)
        self._check_extensions(f"{where}.extensions")
        check(
            not self.channel_enable or self.is_scratchpad,
            f"{where}.channel_enable",
            self.channel_enable,
            "a DRAM mover has no channels",
        )
        check(
            self.prefetch or self.is_scratchpad,
            f"{where}.prefetch",
            self.prefetch,
            "only a scratchpad mover can be without",
        )
        check(
            not self.byte_mask or self.kind == "write",
            f"{where}.byte_mask",
            self.byte_mask,
            "only a write mover masks bytes",
        )
        if self.is_scratchpad:
            check(
                len(self.spatial_bounds) in range(1, 4),
                f"{where}.spatial_bounds",
                self.spatial_bounds,
                "a scratchpad mover has 1 to 3 spatial dimensions",
            )
            for bound in self.spatial_bounds:
                check_range(f"{where}.spatial_bounds", bound, 1, 64)
            check(
                self.channels <= MAX_CHANNELS,
                f"{where}.spatial_bounds",
                self.spatial_bounds,
                f"more than {MAX_CHANNELS} channels",
            )
            check_range(f"{where}.address_depth", self.address_depth, 2, 64)
            check_range(f"{where}.data_depth", self.data_depth, 2, 64)
            check_range(f"{where}.ports", self.ports, 0, self.channels)
            check(
                self.channels % self.memory_ports == 0,
                f"{where}.ports",
                self.ports,
                f"must divide the {self.channels} channels",
            )
        else:
            check(
                not self.spatial_bounds,
                f"{where}.spatial_bounds",
                self.spatial_bounds,
                "a DRAM mover has no spatial dimension",
            )
            for name in ("ports", "shares_ports_with"):
                value = getattr(self, name)
                check(not value, f"{where}.{name}", value, "a DRAM mover has no scratchpad port")
            check(self.bind != "export", f"{where}.bind", self.bind, "a DRAM stream stays inside")

    def _check_extensions(self, where: str) -> None:
        names = self.extensions
        for name in names:
            known = ", ".join(EXTENSIONS)
            check(name in EXTENSIONS, where, name, f"is none of {known}")
            check(
                self._works_on_beats(name) or self._works_on_bytes(name),
                where,
                name,
                "works on the beats of a read mover"
                if EXTENSIONS[name].beats
                else "works on the bytes between a source and the switch",
            )
        check(len(set(names)) == len(names), where, names, "each name stands once")
        check(len(names) <= MAX_EXTENSIONS, where, names, f"at most {MAX_EXTENSIONS}")
        check(
            names == (*self.beat_extensions, *self.byte_extensions),
            where,
            names,
            "those that work on beats come before those that work on bytes",
        )
        check(
            "compare" not in names[:-1],
            where,
            names,
            "compare comes last: it is where two streams of the switch meet",
        )
        depth = self.replay_depth
        check_range(f"movers.{self.name}.replay_depth", depth, 1, MAX_REPLAY_DEPTH)
        check(
            is_power_of_two(depth) and (depth == 1 or "repeater" in names),
            f"movers.{self.name}.replay_depth",
            depth,
            "must be a power of two, and 1 without the extension repeater",
        )
        results = [name for name in names if EXTENSIONS[name].result]
        check(len(results) <= 1, where, results, "a record has the result of one of them")

    def parameter_bits(self, extension: str) -> int:
        """Width of what a BD tells the extension of that name; 0 if it tells it nothing."""
        kind = EXTENSIONS[extension]
        return kind.parameter_bits + (self.replay_depth - 1).bit_length() * kind.replays

    def _works_on_beats(self, name: str) -> bool:
        return self.kind == "read" and bool(EXTENSIONS[name].beats)

    def _works_on_bytes(self, name: str) -> bool:
        return self.is_source and self.bind == SWITCH and bool(EXTENSIONS[name].bytes)

    @property
    def beat_extensions(self) -> tuple[str, ...]:
        """Those of its extensions that work on marked beats."""
        return tuple(name for name in self.extensions if self._works_on_beats(name))

    @property
    def byte_extensions(self) -> tuple[str, ...]:
        """Those of its extensions that work on the DMA's bytes."""
        return tuple(name for name in self.extensions if not self._works_on_beats(name))

    @property
    def is_scratchpad(self) -> bool:
        return self.kind in SCRATCHPAD_KINDS

    @property
    def is_source(self) -> bool:
        """Whether the mover gives a stream (``read``, ``mm2s``) or takes one."""
        return self.kind in ("read", "mm2s")

    @property
    def channels(self) -> int:
        """Scratchpad words moved side by side in a beat; 1 (``math.prod(())``) for a DRAM mover."""
        return math.prod(self.spatial_bounds)

    @property
    def memory_ports(self) -> int:
        """Ports of the scratchpad's crossbar that it uses."""
        return self.ports or self.channels

    @property
    def moves_bytes(self) -> bool:
        """Whether the stream is the DMA's, of dense bytes, and not one of marked beats."""
        return self.bind not in (*ARRAY_PORTS, "export")

    @property
    def compares(self) -> bool:
        """Whether a BD may have the stream compared with that of another source."""
        return "compare" in self.extensions

    @property
    def has_result(self) -> bool:
        """Whether one of its stream operators finds something."""
        return any(EXTENSIONS[name].result for name in self.extensions)

    def reaches(self, bank: int) -> bool:
        """Whether one of its channels is wired to `bank`."""
        return self.is_scratchpad and (self.reach == 0 or bank % self.reach < self.channels)
