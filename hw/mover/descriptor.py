"""The buffer descriptor (BD): one grid of 32-bit words for every mover.

Words w0-w7 are the same everywhere; loops, spatial strides or run length, guards, masks of channels
and bytes, and the parameters of extensions follow, and what a mover does not have is absent. The
hardware views a BD through :attr:`Descriptor.layout`, and the driver packs with the same object.

Loop strides are stored as *deltas*: what the address changes by when loop l is the outermost one
that steps, which is its stride less the rewind of the loops inside::

    delta[l] = stride[l] - sum((bound[j] - 1) * stride[j] for j < l)

so that the address generator adds one number a row (and so do the guards). A bound of 0 is legal
and means that the BD moves nothing.

A BD of a chain names its follower (``use_next``, ``next``). Before its first row every execution
acquires its lock, after its last response it releases one by a signed delta, 0 for none
(:mod:`weft.hw.mover.locks`). An iterating BD adds ``iteration_offset`` to its base, which is
``iteration_current`` times ``iteration_stride`` when it is written; both then go on by themselves
(:mod:`weft.hw.mover.iteration`). A task is recorded (:mod:`weft.hw.bus.record`) if the BD that ends
it, the last of its chain or one that failed a check, has ``record``.
"""

from __future__ import annotations

from collections.abc import Mapping

from amaranth.hdl import Shape, signed, unsigned
from amaranth.lib import data

from ..agu.row import (
    BOUND_BITS,
    COEFFICIENT_BITS,
    GUARD_BITS,
    channel_address,
    row_address_bits,
    stride_shape,
)
from ..bus.fault import FAULT_ADDRESS_BITS, TAG_BITS
from ..bus.streams import present_fields, switch_route
from ..config import (
    MAX_DESCRIPTORS,
    ROUTE_BITS,
    SWITCH,
    AcceleratorConfig,
    MemoryConfig,
    MoverConfig,
)
from ..errors import ConfigError

__all__ = ["MAX_WORDS", "RUN_LENGTH_BITS", "Descriptor", "dram_settings", "scratchpad_settings"]

RUN_LENGTH_BITS = 24
DIMENSION_BITS = 2
MAX_WORDS = 64
"""Slot pitch in the register map, in words."""

_COMMON: dict[str, tuple[int, int, object]] = {
    # name: (word, lowest bit, shape)
    "valid": (0, 0, unsigned(1)),
    "use_next": (0, 1, unsigned(1)),
    "next": (0, 2, range(MAX_DESCRIPTORS)),
    "acquire_enable": (0, 8, unsigned(1)),
    "acquire_mode": (0, 9, unsigned(1)),
    "acquire_id": (0, 10, unsigned(5)),
    "acquire_value": (0, 15, unsigned(6)),
    "release_id": (0, 21, unsigned(5)),
    "release_delta": (0, 26, signed(6)),
    "mark_level": (1, 0, unsigned(4)),
    "mode": (1, 4, unsigned(3)),
    "pad": (1, 7, unsigned(8)),
    "extensions": (1, 15, unsigned(8)),
    "route": (1, 23, unsigned(ROUTE_BITS)),
    "record": (1, 31, unsigned(1)),
    "operator": (2, 0, unsigned(32)),
    "base": (3, 0, unsigned(64)),
    "iteration_size": (5, 0, unsigned(16)),
    "iteration_current": (5, 16, unsigned(16)),
    "iteration_stride": (6, 0, signed(32)),
    "iteration_offset": (7, 0, signed(32)),
}


