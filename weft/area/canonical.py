"""A module of RTLIL in canonical form: its text depends on what it does, not on where it stands.

Names become numbers in the order of their use, attributes that only inform go, and so do the bits
of an input that nothing reads (a channel that takes its slice of a wide signal reads like its
neighbour) and the names of fields. Two modules are identical if these texts are; a module's text
names its submodules by the hash of theirs. They have one *shape* if their texts differ in constants
alone, as those of two banks do that know their numbers.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from weft.hw.errors import WeftError

__all__ = ["Canonical", "Item", "NetlistError", "Port", "Source", "black_box", "digest"]

_SIGNAL = re.compile(r"([\\$]\S+)(?: \[(\d+)(?::(\d+))?\])?")
_CHUNK = re.compile(r"([\\$]\S+)(?: \[(\d+)(?::(\d+))?\])?|\d+'([01xz-]*)|([{}])")
_WIRE = re.compile(r"wire width (\d+)(?: (input|output|inout) \d+)?(?: +signed)? +(\S+)$")
_CONSTANT = re.compile(r"(\d+)'[01xzm-]+")
_INFORMATIVE = re.compile(r"attribute \\(src|generator|top|hdlname|enum_\S*) ")


class NetlistError(WeftError):
    """RTLIL that is not what Amaranth's back end writes."""


def digest(text: str) -> str:
    """A name for `text`."""
    return hashlib.sha256(text.encode()).hexdigest()[:24]


@dataclass(frozen=True, kw_only=True)
class Port:
    """A port of a canonical module; `mask` has the bits of the original that are left."""

    index: int
    mask: int
    direction: str

    @property
    def name(self) -> str:
        return f"\\p{self.index}"

    @property
    def declaration(self) -> str:
        return f"wire width {self.mask.bit_count()} {self.direction} {self.index} {self.name}"


@dataclass(frozen=True, kw_only=True)
class Canonical:
    """A rewritten module, its shape, its ports by original name, and the texts of what it needs."""

    name: str
    shape: str
    text: str
    ports: dict[str, Port]
    needs: dict[str, str]


@dataclass
class Item:
    """A cell, a process or a connection: an opening, and lines of fixed text and signals."""

    opening: str = ""
    label: str = ""
    attributes: list[str] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)
    instance: Canonical | None = None


def black_box(module: Canonical) -> Canonical:
    """The ports of `module` alone, to be kept: its logic stands elsewhere."""
    ports = sorted(module.ports.values(), key=lambda port: port.index)
    body = "\n".join(port.declaration for port in ports)
    name = f"\\box_{digest(body)}"
    text = f"attribute \\blackbox 1\nattribute \\keep 1\nmodule {name}\n{body}\nend"
    return Canonical(name=name, shape=name, text=text, ports=module.ports, needs={})


