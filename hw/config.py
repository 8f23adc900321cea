"""Design-time parameters: the one place where each is declared and checked.

A configuration is a tree of frozen dataclasses. Construction checks every field and every
combination, and raises :class:`~weft.hw.errors.ConfigError` naming field, value and rule. A
parameter that the gateware does not honour yet is refused, never ignored.

Widths are in bits and depths in entries unless a name says otherwise. A *word* is one bank access
(``memory.bank_bits``); a *beat* is what a mover hands over in one cycle (its channels x a word).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from .errors import ConfigError
from .registry import EXTENSIONS

__all__ = [
    "AcceleratorConfig",
    "ArrayConfig",
    "DmaConfig",
    "MemoryConfig",
    "MoverConfig",
    "SequencerConfig",
]

QUANTIZER_PORTS = ("array.e", "array.s")
"""Streams of the systolic array's quantizer: its results and its parameters."""

ARRAY_PORTS = ("array.a", "array.b", "array.c", "array.d", *QUANTIZER_PORTS)
"""Streams of the systolic array that a mover can be bound to; see :attr:`ArrayConfig.ports`."""

ARRAY_SINKS = ("array.d", "array.e")
"""Those of them that a write mover takes."""

PARAMETER_BITS = 128
"""What the quantizer knows about a column, in memory."""

SCRATCHPAD_KINDS = ("read", "write")
DRAM_KINDS = ("mm2s", "s2mm")

SWITCH = "switch"
"""What a mover binds whose BDs choose the other end of their stream."""

ROUTE_BITS = 8
"""Width of a BD's route: a mask of the switch's sinks, or the index of one of its sources."""

MAX_EXTENSIONS = 8
"""A descriptor enables each by a bit."""

MAX_DESCRIPTORS = 64
"""The `next` field of a descriptor has six bits."""

MAX_LOCKS = 32
"""A descriptor names a lock in five bits."""

MAX_MOVERS = 30
"""Each has a bit in the interrupt registers; the two above are the locks' and the sequencer's."""

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


def _check(condition: bool, name: str, value: object, rule: str) -> None:
    if not condition:
        raise ConfigError(name, value, rule)


def _check_range(name: str, value: object, low: int, high: int) -> None:
    _check(
        isinstance(value, int) and not isinstance(value, bool) and low <= value <= high,
        name,
        value,
        f"must be an integer from {low} to {high}",
    )


def _is_power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0


