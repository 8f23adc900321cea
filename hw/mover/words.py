"""What the hardware keeps of each word of a BD, and what it notes about the rest.

A BD's grid is wider than a mover: a 64-bit base for a scratchpad of 17 address bits, fields of
extensions that it does not have. What does not fit is an error at the load, but to know that it is
enough to note, when a word is written, that it was so: the bits themselves need no place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from amaranth.hdl import Cat, Shape, Value
from amaranth.lib import data

from ..agu.row import loop_step
from .descriptor import Descriptor

__all__ = [
    "WORD_BITS",
    "KeptField",
    "kept_fields",
    "kept_parts",
    "offset_bits",
    "step_bits",
    "word_notes",
]

WORD_BITS = 32


@dataclass(frozen=True, kw_only=True)
class KeptField:
    """A field of a BD, or the part of it that lies in one word.

    Parameters
    ----------
    name
        Of the field, as in the layout.
    offset, width
        Its bits in the BD.
    kept
        How many of them, from the lowest, are kept.
    sign
        Bit of the BD that the others repeat; None for a field that is extended by zeros.
    note
        What it is called, of :func:`word_notes`, that they do not.
    most
        Its greatest value, where that is not what fits the bits that are kept.
    """

    name: str
    offset: int
    width: int
    kept: int
    sign: int | None
    note: str
    most: int | None = None

    @property
    def word(self) -> int:
        return self.offset // WORD_BITS

    @property
    def follows_sign(self) -> bool:
        """Whether the sign is in a word before."""
        return self.sign is not None and self.sign < self.offset


def step_bits(descriptor: Descriptor) -> int:
    """Width of what an iteration adds to the offset of a BD, signed."""
    return min(descriptor.address_bits, WORD_BITS)


def offset_bits(descriptor: Descriptor) -> int:
    """Width of the offset that a BD adds to its base, signed."""
    return min(descriptor.address_bits + 1, WORD_BITS)


def word_notes() -> data.StructLayout:
    """What was wrong with a BD as it was written.

    ``absent``: a field without hardware is set; ``range``: a field does not fit, of ``base``,
    ``iteration_stride`` and ``iteration_offset`` those apart, which do not always count.
    """
    return data.StructLayout({"absent": 1, "range": 1, "base": 1, "stride": 1, "offset": 1})


def kept_fields(descriptor: Descriptor) -> Iterator[KeptField]:
    """Every field of the BD, in the order of the words that it is in."""
    mover = descriptor.mover
    step = loop_step(descriptor.address_bits, mover.guards)
    limits: dict[str, tuple[int, str]] = {
        "base": (descriptor.address_bits, "base"),
        "iteration_stride": (step_bits(descriptor), "stride"),
        "iteration_offset": (offset_bits(descriptor), "offset"),
        "deltas": (step["delta"].width, "range"),
        "extensions": (len(mover.extensions), "absent"),
    }
    most: dict[str, int] = {}
    if mover.is_scratchpad:
        strides = descriptor.settings["spatial_strides"].shape
        limits["spatial_strides"] = (strides.elem_shape.width, "range")
        modes = len(descriptor.config.memory.groups)
        limits["mode"] = ((modes - 1).bit_length(), "range")
        limits["guards.dimension"] = ((strides.length - 1).bit_length(), "range")
        most["guards.dimension"] = strides.length - 1
    limits |= dict.fromkeys(descriptor.unsupported, (0, "absent"))
    for name, offset, shape in _leaves("", descriptor.layout, 0):
        kept, note = limits.get(name, (shape.width, "range"))
        sign = offset + kept - 1 if shape.signed and kept else None
        end = offset + shape.width
        while offset < end:
            width = min(end, (offset // WORD_BITS + 1) * WORD_BITS) - offset
            yield KeptField(
                name=name,
                offset=offset,
                width=width,
                kept=min(max(kept, 0), width),
                sign=sign,
                note=note,
                most=most.get(name),
            )
            offset, kept = offset + width, kept - width


def kept_parts(fields: Iterable[KeptField], given: Value) -> dict[str, Value]:
    """What is stored of word `given`, of which `fields` are there.

    ``kept``: their bits, one after the other; ``empty``: there are 0 rows; ``single``, a bit for
    each bound: it is 1; ``iterates``: an iteration has 2 executions or more; a bit for each note.
    What ``above`` a sign in another word is not all 0 and not all 1 is told apart.
    """
    parts: dict[str, list[Value]] = defaultdict(list)
    for field in fields:
        low = field.offset % WORD_BITS
        bits = given[low : low + field.width]
        beyond = bits[field.kept :]
        parts["kept"].append(bits[: field.kept])
        if field.name in ("bounds", "run_length"):
            parts["empty"].append(bits == 0)
        if field.name == "bounds":
            parts["single"].append(bits == 1)
        if field.name == "iteration_size":
            parts["iterates"].append(bits[1:].any())
        if field.most is not None:
            parts[field.note].append(bits > field.most)
            continue
        if not len(beyond):
            continue
        if field.sign is None:
            parts[field.note].append(beyond.any())
        elif field.follows_sign:
            parts["above"] += [beyond.any(), ~beyond.all()]
        else:
            signed = bits[field.kept - 1 :]
            parts[field.note].append(signed.any() & ~signed.all())
    return {
        name: Cat(values) if name in ("kept", "above", "single") else Cat(values).any()
        for name, values in parts.items()
    }


def _leaves(name: str, layout: data.Layout, offset: int) -> Iterator[tuple[str, int, Shape]]:
    """Name, lowest bit and shape of everything in `layout` that is no layout itself."""
    for key, field in layout:
        inner = name if isinstance(layout, data.ArrayLayout) else f"{name}.{key}".lstrip(".")
        at = offset + field.offset
        if isinstance(field.shape, data.Layout):
            yield from _leaves(inner, field.shape, at)
        else:
            yield inner, at, Shape.cast(field.shape)
