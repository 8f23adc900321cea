"""What the DRAM ports of the DMA mean, byte by byte."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass

__all__ = ["Guard", "Row", "Window", "allowed", "bursts", "joined", "mm2s_bytes", "s2mm_write"]

PAGE_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class Guard:
    """An affine window: byte i of a run is inside iff ``0 <= value + run * i < limit``."""

    value: int
    limit: int
    run: bool


@dataclass(frozen=True, kw_only=True)
class Row:
    """A run of ``length`` bytes from ``address`` up; a byte outside a guard does not exist."""

    address: int
    length: int
    guards: tuple[Guard, ...] = ()
    pad: int = 0
    end: bool = False

    def exists(self, i: int) -> bool:
        """Whether byte i of the run exists."""
        return all(0 <= guard.value + guard.run * i < guard.limit for guard in self.guards)

    @property
    def present(self) -> list[int]:
        """Indices of the bytes that exist."""
        return [i for i in range(self.length) if self.exists(i)]


@dataclass(frozen=True, kw_only=True)
class Window:
    """Pages of 4 KiB from number `first` to number `last`, both included, if `enable`."""

    first: int
    last: int
    enable: bool = True


def allowed(windows: Sequence[Window], address: int) -> bool:
    """Whether a byte of DRAM may be touched; without an enabled window every byte may."""
    enabled = [window for window in windows if window.enable]
    page = address // PAGE_BYTES
    return not enabled or any(window.first <= page <= window.last for window in enabled)


def mm2s_bytes(memory: Mapping[int, int], rows: Iterable[Row]) -> list[int]:
    """The stream that reading `rows` delivers, byte for byte."""
    return [
        memory[row.address + i] if row.exists(i) else row.pad
        for row in rows
        for i in range(row.length)
    ]


def s2mm_write(memory: MutableMapping[int, int], rows: Iterable[Row], given: Sequence[int]) -> int:
    """Write the stream `given` through `rows` into `memory`; returns how many bytes it took."""
    taken = 0
    for row in rows:
        for i in row.present:
            memory[row.address + i] = given[taken + i]
        taken += row.length
    return taken


def joined(rows: Iterable[Row], span: int) -> list[tuple[int, int]]:
    """The runs of existing bytes, as (address, length), that a BD's `rows` put on the bus.

    A row whose bytes go on where those of the row before end continues its run, unless bytes that
    do not exist come between. A run that has come to a multiple of `span` and is continued ends at
    the last one, and another begins there.
    """
    found: list[tuple[int, int]] = []
    whole = False  # the last byte of the row before exists
    for row in rows:
        if not row.present:
            whole = False
            continue
        start, length = row.address + row.present[0], len(row.present)
        if whole and row.present[0] == 0 and sum(found[-1]) == start:
            first = found[-1][0]
            cut = start // span * span
            if cut > first:
                found[-1:] = [(first, cut - first), (cut, start - cut)]
            found[-1] = (found[-1][0], found[-1][1] + length)
        else:
            found.append((start, length))
        whole = row.present[-1] == row.length - 1
    return found


def bursts(address: int, length: int, width: int, cap: int) -> list[tuple[int, int]]:
    """The bursts, as (aligned start, beats), that touch `length` bytes from `address` up.

    The beats are those `width`-byte words that hold one of the bytes; successive beats share a
    burst unless it already has `cap` of them or the next lies on a new 4 KiB page.
    """
    found: list[tuple[int, int]] = []
    for start in _words(address, length, width):
        if found and found[-1][1] < cap and start % PAGE_BYTES:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((start, 1))
    return found


def _words(address: int, length: int, width: int) -> Iterator[int]:
    yield from sorted({(address + i) // width * width for i in range(length)})