@dataclass(frozen=True, kw_only=True)
class MemoryConfig:
    """The banked scratchpad and its crossbar.

    Parameters
    ----------
    banks
        Number of banks, a power of two.
    bank_bits
        Width of a bank, and so of a word.
    rows
        Words in a bank, a power of two.
    groups
        Banks in a group for each addressing mode; a BD's mode is an index into this tuple.
        All banks is FIMA, one bank is NIMA, anything between is GIMA (DataMaestro, section III-D).
    crossbar_stages
        1: arbitrate and access in one cycle; 2: a register between arbiter and bank; 3: a register
        after the response multiplexer as well. The read latency in cycles is the same number.
    aging
        A low-priority request that has lost this many cycles in a row at a bank counts as a
        high-priority one until it is served.
    fill_priority
        Whether the emptiest readers and the fullest writers of a class can be made to go first at
        the banks, by a bit in a register.
    bank_counters
        Whether each bank counts the cycles in which a request for it was not granted.
    """

    banks: int = 32
    bank_bits: int = 64
    rows: int = 512
    groups: tuple[int, ...] = (32, 16, 8, 1)
    crossbar_stages: int = 1
    aging: int = 16
    fill_priority: bool = False
    bank_counters: bool = False

    def __post_init__(self) -> None:
        for name, low, high in (("banks", 2, 256), ("bank_bits", 16, 512), ("rows", 2, 1 << 16)):
            value = getattr(self, name)
            _check_range(f"memory.{name}", value, low, high)
            _check(_is_power_of_two(value), f"memory.{name}", value, "must be a power of two")
        _check(len(self.groups) in range(1, 9), "memory.groups", self.groups, "1 to 8 modes")
        for group in self.groups:
            _check(
                _is_power_of_two(group) and group <= self.banks,
                "memory.groups",
                group,
                f"banks a group must be a power of two of at most {self.banks}",
            )
        _check(
            len(set(self.groups)) == len(self.groups),
            "memory.groups",
            self.groups,
            "each group size stands once",
        )
        _check_range("memory.crossbar_stages", self.crossbar_stages, 1, 3)
        _check_range("memory.aging", self.aging, 1, 255)

    @property
    def word_bytes(self) -> int:
        return self.bank_bits // 8

    @property
    def bytes(self) -> int:
        """Capacity in bytes."""
        return self.banks * self.rows * self.word_bytes

    @property
    def address_bits(self) -> int:
        """Width of a byte address."""
        return (self.bytes - 1).bit_length()

    @property
    def latency(self) -> int:
        """Cycles from the grant of a read to its response."""
        return self.crossbar_stages


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
    reach
        0: every channel reaches all banks; g: channel i only reaches banks congruent to i modulo g.
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
    reach: int = 0
    ports: int = 0
    shares_ports_with: str = ""
    high_priority: bool = True
    guards: int = 0
    descriptors: int = 4
    queue_depth: int = 4
    extensions: tuple[str, ...] = ()
    channel_enable: bool = False
    byte_mask: bool = False

    def __post_init__(self) -> None:
        where = f"movers.{self.name}"
        _check(
            self.name.isascii() and self.name.isidentifier(),
            "movers.name",
            self.name,
            "must be an identifier of ASCII letters, digits and underscores",
        )
        _check(
            self.name.lower() not in RESERVED_NAMES
            and not self.name.lower().startswith(RESERVED_PREFIXES),
            "movers.name",
            self.name,
            "is what another part of the system is called",
        )
        _check(
            self.kind in SCRATCHPAD_KINDS + DRAM_KINDS,
            f"{where}.kind",
            self.kind,
            "must be one of read, write, mm2s, s2mm",
        )
        _check_range(f"{where}.loops", self.loops, 1, 8)
        _check_range(f"{where}.descriptors", self.descriptors, 1, MAX_DESCRIPTORS)
        _check_range(f"{where}.queue_depth", self.queue_depth, 1, 64)
        _check_range(f"{where}.guards", self.guards, 0, 4)
        self._check_extensions(f"{where}.extensions")
        _check(
            not self.channel_enable or self.is_scratchpad,
            f"{where}.channel_enable",
            self.channel_enable,
            "a DRAM mover has no channels",
        )
        _check(
            not self.byte_mask or self.kind == "write",
            f"{where}.byte_mask",
            self.byte_mask,
            "only a write mover masks bytes",
        )
        if self.is_scratchpad:
            _check(
                len(self.spatial_bounds) in range(1, 4),
                f"{where}.spatial_bounds",
                self.spatial_bounds,
                "a scratchpad mover has 1 to 3 spatial dimensions",
            )
            for bound in self.spatial_bounds:
                _check_range(f"{where}.spatial_bounds", bound, 1, 64)
            _check(
                self.channels <= MAX_CHANNELS,
                f"{where}.spatial_bounds",
                self.spatial_bounds,
                f"more than {MAX_CHANNELS} channels",
            )
            _check_range(f"{where}.address_depth", self.address_depth, 2, 64)
            _check_range(f"{where}.data_depth", self.data_depth, 2, 64)
            _check_range(f"{where}.ports", self.ports, 0, self.channels)
            _check(
                self.channels % self.memory_ports == 0,
                f"{where}.ports",
                self.ports,
                f"must divide the {self.channels} channels",
            )
        else:
            _check(
                not self.spatial_bounds,
                f"{where}.spatial_bounds",
                self.spatial_bounds,
                "a DRAM mover has no spatial dimension",
            )
            for name in ("ports", "shares_ports_with"):
                value = getattr(self, name)
                _check(not value, f"{where}.{name}", value, "a DRAM mover has no scratchpad port")
            _check(self.bind != "export", f"{where}.bind", self.bind, "a DRAM stream stays inside")

    def _check_extensions(self, where: str) -> None:
        names = self.extensions
        for name in names:
            known = ", ".join(EXTENSIONS)
            _check(name in EXTENSIONS, where, name, f"is none of {known}")
            _check(
                self._works_on_beats(name) or self._works_on_bytes(name),
                where,
                name,
                "works on the beats of a read mover"
                if EXTENSIONS[name].beats
                else "works on the bytes between a source and the switch",
            )
        _check(len(set(names)) == len(names), where, names, "each name stands once")
        _check(len(names) <= MAX_EXTENSIONS, where, names, f"at most {MAX_EXTENSIONS}")
        _check(
            names == (*self.beat_extensions, *self.byte_extensions),
            where,
            names,
            "those that work on beats come before those that work on bytes",
        )
        _check(
            "compare" not in names[:-1],
            where,
            names,
            "compare comes last: it is where two streams of the switch meet",
        )
        results = [name for name in names if EXTENSIONS[name].result]
        _check(len(results) <= 1, where, results, "a record has the result of one of them")

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