class Descriptor:
    """The BD of one mover.

    Parameters
    ----------
    config
        The system.
    mover
        One of its movers.

    Attributes
    ----------
    layout : :class:`amaranth.lib.data.FlexibleLayout`
        Every field by name at its place in the grid. ``bounds`` and ``deltas`` are arrays of
        `mover.loops`; ``spatial_strides`` (scratchpad) of `len(mover.spatial_bounds)`;
        ``run_length`` (DRAM) is in bytes. ``guards`` are affine windows with a running value that
        starts at ``offset`` and steps by ``deltas``. DRAM: {offset, limit, run, deltas}, and byte i
        of a run exists iff ``0 <= value + run * i < limit`` for all of them. Scratchpad: {offset,
        limit, coefficient, dimension, deltas}, and a channel exists iff ``0 <= value + coefficient
        * i < limit``, with i its index along spatial ``dimension``. With a limit of 0 nothing
        exists. Where guards can exclude the first channel, ``base`` is signed. ``channels`` has a
        bit for each channel that accesses memory; ``byte_mask`` one for each byte of a word that is
        written; both are there only where the mover has them. ``parameters`` has a word for each of
        the mover's extensions that takes one, by its name.
    words : int
        Length in 32-bit words.
    unsupported : tuple of str
        Fields without hardware: setting one is refused by the driver and flagged by the mover.
    """

    def __init__(self, config: AcceleratorConfig, mover: MoverConfig) -> None:
        self.config = config
        self.mover = mover
        fields = {
            name: data.Field(shape, word * 32 + bit) for name, (word, bit, shape) in _COMMON.items()
        }
        if mover.is_scratchpad and mover.guards:
            fields["base"] = data.Field(signed(64), fields["base"].offset)
        word = 8

        def place(name: str, shape: object) -> None:
            nonlocal word
            fields[name] = data.Field(shape, word * 32)
            word += -(-Shape.cast(shape).width // 32)

        place("bounds", data.ArrayLayout(unsigned(BOUND_BITS), mover.loops))
        place("deltas", data.ArrayLayout(signed(32), mover.loops))
        if mover.is_scratchpad:
            strides = data.ArrayLayout(signed(32), len(mover.spatial_bounds))
            place("spatial_strides", strides)
        else:
            place("run_length", unsigned(RUN_LENGTH_BITS))
        if mover.guards:
            place("guards", data.ArrayLayout(_guard(mover), mover.guards))
        if mover.channel_enable:
            place("channels", unsigned(mover.channels))
        if mover.byte_mask:
            place("byte_mask", unsigned(config.memory.word_bytes))
        parameters = {name: mover.parameter_bits(name) for name in mover.extensions}
        if any(parameters.values()):
            place("parameters", _parameters(parameters))
        self.words = word
        if self.words > MAX_WORDS:
            raise ConfigError(
                f"movers.{mover.name}.loops",
                mover.loops,
                f"with {mover.guards} guards its descriptor has {self.words} words of {MAX_WORDS}",
            )
        self.layout = data.FlexibleLayout(self.words * 32, fields)

    @property
    def unsupported(self) -> tuple[str, ...]:
        names = []
        if not self.has_records:
            names.append("record")
        if not self.mover.extensions:
            names.append("extensions")
        if not self.has_route:
            names.append("route")
        if not self.mover.is_scratchpad:
            names.append("mode")
        if not self.has_operator:
            names.append("operator")
        return tuple(names)

    @property
    def has_records(self) -> bool:
        """Whether a task can have a completion record."""
        return self.config.dma is not None and self.config.dma.records

    @property
    def has_operator(self) -> bool:
        """Whether the array takes this mover's operator words."""
        return self.mover.bind == "array.a"

    @property
    def has_route(self) -> bool:
        """Whether a BD says where its stream comes from or goes to."""
        return self.mover.bind == SWITCH

    @property
    def route(self) -> data.StructLayout | int:
        """Shape of what a BD says of that: its route, or, of a mover that compares, a
        :func:`~weft.hw.bus.streams.switch_route`."""
        return switch_route() if self.mover.compares else ROUTE_BITS

    @property
    def settings(self) -> data.StructLayout:
        """The fields that the mover's port needs with every row (names as in the layout).

        A scratchpad row has its execution's ``tag`` as well, so that a fault names the right one.
        """
        if not self.mover.is_scratchpad:
            return dram_settings(self.mover.guards)
        return scratchpad_settings(self.config.memory, self.mover)

    @property
    def loaded_settings(self) -> data.StructLayout:
        """Those of `settings` that are taken from the BD when it is loaded; the others are read
        with its rows, see :class:`~weft.hw.mover.rows.RowSettings`."""
        loaded = ("tag", "mode", "pad")
        return data.StructLayout(
            {name: field.shape for name, field in self.settings if name in loaded}
        )

    @property
    def address_bits(self) -> int:
        """Width of the mover's temporal address."""
        if self.mover.is_scratchpad:
            return row_address_bits(self.config.memory, self.mover.guards)
        assert self.config.dma is not None
        return self.config.dma.address_bits

    @property
    def fault_address(self) -> Shape:
        """Shape of the addresses that the mover's port reports with a fault."""
        if self.mover.is_scratchpad:
            return channel_address(self.config.memory, self.mover)
        return unsigned(FAULT_ADDRESS_BITS)


def dram_settings(guards: int) -> data.StructLayout:
    """The fields that a DRAM port needs with every row."""
    return present_fields(
        {
            "run_length": RUN_LENGTH_BITS,
            "pad": 8,
            "limits": data.ArrayLayout(unsigned(GUARD_BITS - 1), guards),
            "runs": data.ArrayLayout(unsigned(1), guards),
        }
    )


def scratchpad_settings(memory: MemoryConfig, mover: MoverConfig) -> data.StructLayout:
    """The fields that a scratchpad port needs with every row."""
    dimensions = len(mover.spatial_bounds)
    stride = stride_shape(memory)
    return present_fields(
        {
            "tag": TAG_BITS,
            "mode": range(max(len(memory.groups), 2)),
            "pad": 8,
            "channels": mover.channels if mover.channel_enable else 0,
            "byte_mask": memory.word_bytes if mover.byte_mask else 0,
            "spatial_strides": data.ArrayLayout(stride, dimensions),
            "limits": data.ArrayLayout(unsigned(GUARD_BITS - 1), mover.guards),
            "coefficients": data.ArrayLayout(signed(COEFFICIENT_BITS), mover.guards),
            "dimensions": data.ArrayLayout(Shape.cast(range(dimensions)), mover.guards),
        }
    )


def _parameters(widths: Mapping[str, int]) -> data.Layout:
    """One word for each that has a width."""
    present = [name for name, width in widths.items() if width]
    fields = {
        name: data.Field(unsigned(widths[name]), 32 * index) for index, name in enumerate(present)
    }
    return data.FlexibleLayout(32 * len(fields), fields)


def _guard(mover: MoverConfig) -> data.Layout:
    """A guard in the BD, in whole words."""
    deltas = data.ArrayLayout(signed(GUARD_BITS), mover.loops)
    fields = {
        "offset": data.Field(signed(GUARD_BITS), 0),
        "limit": data.Field(unsigned(GUARD_BITS - 1), 32),
    }
    if mover.is_scratchpad:
        fields["coefficient"] = data.Field(signed(COEFFICIENT_BITS), 64)
        fields["dimension"] = data.Field(unsigned(DIMENSION_BITS), 80)
    else:
        fields["run"] = data.Field(unsigned(1), 63)
    head = 96 if mover.is_scratchpad else 64
    return data.FlexibleLayout(head + deltas.size, fields | {"deltas": data.Field(deltas, head)})
