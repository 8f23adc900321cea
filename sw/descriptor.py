"""Buffer descriptors in human units, and their words.

:class:`BufferDescriptor` has true byte strides; :meth:`BufferDescriptor.encode` turns them into the
deltas that the address generators add (see hw/mover/descriptor.py), checks every field against its
mover and its memory, and packs with the gateware's own layout. Nothing is masked to fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

from amaranth.hdl import Shape

from ..hw.agu.row import GUARD_BITS
from ..hw.gemm import operator_bits
from ..hw.mover.descriptor import Descriptor
from .errors import DescriptorError
from .guard import Guard
from .reach import check_scratchpad

__all__ = ["BufferDescriptor", "Guard"]

STEP_BITS = 32
"""Width of a stride or delta field."""

_MASKS = ("channels", "byte_mask")


@dataclass(frozen=True, kw_only=True)
class BufferDescriptor:
    """Where a mover's task goes.

    Parameters
    ----------
    base
        Byte address of the first row; of a scratchpad mover with guards it may be one that the
        guards exclude, even a negative one.
    bounds, strides
        Iterations and byte stride of each loop, innermost first; loops that the mover has beyond
        them are 1 iteration. A bound of 0 moves nothing.
    mark_level
        Loops 0...mark_level end with a mark.
    mode
        Addressing mode, an index into ``memory.groups`` (scratchpad).
    pad
        Byte that stands for what a guard excludes.
    operator
        Word for the array: bit 0, C is present.
    extensions
        Names of the mover's stream operators that the stream goes through.
    parameters
        Their parameters by name, as :mod:`weft.sw.operators` gives them; one that is missing is 0.
    channels
        A bit for each channel that accesses memory, channel 0 lowest; None is all of them. Another
        one gives pad bytes, or drops its words; its addresses may be any (movers with a channel
        enable).
    byte_mask
        A bit for each byte of a word that is written, the same for all; None is all of them (movers
        with a byte mask).
    route
        Names of the movers at the other end of the stream, where that goes through the switch:
        every sink of a source, or the source of a sink. With the extension ``compare`` a source
        names the one that it is compared with, which names it as if it was a sink.
    spatial_strides
        Byte stride of each spatial dimension (scratchpad).
    run_length
        Bytes a row (DRAM).
    guards
        Windows; ones that the mover has beyond them exclude nothing.
    use_next, next
        Whether descriptor slot `next` follows.
    acquire_enable, acquire_mode, acquire_id, acquire_value
        Lock to acquire at every execution. Mode 0 waits until it is at least `acquire_value` and
        takes that off it; mode 1 waits until it is `acquire_value` and leaves it.
    release_id, release_delta
        Lock to add `release_delta` to at the end of every execution; 0 releases nothing.
    iteration_size, iteration_current, iteration_stride
        Every execution adds `iteration_current` times `iteration_stride` bytes to the base, then
        the hardware's `iteration_current` steps, and begins again where it reaches
        `iteration_size`. A size of 0 or 1 is none.
    record
        Whether a task that ends with this descriptor writes a completion record, see
        :meth:`~weft.sw.device.Device.enable_records`. Set in all of a chain, a task that one of
        them ends for a flaw is recorded as well.
    """

    base: int
    bounds: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    mark_level: int = 0
    mode: int = 0
    pad: int = 0
    operator: int = 0
    spatial_strides: tuple[int, ...] = ()
    run_length: int = 0
    guards: tuple[Guard, ...] = ()
    use_next: int = 0
    next: int = 0
    acquire_enable: int = 0
    acquire_mode: int = 0
    acquire_id: int = 0
    acquire_value: int = 0
    release_id: int = 0
    release_delta: int = 0
    extensions: tuple[str, ...] = ()
    parameters: Mapping[str, int] = field(default_factory=dict, hash=False)
    channels: int | None = None
    byte_mask: int | None = None
    route: tuple[str, ...] = ()
    record: int = 0
    iteration_size: int = 0
    iteration_current: int = 0
    iteration_stride: int = 0

    def encode(self, spec: Descriptor) -> list[int]:
        """The descriptor's 32-bit words for the mover of `spec`, marked valid.

        Raises
        ------
        DescriptorError
            A field the mover lacks or that does not fit, or (scratchpad) an address of a channel
            that exists, outside the memory, off a word, or in a bank that it does not reach.
        """
        return _Encoder(spec).encode(self)

    @classmethod
    def decode(cls, spec: Descriptor, words: Sequence[int]) -> Self:
        """The descriptor that `words` encode for the mover of `spec`."""
        bits = sum(word << 32 * index for index, word in enumerate(words))
        view = spec.layout.from_bits(bits)
        bounds = tuple(view.bounds[i] for i in range(spec.mover.loops))
        values: dict[str, Any] = {
            entry.name: view[entry.name]
            for entry in fields(cls)
            if entry.type == "int" and _has(spec, entry.name)
        }
        if spec.mover.is_scratchpad:
            dimensions = range(len(spec.mover.spatial_bounds))
            values["spatial_strides"] = tuple(view.spatial_strides[i] for i in dimensions)
        values["extensions"] = _named(view.extensions, spec.mover.extensions)
        values["parameters"] = {
            name: view.parameters[name]
            for name in _parameters(spec)
            if name in values["extensions"] and view.parameters[name]
        }
        if spec.has_route:
            meets = "compare" in values["extensions"]
            ends = spec.config.switch_ends(spec.mover, meets=meets)
            one = meets or not spec.mover.is_source
            values["route"] = ends[view.route :][:1] if one else _named(view.route, ends)
        values["guards"] = tuple(
            Guard(
                offset=view.guards[g].offset,
                limit=view.guards[g].limit,
                strides=_strides(
                    bounds, [view.guards[g].deltas[i] for i in range(spec.mover.loops)]
                ),
                **{name: view.guards[g][name] for name in _guard_fields(spec)},
            )
            for g in range(spec.mover.guards)
        )
        for name in _MASKS:
            if _has(spec, name):
                values[name] = None if view[name] == _all_ones(spec, name) else view[name]
        values["strides"] = _strides(bounds, [view.deltas[i] for i in range(spec.mover.loops)])
        return cls(bounds=bounds, **values)


class _Encoder:
    """Checks and packs for one mover."""

    def __init__(self, spec: Descriptor) -> None:
        self.spec = spec
        self.mover = spec.mover

    def encode(self, descriptor: BufferDescriptor) -> list[int]:
        loops = self.mover.loops
        self.require(
            len(descriptor.bounds) == len(descriptor.strides),
            "strides",
            descriptor.strides,
            f"one a bound, and there are {len(descriptor.bounds)} bounds",
        )
        self.require(
            len(descriptor.bounds) <= loops, "bounds", descriptor.bounds, f"at most {loops} loops"
        )
        self.require(
            0 <= descriptor.mark_level < loops,
            "mark_level",
            descriptor.mark_level,
            f"must be from 0 to {loops - 1}",
        )
        bounds = self.padded("bounds", descriptor.bounds, 1)
        strides = self.padded("strides", descriptor.strides, 0)
        values: dict[str, Any] = {"valid": 1, "bounds": bounds, "deltas": _deltas(bounds, strides)}
        for entry in fields(descriptor):
            if entry.type != "int":
                continue
            value = getattr(descriptor, entry.name)
            if entry.name in self.spec.unsupported or not _has(self.spec, entry.name):
                self.require(value == 0, entry.name, value, "this hardware does not have the field")
            else:
                values[entry.name] = value
        values |= self.masks(descriptor)
        values |= self.stream(descriptor)
        for step in strides:
            self.require_step("strides", step, "a byte stride")
        self.check_chain(descriptor)
        self.require_flag("record", descriptor.record)
        self.check_locks(descriptor)
        values |= self.iteration(descriptor)
        values |= self.shape(descriptor, bounds, strides)
        for name, value in values.items():
            self.require_fits(name, value, self.spec.layout[name].shape)
        if self.mover.is_scratchpad:
            self.check_addresses(descriptor, bounds, strides)
        bits = self.spec.layout.const(values).as_value().value
        return [bits >> 32 * word & 0xFFFF_FFFF for word in range(self.spec.words)]

    def masks(self, descriptor: BufferDescriptor) -> dict[str, Any]:
        """Which channels and bytes; all of those of a mover that has no choice."""
        values = {}
        for name in _MASKS:
            mask = getattr(descriptor, name)
            if _has(self.spec, name):
                values[name] = _all_ones(self.spec, name) if mask is None else mask
            else:
                self.require(mask is None, name, mask, "this hardware does not have the field")
        return values

    def stream(self, descriptor: BufferDescriptor) -> dict[str, Any]:
        """What the stream goes through, and where to."""
        operator, extensions, route = descriptor.operator, descriptor.extensions, descriptor.route
        if self.spec.has_operator:
            assert self.spec.config.array is not None
            known_bits = operator_bits(self.spec.config.array)
            limit = f"must be within the bits {known_bits:#x} that the array knows"
            self.require(operator & ~known_bits == 0, "operator", operator, limit)
        known = self.mover.extensions
        limit = f"each is one of {', '.join(known)}, once" if known else "the mover has none"
        self.require_names("extensions", extensions, known, limit)
        values: dict[str, Any] = {"extensions": sum(1 << known.index(name) for name in extensions)}
        values |= self.parameters(descriptor)
        if not self.spec.has_route:
            limit = "a BD chooses the other end of its stream only on the switch"
            self.require(not route, "route", route, limit)
            return values
        meets = "compare" in extensions
        ends = self.spec.config.switch_ends(self.mover, meets=meets)
        others = [name for name in ends if name != self.mover.name]
        if self.mover.is_source and not meets:
            limit = f"names one or more of the sinks {', '.join(others)}, each once"
            self.require_names("route", route, others, limit)
            self.require(bool(route), "route", route, limit)
            return values | {"route": sum(1 << ends.index(name) for name in route)}
        limit = f"names one of the sources {', '.join(others)}"
        self.require_names("route", route, others, limit)
        self.require(len(route) == 1, "route", route, limit)
        return values | {"route": ends.index(route[0])}

    def parameters(self, descriptor: BufferDescriptor) -> dict[str, Any]:
        """A word for each extension of the mover that takes one."""
        known, given = _parameters(self.spec), descriptor.parameters
        for name, value in given.items():
            place = f"parameters[{name}]"
            text = f"has no meaning without {name} in extensions"
            self.require(name in descriptor.extensions, place, value, text)
            self.require(name in known, place, value, "the extension takes none")
        return {"parameters": {name: given.get(name, 0) for name in known}} if known else {}

    def check_chain(self, descriptor: BufferDescriptor) -> None:
        self.require_flag("use_next", descriptor.use_next)
        limit = f"must be from 0 to {self.mover.descriptors - 1}"
        self.require(0 <= descriptor.next < self.mover.descriptors, "next", descriptor.next, limit)
        self.require_off("next", descriptor.next, "use_next", descriptor.use_next)

    def check_locks(self, descriptor: BufferDescriptor) -> None:
        acquires, releases = descriptor.acquire_enable, descriptor.release_delta
        self.require_flag("acquire_enable", acquires)
        self.require_flag("acquire_mode", descriptor.acquire_mode)
        limit = f"must be from 0 to {self.spec.config.locks - 1}"
        for name in ("acquire_id", "release_id"):
            lock = getattr(descriptor, name)
            self.require(0 <= lock < self.spec.config.locks, name, lock, limit)
        for name in ("acquire_mode", "acquire_id", "acquire_value"):
            self.require_off(name, getattr(descriptor, name), "acquire_enable", acquires)
        self.require_off("release_id", descriptor.release_id, "release_delta", releases)

    def iteration(self, descriptor: BufferDescriptor) -> dict[str, Any]:
        """The offset that goes with the present state; every other one must fit as well."""
        size, current = descriptor.iteration_size, descriptor.iteration_current
        stride = descriptor.iteration_stride
        most = max(size, 1) - 1
        limit = f"must be from 0 to {most} with an iteration_size of {size}"
        self.require(0 <= current <= most, "iteration_current", current, limit)
        self.require_off("iteration_stride", stride, "iteration_size", size)
        self.require_step("iteration_stride", stride, "a byte stride")
        self.require_range("iteration_stride", most * stride, "the last offset", STEP_BITS)
        return {"iteration_offset": current * stride}

    def shape(
        self, descriptor: BufferDescriptor, bounds: Sequence[int], strides: Sequence[int]
    ) -> dict[str, Any]:
        """What only scratchpad or only DRAM movers have."""
        spatial, guards = descriptor.spatial_strides, descriptor.guards
        self.require(
            len(spatial) == len(self.mover.spatial_bounds),
            "spatial_strides",
            spatial,
            f"the mover has {len(self.mover.spatial_bounds)} spatial dimensions",
        )
        self.require(
            len(guards) <= self.mover.guards,
            "guards",
            len(guards),
            f"the mover has {self.mover.guards}",
        )
        if self.mover.is_scratchpad:
            memory, reach = self.spec.config.memory, self.mover.reach
            groups = f" with groups of at least {reach} banks" if reach else ""
            self.require(
                descriptor.mode in memory.modes(reach),
                "mode",
                descriptor.mode,
                f"must be from 0 to {len(memory.groups) - 1}{groups}",
            )
            bits = self.spec.settings["spatial_strides"].shape.elem_shape.width
            for step in spatial:
                self.require_range("spatial_strides", step, "a byte stride", bits)
            return {"spatial_strides": list(spatial)} | self.guards(guards, bounds)
        assert self.spec.config.dma is not None
        bits = self.spec.config.dma.address_bits
        every, steps = _with_iteration(descriptor, bounds, strides)
        low, high = _span(descriptor.base, every, steps, descriptor.run_length)
        self.require(
            low >= 0 and high <= 1 << bits,
            "base",
            f"{descriptor.base:#x}",
            f"addresses from {low:#x} to {high:#x} leave {bits} bits",
        )
        return self.guards(guards, bounds)

    def check_addresses(
        self,
        descriptor: BufferDescriptor,
        bounds: Sequence[int],
        strides: Sequence[int],
    ) -> None:
        """Every address of a scratchpad mover; then what only its adders could not represent."""
        every, steps = _with_iteration(descriptor, bounds, strides)
        check_scratchpad(
            self.spec.config.memory,
            self.mover,
            base=descriptor.base,
            bounds=every,
            strides=steps,
            spatial_strides=descriptor.spatial_strides,
            mode=descriptor.mode,
            guards=descriptor.guards,
            channels=descriptor.channels,
        )
        # Left for rows that do not exist and for loops that never step.
        low = -(1 << self.spec.address_bits - 1) if self.mover.guards else 0
        high = low + (1 << self.spec.address_bits) - 1
        for base in (descriptor.base, descriptor.base + (every[-1] - 1) * steps[-1]):
            self.require(low <= base <= high, "base", base, f"must be from {low} to {high}")
        for loop, delta in enumerate(_deltas(bounds, strides)):
            text = f"what loop {loop} adds when the loops inside restart"
            self.require_step("strides", delta, text)

    def require_step(self, name: str, step: int, what: str) -> None:
        """A step fits its field and (scratchpad) the address unit."""
        self.require_range(name, step, what, min(self.spec.address_bits, STEP_BITS))

    def require_range(self, name: str, value: int, what: str, bits: int) -> None:
        """A signed number of `bits`."""
        limit = 1 << bits - 1
        self.require(
            -limit <= value < limit, name, value, f"{what} must be from {-limit} to {limit - 1}"
        )

    def guards(self, guards: Sequence[Guard], bounds: Sequence[int]) -> dict[str, Any]:
        """All of the mover's guards; those left open exclude nothing."""
        filled = [*guards, *[Guard()] * (self.mover.guards - len(guards))]
        return {"guards": [self.guard(guard, bounds) for guard in filled]} if filled else {}

    def guard(self, guard: Guard, bounds: Sequence[int]) -> dict[str, Any]:
        strides = self.padded("guards.strides", guard.strides, 0)
        deltas = _deltas(bounds, strides)
        # The hardware's running value wraps, and a wrapped one would let a clipped byte exist.
        low, high = _span(guard.offset, bounds, strides, 1)
        most = 1 << GUARD_BITS - 1
        self.require(
            -most <= low and high <= most,
            "guards.strides",
            tuple(guard.strides),
            f"values from {low} to {high - 1} leave the {GUARD_BITS} bits of a guard",
        )
        values: dict[str, Any] = {"offset": guard.offset, "limit": guard.limit, "deltas": deltas}
        for name in ("run", "coefficient", "dimension"):
            value = getattr(guard, name)
            if name in _guard_fields(self.spec):
                values[name] = value
            else:
                text = "a guard of this mover does not have the field"
                self.require(value == 0, f"guards.{name}", value, text)
        if self.mover.is_scratchpad:
            last = len(self.mover.spatial_bounds) - 1
            self.require(
                0 <= guard.dimension <= last,
                "guards.dimension",
                guard.dimension,
                f"must be from 0 to {last}",
            )
        return values

    def padded(self, name: str, values: Sequence[int], fill: int) -> list[int]:
        loops = self.mover.loops
        self.require(len(values) <= loops, name, tuple(values), f"at most {loops} loops")
        return [*values, *[fill] * (loops - len(values))]

    def require(self, condition: bool, name: str, value: object, limit: str) -> None:
        if not condition:
            raise DescriptorError(self.mover.name, name, value, limit)

    def require_names(
        self, name: str, values: Sequence[str], known: Sequence[str], limit: str
    ) -> None:
        """Names of `known`, each once."""
        self.require(isinstance(values, tuple), name, values, "must be a tuple of names")
        good = set(values) <= set(known) and len(set(values)) == len(values)
        self.require(good, name, values, limit)

    def require_flag(self, name: str, value: int) -> None:
        self.require(value in (0, 1), name, value, "must be 0 or 1")

    def require_off(self, name: str, value: int, needed: str, on: int) -> None:
        """What has no meaning without another field is 0 without it."""
        self.require(value == 0 or on != 0, name, value, f"has no meaning without {needed}")

    def require_fits(self, name: str, value: Any, shape: Any) -> None:
        """Every number of a nested `value` lies in its place's range."""
        if isinstance(value, dict):
            for key, item in value.items():
                self.require_fits(f"{name}.{key}", item, shape[key].shape)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self.require_fits(f"{name}[{index}]", item, shape.elem_shape)
        else:
            cast = Shape.cast(shape)
            low = -(1 << cast.width - 1) if cast.signed else 0
            high = (1 << cast.width - cast.signed) - 1
            self.require(
                low <= value <= high, name, value, f"must be from {low} to {high} in its field"
            )