@dataclass(frozen=True, kw_only=True)
class ArrayConfig:
    """The systolic array: ``mu`` x ``nu`` elements of ``ku``-long dot products a cycle.

    Parameters
    ----------
    mu, nu, ku
        Rows, columns, and products of a dot product.
    operand_bits, accumulator_bits
        Widths of A and B, and of C and D.
    zero_points
        Whether A and B can have one, which is subtracted on the way in; a bit more an operand.
    quantizer
        Whether there are ports E, int8 results, and S, the parameters that make them of D's.
    """

    mu: int = 8
    nu: int = 8
    ku: int = 8
    operand_bits: int = 8
    accumulator_bits: int = 32
    zero_points: bool = False
    quantizer: bool = False

    def __post_init__(self) -> None:
        for name in ("mu", "nu", "ku"):
            _check_range(f"array.{name}", getattr(self, name), 1, 64)
        for name, only in (("operand_bits", 8), ("accumulator_bits", 32)):
            value = getattr(self, name)
            _check(value == only, f"array.{name}", value, f"only {only} is built yet")

    @property
    def a_bits(self) -> int:
        """Width of an A beat: mu rows of ku operands."""
        return self.mu * self.ku * self.operand_bits

    @property
    def b_bits(self) -> int:
        """Width of a B beat: ku rows of nu operands."""
        return self.ku * self.nu * self.operand_bits

    @property
    def d_bits(self) -> int:
        """Width of a C or D beat: mu rows of nu accumulators."""
        return self.mu * self.nu * self.accumulator_bits

    @property
    def e_bits(self) -> int:
        """Width of an E beat: mu rows of nu results, as wide as operands."""
        return self.mu * self.nu * self.operand_bits

    @property
    def s_bits(self) -> int:
        """Parameters of a tile's nu columns: the width of an S beat, or a multiple of it."""
        return self.nu * PARAMETER_BITS

    @property
    def factor_bits(self) -> int:
        """Width of what the array multiplies: an operand less its zero point."""
        return self.operand_bits + self.zero_points

    @property
    def macs(self) -> int:
        """Multiply-accumulates in one step."""
        return self.mu * self.nu * self.ku

    @property
    def ports(self) -> tuple[str, ...]:
        """Its streams, each of which a mover binds."""
        return tuple(p for p in ARRAY_PORTS if self.quantizer or p not in QUANTIZER_PORTS)

    def beat_bits(self, port: str) -> int:
        """Width of the stream of `port`, one of `ports`; of ``array.s`` the greatest."""
        return {
            "array.a": self.a_bits,
            "array.b": self.b_bits,
            "array.c": self.d_bits,
            "array.d": self.d_bits,
            "array.e": self.e_bits,
            "array.s": self.s_bits,
        }[port]


