"""A netlist cut into blocks, each in canonical form.

Amaranth emits every instance of a component as a module of its own; the canonical form tells which
of them are built alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from .canonical import Canonical, NetlistError, Source, black_box, digest

__all__ = ["Block", "NetlistError", "cut", "modules"]

_MODULE = re.compile(r"^module \\(\S+)\n(.*?)^end$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Block:
    """A module with everything below it that is not a block of its own.

    Parameters
    ----------
    path
        Instances from the top down.
    key
        Hash of `text`: equal for identical blocks.
    shape
        Equal for blocks that differ in constants alone.
    top
        Name of the module in `text`.
    text
        RTLIL of the module, of those flattened into it, and black boxes for the blocks below it.
    """

    path: tuple[str, ...]
    key: str
    shape: str
    top: str
    text: str


def modules(rtlil: str) -> dict[str, str]:
    """The modules of a netlist as Amaranth's back end writes it: the lines in each, by its name."""
    return {match[1]: match[2] for match in _MODULE.finditer(rtlil)}


def cut(rtlil: str, top: str, is_block: Callable[[tuple[str, ...]], bool]) -> list[Block]:
    """The blocks of a netlist, in the order of their paths.

    Parameters
    ----------
    rtlil
        As Amaranth's back end writes it.
    top
        Name of the top module, which is a block.
    is_block
        Whether the instance at a path (top excluded) is a block of its own; the others are
        flattened into the block above them.

    Raises
    ------
    NetlistError
        There is no such module, or the text is none of Amaranth's.
    """
    cutter = _Cutter(rtlil, is_block)
    cutter.canonical(top, ())
    return sorted(cutter.blocks, key=lambda block: block.path)


class _Cutter:
    def __init__(self, rtlil: str, is_block: Callable[[tuple[str, ...]], bool]) -> None:
        self._bodies = modules(rtlil)
        self._is_block = is_block
        self.blocks: list[Block] = []

    def canonical(self, name: str, path: tuple[str, ...]) -> Canonical:
        """Module `name` at `path`, rewritten; the blocks found on the way are noted."""
        if name not in self._bodies:
            raise NetlistError(f"the netlist has no module {name}")
        source = Source(name)
        needs: dict[str, str] = {}
        for item in source.read(self._bodies[name]):
            kind, _, cell = item.opening.partition(" ")
            if kind == "cell" and cell.startswith("\\"):
                child = self.canonical(cell[1:], (*path, item.label[1:]))
                needs |= child.needs
                needs[child.name] = child.text
                item.opening = f"cell {child.name}"
                item.instance = child
        module = source.write(needs)
        if path and not self._is_block(path):
            return module
        text = "\n".join([*(needs[key] for key in sorted(needs)), module.text, ""])
        top = module.name[1:]
        block = Block(path=path, key=digest(text), shape=module.shape, top=top, text=text)
        self.blocks.append(block)
        return black_box(module)