def _named(mask: int, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for index, name in enumerate(names) if mask >> index & 1)


def _has(spec: Descriptor, name: str) -> bool:
    return any(key == name for key, _ in spec.layout)


def _parameters(spec: Descriptor) -> tuple[str, ...]:
    """Extensions of the mover that take a parameter."""
    if not _has(spec, "parameters"):
        return ()
    return tuple(name for name, _ in spec.layout["parameters"].shape)


def _all_ones(spec: Descriptor, name: str) -> int:
    return (1 << Shape.cast(spec.layout[name].shape).width) - 1


def _guard_fields(spec: Descriptor) -> tuple[str, ...]:
    """What a guard of the mover has beyond offset, limit and steps."""
    return ("coefficient", "dimension") if spec.mover.is_scratchpad else ("run",)


def _with_iteration(
    descriptor: BufferDescriptor, bounds: Sequence[int], strides: Sequence[int]
) -> tuple[list[int], list[int]]:
    """Bounds and strides with those of the iteration as the outermost loop."""
    size = max(descriptor.iteration_size, 1)
    return [*bounds, size], [*strides, descriptor.iteration_stride]


def _deltas(bounds: Sequence[int], strides: Sequence[int]) -> list[int]:
    """Stride of each loop less the rewind of the loops inside it."""
    deltas, rewind = [], 0
    for bound, stride in zip(bounds, strides, strict=True):
        deltas.append(stride - rewind)
        rewind += (bound - 1) * stride
    return deltas


def _strides(bounds: Sequence[int], deltas: Sequence[int]) -> tuple[int, ...]:
    strides, rewind = [], 0
    for bound, delta in zip(bounds, deltas, strict=True):
        strides.append(delta + rewind)
        rewind += (bound - 1) * strides[-1]
    return tuple(strides)


def _span(base: int, bounds: Sequence[int], strides: Sequence[int], length: int) -> tuple[int, int]:
    """Lowest byte address of the rows and the one after the highest."""
    if 0 in bounds or length == 0:
        return base, base
    steps = [(bound - 1) * stride for bound, stride in zip(bounds, strides, strict=True)]
    return base + sum(s for s in steps if s < 0), base + sum(s for s in steps if s > 0) + length