@dataclass(frozen=True, kw_only=True)
class DmaConfig:
    """The AXI4 master shared by the DRAM movers.

    Parameters
    ----------
    data_bits, address_bits
        Widths of the AXI4 data and address channels.
    burst_beats
        Longest burst; no burst crosses 4 KiB.
    read_outstanding, write_outstanding
        Bursts in flight, tracked apart.
    read_buffer, write_buffer
        Beats of data buffering. A read burst is issued when its beats have reserved room; a write
        burst when it is buffered whole.
    aging
        Bursts of high-priority movers that may go before a waiting one of a mover that is not.
    windows
        Pieces of DRAM that each mover may be confined to.
    records
        Whether movers write a completion record for each task that asks for one.
    """

    data_bits: int = 512
    address_bits: int = 64
    burst_beats: int = 16
    read_outstanding: int = 16
    write_outstanding: int = 16
    read_buffer: int = 64
    write_buffer: int = 64
    aging: int = 16
    windows: int = 0
    records: bool = False

    def __post_init__(self) -> None:
        _check(
            self.data_bits in (32, 64, 128, 256, 512),
            "dma.data_bits",
            self.data_bits,
            "must be 32, 64, 128, 256 or 512",
        )
        _check_range("dma.address_bits", self.address_bits, 32, 64)
        longest = min(256, 4096 * 8 // self.data_bits)
        _check_range("dma.burst_beats", self.burst_beats, 1, longest)
        _check(
            _is_power_of_two(self.burst_beats),
            "dma.burst_beats",
            self.burst_beats,
            "must be a power of two",
        )
        for name in ("read_outstanding", "write_outstanding"):
            _check_range(f"dma.{name}", getattr(self, name), 1, 256)
        for name in ("read_buffer", "write_buffer"):
            _check_range(f"dma.{name}", getattr(self, name), self.burst_beats, 4096)
        _check_range("dma.aging", self.aging, 1, 255)
        _check_range("dma.windows", self.windows, 0, 8)

    @property
    def data_bytes(self) -> int:
        return self.data_bits // 8


@dataclass(frozen=True, kw_only=True)
class SequencerConfig:
    """What plays programs from DRAM.

    Parameters
    ----------
    arguments
        64-bit argument registers.
    fetch_beats
        Bus beats of program that are fetched ahead. For so many bytes a cycle (16 are an
        instruction with its payload, as far as a beat holds them) they must cover the memory's
        latency, an eighth of themselves (a burst) and 10 cycles.
    """

    arguments: int = 8
    fetch_beats: int = 32

    def __post_init__(self) -> None:
        _check_range("sequencer.arguments", self.arguments, 1, 16)
        _check_range("sequencer.fetch_beats", self.fetch_beats, 4, 1024)
        _check(
            _is_power_of_two(self.fetch_beats),
            "sequencer.fetch_beats",
            self.fetch_beats,
            "must be a power of two",
        )


@dataclass(frozen=True, kw_only=True)
class AcceleratorConfig:
    """A whole system: scratchpad, movers, and optionally an array, a DMA and a sequencer.

    ``locks`` counting semaphores are shared by movers, sequencer and host.
    """

    name: str
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    movers: tuple[MoverConfig, ...]
    array: ArrayConfig | None = None
    dma: DmaConfig | None = None
    sequencer: SequencerConfig | None = None
    locks: int = 16

    def __post_init__(self) -> None:
        _check(
            re.fullmatch(r"[A-Za-z0-9_.+-]+", self.name) is not None,
            "name",
            self.name,
            "must be of ASCII letters, digits and . _ + -",
        )
        names = [mover.name for mover in self.movers]
        _check(0 < len(names) <= MAX_MOVERS, "movers", names, f"must be 1 to {MAX_MOVERS} movers")
        _check_range("locks", self.locks, 1, MAX_LOCKS)
        if self.sequencer is not None:
            dma = self.dma
            _check(dma is not None, "sequencer", self.sequencer, "needs a [dma]")
            assert dma is not None
            _check(dma.data_bits >= 64, "dma.data_bits", dma.data_bits, "a sequencer takes 64")
            _check(
                dma.burst_beats * dma.data_bytes >= 32,
                "dma.burst_beats",
                dma.burst_beats,
                "a completion record of the sequencer is one burst of 32 bytes",
            )
        if self.dma is not None and self.dma.records:
            _check(
                self.dma.burst_beats * self.dma.data_bytes >= 32,
                "dma.burst_beats",
                self.dma.burst_beats,
                "a task's record is one burst of 32 bytes",
            )
        _check(
            len({name.lower() for name in names}) == len(names),
            "movers",
            names,
            "each name once, whatever the case of its letters",
        )
        for mover in self.movers:
            _check(
                not mover.has_result or (self.dma is not None and self.dma.records),
                f"movers.{mover.name}.extensions",
                mover.extensions,
                "a result stands in the records of tasks: needs dma.records",
            )
            self._check_bind(mover)
            if mover.is_scratchpad:
                self._check_scratchpad(mover)
        self._check_switch()
        for bank in range(self.memory.banks):
            _check(
                any(mover.reaches(bank) for mover in self.movers),
                "memory.banks",
                self.memory.banks,
                f"no channel of a mover reaches bank {bank}",
            )
        if self.array is not None:
            bound = [mover.bind for mover in self.movers]
            for port in self.array.ports:
                _check(
                    bound.count(port) == 1, "movers.bind", bound, f"exactly one mover binds {port}"
                )

    def _check_switch(self) -> None:
        sources, sinks = self.switch_sources, self.switch_sinks
        if not (sources or sinks):
            return
        _check(bool(sources), "movers.bind", sinks, "the switch needs a source")
        for mover in self.movers:
            _check(
                not mover.compares or len(sources) > 1,
                f"movers.{mover.name}.extensions",
                mover.extensions,
                "there is no other source on the switch to compare with",
            )
        _check(
            1 <= len(sinks) <= ROUTE_BITS,
            "movers.bind",
            sinks,
            f"the switch takes 1 to {ROUTE_BITS} sinks",
        )

    def _check_bind(self, mover: MoverConfig) -> None:
        where, names = f"movers.{mover.name}.bind", {other.name: other for other in self.movers}
        if mover.bind == "export":
            return
        if mover.bind in ARRAY_PORTS:
            _check(self.array is not None, where, mover.bind, "needs an [array]")
            assert self.array is not None
            _check(mover.is_scratchpad, where, mover.bind, "only scratchpad movers feed the array")
            _check(mover.bind in self.array.ports, where, mover.bind, "needs array.quantizer")
            _check(
                mover.is_source == (mover.bind not in ARRAY_SINKS),
                where,
                mover.bind,
                "a, b, c and s take a read mover, d and e a write mover",
            )
            bits = self.beat_bits(mover)
            wanted = self.array.beat_bits(mover.bind)
            if mover.bind == "array.s":
                good = wanted % bits == 0 and bits % PARAMETER_BITS == 0
                rule = f"must be whole columns of {PARAMETER_BITS}, and divide {wanted}"
                _check(good, where, mover.bind, f"beat is {bits} bits: {rule}")
                return
            _check(bits == wanted, where, mover.bind, f"beat is {bits} bits, port {wanted}")
            return
        if mover.bind != SWITCH:
            known = "must be an array port, 'switch', a mover or 'export'"
            _check(mover.bind in names, where, mover.bind, known)
            other = names[mover.bind]
            _check(
                other.bind == mover.name
                and other.is_source != mover.is_source
                and other.is_scratchpad != mover.is_scratchpad,
                where,
                mover.bind,
                "a DRAM mover and a scratchpad mover of the other direction name each other",
            )
        _check(self.dma is not None, where, mover.bind, "needs a [dma]")
        assert self.dma is not None
        if mover.is_scratchpad:
            bits = self.beat_bits(mover)
            _check(
                bits == self.dma.data_bits,
                where,
                mover.bind,
                f"beat is {bits} bits, dma.data_bits {self.dma.data_bits}",
            )

    def _check_scratchpad(self, mover: MoverConfig) -> None:
        where = f"movers.{mover.name}"
        _check(
            mover.reach == 0
            or (_is_power_of_two(mover.reach) and mover.reach <= self.memory.banks),
            f"{where}.reach",
            mover.reach,
            f"must be 0 (all) or a power of two of at most {self.memory.banks}",
        )
        beat_bytes = mover.channels * self.memory.word_bytes
        for name in mover.beat_extensions:
            kind = EXTENSIONS[name]
            _check(
                kind.takes(beat_bytes),
                f"{where}.extensions",
                name,
                f"takes {kind.shape}, not beats of {beat_bytes} bytes",
            )
        if mover.shares_ports_with:
            other = next((m for m in self.movers if m.name == mover.shares_ports_with), None)
            _check(
                other is not None
                and other.shares_ports_with == mover.name
                and {mover.kind, other.kind} == {"read", "write"}
                and (mover.channels, mover.reach, mover.memory_ports, mover.high_priority)
                == (other.channels, other.reach, other.memory_ports, other.high_priority),
                f"{where}.shares_ports_with",
                mover.shares_ports_with,
                "a reader and a writer of the same channels, ports, reach and priority name each "
                "other",
            )

    def mover(self, name: str) -> MoverConfig:
        """The mover called `name`; raises ``KeyError`` where there is none."""
        for mover in self.movers:
            if mover.name == name:
                return mover
        raise KeyError(name)

    @property
    def switch_sources(self) -> tuple[str, ...]:
        """Names of the movers that give a stream to the switch, in the order of its inputs."""
        return tuple(m.name for m in self.movers if m.bind == SWITCH and m.is_source)

    @property
    def switch_sinks(self) -> tuple[str, ...]:
        """Names of the movers that take a stream of the switch, in the order of its outputs.

        Sources that compare are among them.
        """
        return tuple(
            m.name for m in self.movers if m.bind == SWITCH and (m.compares or not m.is_source)
        )

    def switch_ends(self, mover: MoverConfig, *, meets: bool = False) -> tuple[str, ...]:
        """Whom a BD of `mover`, which is on the switch, may name as the other end, but for itself.

        `meets`: the BD of a source has its stream compared with that of another source.
        """
        return self.switch_sinks if mover.is_source and not meets else self.switch_sources

    def beat_bits(self, mover: MoverConfig) -> int:
        """Width of the stream of `mover`, a scratchpad mover."""
        return mover.channels * self.memory.bank_bits

    def bound_to(self, bind: str) -> MoverConfig | None:
        """The mover whose stream is bound to `bind`, or None."""
        return next((mover for mover in self.movers if mover.bind == bind), None)

    def as_dict(self) -> dict[str, Any]:
        """The configuration as plain dictionaries, lists, strings and numbers."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @property
    def hash(self) -> str:
        """Hexadecimal digest of every parameter; the first 32 bits stand in a register."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build from nested dictionaries; an unknown key or a wrong type is a `ConfigError`."""
        values = dict(values)
        sections: dict[str, Any] = {}
        for key, section in (
            ("memory", MemoryConfig),
            ("array", ArrayConfig),
            ("dma", DmaConfig),
            ("sequencer", SequencerConfig),
        ):
            if values.get(key) is not None:
                sections[key] = _build(section, values[key], key)
            values.pop(key, None)
        movers = values.pop("movers", [])
        _check(isinstance(movers, list | tuple), "movers", movers, "must be a list of tables")
        sections["movers"] = tuple(
            _build(MoverConfig, mover, f"movers[{index}]") for index, mover in enumerate(movers)
        )
        return _build(cls, values | sections, "configuration")

    @classmethod
    def from_toml(cls, path: Path) -> Self:
        """Read a configuration file; any flaw is a `ConfigError` that names it."""
        try:
            values = tomllib.loads(path.read_text())
        except OSError as error:
            raise ConfigError("config", str(path), error.strerror or "cannot be read") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError("config", str(path), f"is not TOML: {error}") from None
        return cls.from_dict(values)


def _build(section: Any, values: Any, where: str) -> Any:
    _check(isinstance(values, dict), where, values, "must be a table")
    fields = {entry.name: entry for entry in dataclasses.fields(section)}
    for key, value in values.items():
        _check(key in fields, f"{where}.{key}", value, f"is none of {', '.join(fields)}")
    for entry in fields.values():
        required = entry.default is dataclasses.MISSING
        required = required and entry.default_factory is dataclasses.MISSING
        _check(entry.name in values or not required, f"{where}.{entry.name}", None, "must be given")
    converted = {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
    }
    for key, value in converted.items():
        kind = str(fields[key].type)
        expected = {"int": int, "str": str, "bool": bool}.get(kind)
        if expected is not None:
            _check(type(value) is expected, f"{where}.{key}", value, f"must be of type {kind}")
        elif kind.startswith("tuple[int"):
            good = isinstance(value, tuple) and all(type(item) is int for item in value)
            _check(good, f"{where}.{key}", value, "must be a list of integers")
        elif kind.startswith("tuple[str"):
            good = isinstance(value, tuple) and all(type(item) is str for item in value)
            _check(good, f"{where}.{key}", value, "must be a list of strings")
    return section(**converted)