class Source:
    """A module as emitted: read, then written in canonical form."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._wires: dict[str, tuple[int, str]] = {}
        self._memories: dict[str, str] = {}
        self._attributes: dict[str, list[str]] = {}
        self._items: list[Item] = []

    def read(self, body: str) -> list[Item]:
        """Take the lines of the module; its cells, processes and connections."""
        attributes: list[str] = []
        item: Item | None = None
        depth = 0
        for line in body.splitlines():
            text = line.strip()
            kind, _, rest = text.partition(" ")
            if kind == "attribute" and item is None:
                if not _INFORMATIVE.match(text):
                    attributes.append(text)
            elif kind == "wire":
                match = _WIRE.match(text)
                if match is None:
                    raise NetlistError(f"module {self._name}: cannot read {text[:80]!r}")
                self._wires[match[3]] = (int(match[1]), match[2] or "")
                self._attributes[match[3]], attributes = attributes, []
            elif kind == "memory":
                declaration, _, memory = text.rpartition(" ")
                self._memories[memory] = declaration.rstrip()
                self._attributes[memory], attributes = attributes, []
            elif item is None and kind in ("cell", "process"):
                opening = " ".join(text.split(" ")[:2]) if kind == "cell" else kind
                item = Item(opening=opening, label=text.split(" ")[-1], attributes=attributes)
                attributes, depth = [], 1
            elif item is None and kind == "connect":
                self._items.append(Item(lines=[("connect", rest)]))
            elif item is not None:
                self._inside(item, kind, rest)
                depth += (kind == "switch") - (kind == "end")
                if not depth:
                    self._items.append(item)
                    item = None
            elif text:
                raise NetlistError(f"module {self._name}: cannot read {text[:80]!r}")
        return self._items

    def _inside(self, item: Item, kind: str, rest: str) -> None:
        """A line of a cell or process."""
        if kind == "parameter":
            name, _, value = rest.partition(" ")
            if name == "\\MEMID":
                item.lines.append(("parameter \\MEMID", value[2:-1]))
            else:
                item.lines.append((f"parameter {rest}", ""))
        elif kind == "connect":
            port, _, value = rest.partition(" ")
            item.lines.append((f"connect {port}", value))
        elif kind in ("assign", "switch"):
            item.lines.append((kind, rest))
        elif kind in ("case", "end"):
            item.lines.append((f"{kind} {rest}".rstrip(), ""))
        elif kind:
            raise NetlistError(f"module {self._name}: cannot read {kind} {rest[:60]!r}")

    def write(self, needs: dict[str, str]) -> Canonical:
        """The canonical text of what was read."""
        for item in self._items:
            if item.instance is not None:
                item.lines = list(self._rewired(item.lines, item.instance.ports))
        items = self._without_aliases()
        used = self._used(items)
        masks = {
            wire: used.get(wire, 0) if direction == "input" else (1 << width) - 1
            for wire, (width, direction) in self._wires.items()
        }
        ports: dict[str, Port] = {}
        numbers: dict[str, str] = {}

        def name(original: str) -> str:
            if original not in numbers:
                _, direction = (0, "") if original in self._memories else self._wire(original)
                if direction:
                    ports[original] = Port(
                        index=len(ports) + 1, mask=masks[original], direction=direction
                    )
                    numbers[original] = ports[original].name
                else:
                    numbers[original] = f"\\n{len(numbers)}"
            return numbers[original]

        def signal(match: re.Match[str]) -> str:
            if match[2] is None:
                return name(match[1])
            low = int(match[3] or match[2])
            gone = low - (masks[match[1]] & ((1 << low) - 1)).bit_count()
            return f"{name(match[1])} [{int(match[2]) - gone}:{low - gone}]"

        body: list[str] = []
        for index, item in enumerate(items):
            body += item.attributes
            if item.opening:
                body.append(f"{item.opening} \\c{index}")
            for fixed, signals in item.lines:
                if fixed == "parameter \\MEMID":
                    body.append(f'{fixed} "\\{name(signals)}"')
                else:
                    body.append(f"{fixed} {_SIGNAL.sub(signal, signals)}".rstrip())
        head: list[str] = []
        for original, new in numbers.items():
            head += self._attributes[original]
            if original in self._memories:
                head.append(f"{self._memories[original]} {new}")
            elif original in ports:
                head.append(ports[original].declaration)
            else:
                head.append(f"wire width {self._wires[original][0]} {new}")
        text = "\n".join([*head, *body])
        module, shape = f"\\m_{digest(text)}", _CONSTANT.sub(r"\1'", text)
        for item in items:
            if item.instance is not None:
                shape = shape.replace(item.instance.name, item.instance.shape)
        text = f"module {module}\n{text}\nend"
        return Canonical(name=module, shape=digest(shape), text=text, ports=ports, needs=needs)

    def _rewired(
        self, lines: list[tuple[str, str]], ports: dict[str, Port]
    ) -> Iterator[tuple[str, str]]:
        """The connections of an instance, for the ports and bits that are left of its module."""
        found = []
        for fixed, signals in lines:
            kind, _, original = fixed.partition(" ")
            if kind != "connect":
                continue
            port = ports.get(original)
            if port is not None and port.mask:
                found.append((port.index, f"connect {port.name}", self._select(signals, port.mask)))
        for _, fixed, signals in sorted(found):
            yield fixed, signals
        yield "end", ""

    def _select(self, signals: str, mask: int) -> str:
        """The bits of `signals` that are set in `mask`."""
        chunks: list[str] = []
        position = 0
        for match in reversed(list(_CHUNK.finditer(signals))):
            if match[5]:
                continue
            if match[1] is None:
                bits = match[4]
                kept = [bit for i, bit in enumerate(reversed(bits)) if mask >> position + i & 1]
                position += len(bits)
                if kept:
                    chunks.append(f"{len(kept)}'{''.join(reversed(kept))}")
                continue
            low, high = self._range(match)
            for run_low, run_high in _runs(mask >> position & ((1 << high - low + 1) - 1)):
                chunks.append(f"{match[1]} [{low + run_high}:{low + run_low}]")
            position += high - low + 1
        if mask >> position:
            raise NetlistError(f"module {self._name}: {signals[:60]!r} is too short for its port")
        return chunks[0] if len(chunks) == 1 else "{ " + " ".join(reversed(chunks)) + " }"

    def _range(self, match: re.Match[str]) -> tuple[int, int]:
        """Lowest and highest bit of a reference."""
        width, _ = self._wire(match[1])
        if match[2] is not None:
            return int(match[3] or match[2]), int(match[2])
        return 0, width - 1

    def _without_aliases(self) -> list[Item]:
        """The items without connections to wires that nothing reads (names of fields)."""
        items = self._items
        while True:
            used = self._used(items)
            kept = [item for item in items if item.opening or self._is_read(item, used)]
            if len(kept) == len(items):
                return kept
            items = kept

    def _is_read(self, connection: Item, used: dict[str, int]) -> bool:
        target = _SIGNAL.match(connection.lines[0][1])
        if target is None or target[1] in used:
            return True
        _, direction = self._wire(target[1])
        return bool(direction)

    def _wire(self, name: str) -> tuple[int, str]:
        """Width and direction of a wire."""
        if name not in self._wires:
            raise NetlistError(f"module {self._name}: {name} is not declared")
        return self._wires[name]

    def _used(self, items: list[Item]) -> dict[str, int]:
        """The bits of each wire that are read, or driven by a cell or a process."""
        used: dict[str, int] = {}
        for item in items:
            for fixed, signals in item.lines:
                if fixed == "parameter \\MEMID":
                    continue
                found = _SIGNAL.finditer(signals)
                if not item.opening and not signals.startswith("{"):
                    next(found)  # the target
                for match in found:
                    low, high = self._range(match)
                    bits = (1 << high + 1) - (1 << low)
                    used[match[1]] = used.get(match[1], 0) | bits
        return used


def _runs(mask: int) -> Iterator[tuple[int, int]]:
    """Lowest and highest bit of every run of set bits."""
    low = 0
    while mask >> low:
        while not mask >> low & 1:
            low += 1
        high = low
        while mask >> high + 1 & 1:
            high += 1
        yield low, high
        low = high + 1
