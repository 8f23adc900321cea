"""Where operands stand in the scratchpad so that their streams meet as little as may be.

Two steps: how much is asked of every bank tells at once which places cannot be good, and the model
of the scratchpad's traffic (:mod:`weft.sw.conflicts`) which of the others is best.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..hw.config import AcceleratorConfig, MemoryConfig
from .conflicts import Stream, predict
from .errors import MappingError

__all__ = ["CYCLES", "Operand", "Region", "Traffic", "place", "resized"]

Loads = npt.NDArray[np.float64]

CYCLES = 128
"""Of a traffic that are looked at."""

SETTLING = 32
"""Cycles before them."""

MOST = 4
"""Places whose traffic is looked at."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """A piece of the scratchpad's linear address space in one addressing mode."""

    base: int
    size: int
    mode: int
    group: int
    """Banks a group in that mode."""

    def split(self, parts: int) -> tuple[Region, ...]:
        """`parts` pieces of the same size, one after the other on the same banks."""
        size = self.size // parts
        return tuple(
            Region(base=self.base + index * size, size=size, mode=self.mode, group=self.group)
            for index in range(parts)
        )


@dataclass(frozen=True, kw_only=True)
class Operand:
    """What is to be placed.

    Parameters
    ----------
    size, parts
        Bytes of a region, and how many regions are used in turn: while one is worked on the next is
        filled or emptied.
    reach
        The largest reach of the movers that go there: a group has at least as many banks.
    words
        Words a cycle that the movers which work on it access at full speed.
    high_priority
        Whether one of those is of high priority.
    moved
        Words a cycle of the movers that fill or empty it, which are taken to be of low priority.
    """

    size: int
    parts: int
    reach: int
    words: float
    high_priority: bool
    moved: float


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Streams that run at the same time, and the movers among them that move in step."""

    streams: Sequence[Stream]
    in_step: Sequence[str]


Placed = Mapping[str, tuple[Region, ...]]


@dataclass(frozen=True)
class _Option:
    """An addressing mode, and the group of each region."""

    mode: int
    groups: tuple[int, ...]


def place(
    config: AcceleratorConfig,
    operands: Mapping[str, Operand],
    traffic: Callable[[Placed], Iterable[Traffic]],
) -> Placed:
    """The regions of each operand.

    Of the ways to give each operand an addressing mode, and each of its regions a group of banks
    and room there, those of the most promise are looked at more closely: their `traffic` is
    modelled, once it has settled. That with the fewest steps lost is taken, or else with the fewest
    conflicts of the streams that set the pace, or else of all; the first in which there is neither
    is good enough. The same question has the same answer.

    Raises
    ------
    MappingError
        They do not all fit, or a mover reaches the banks of no mode.
    """
    best: tuple[tuple[int, int, int], Placed] | None = None
    looked_at = 0
    for options in _by_promise(config, operands):
        wanted = {
            name: (option, operand.size)
            for (name, operand), option in zip(operands.items(), options, strict=True)
        }
        placed = _stack(config.memory, wanted)
        if placed is None:
            continue
        cost = _cost(config, traffic(placed), None if best is None else best[0])
        if cost is not None:
            best = cost, placed
        looked_at += 1
        if looked_at == MOST or (best is not None and best[0][:2] == (0, 0)):
            break
    if best is None:
        total = sum(operand.size * operand.parts for operand in operands.values())
        raise MappingError(
            f"operands of {total} bytes have no place in a scratchpad of {config.memory.bytes} "
            f"bytes with groups of {config.memory.groups} banks"
        )
    return best[1]


def resized(
    memory: MemoryConfig, placed: Placed, sizes: Mapping[str, tuple[int, int]]
) -> Placed | None:
    """On the banks of `placed` so many regions of each operand, no more than there, of so many
    bytes; None where they do not fit."""
    wanted = {}
    for name, (parts, size) in sizes.items():
        regions = placed[name][:parts]
        option = _Option(
            regions[0].mode,
            tuple(r.base // (r.group * memory.rows * memory.word_bytes) for r in regions),
        )
        wanted[name] = option, size
    return _stack(memory, wanted)


def _cost(
    config: AcceleratorConfig, traffics: Iterable[Traffic], limit: tuple[int, int, int] | None
) -> tuple[int, int, int] | None:
    """Steps lost, conflicts of streams that set the pace, and all; None if not below `limit`."""
    cost = (0, 0, 0)
    for traffic in traffics:
        found = predict(
            config,
            traffic.streams,
            cycles=CYCLES,
            settling=SETTLING,
            in_step=traffic.in_step,
            fill_priority=config.memory.fill_priority,
        )
        pace = [s.mover for s in traffic.streams if s.mover in traffic.in_step and s.interval == 1]
        cost = (
            cost[0] + CYCLES - found.steps,
            cost[1] + sum(found.movers[name] for name in pace),
            cost[2] + sum(found.movers.values()),
        )
        if limit is not None and cost >= limit:
            return None
    return cost


def _by_promise(
    config: AcceleratorConfig, operands: Mapping[str, Operand]
) -> Iterator[tuple[_Option, ...]]:
    """Options for all operands, in the order of their promise.

    Streams of high priority that meet at a bank cost each other cycles; then counts what is asked
    of banks beyond a word a cycle; then where what is moved meets what is worked on.
    """
    memory = config.memory
    choices = [list(_options(memory, operand)) for operand in operands.values()]
    # Groups of the same mode are alike: the first operand may as well begin with the first.
    choices[0] = [option for option in choices[0] if option.groups[0] == 0]
    turns = max(operand.parts for operand in operands.values())
    loads = [
        [_loads(memory, operand, option, turns) for option in options]
        for operand, options in zip(operands.values(), choices, strict=True)
    ]
    high = [operand.high_priority for operand in operands.values()]
    scored = []
    for picks in itertools.product(*(range(len(options)) for options in choices)):
        chosen = [loads[number][pick] for number, pick in enumerate(picks)]
        work = sum(worked for worked, _ in chosen)
        urgent = [worked for (worked, _), first in zip(chosen, high, strict=True) if first]
        meet = sum(float((one * other).sum()) for one, other in itertools.combinations(urgent, 2))
        beyond = sum(float(np.maximum(work + moved - 1, 0).sum()) for _, moved in chosen)
        cross = sum(float((work * moved).sum()) for _, moved in chosen)
        scored.append((round(meet, 6), round(beyond, 6), round(cross, 6), picks))
    for *_, picks in sorted(scored):
        yield tuple(options[pick] for options, pick in zip(choices, picks, strict=True))


def _options(memory: MemoryConfig, operand: Operand) -> Iterator[_Option]:
    """Modes in which it is reached and can keep pace; its regions on the same group or apart."""
    modes = [m for m, group in enumerate(memory.groups) if operand.reach <= group]
    able = [m for m in modes if operand.words <= memory.groups[m]]
    if not modes:
        raise MappingError(f"groups of {memory.groups} banks: none for a reach of {operand.reach}")
    for mode in able or [max(modes, key=lambda m: memory.groups[m])]:
        count = memory.banks // memory.groups[mode]
        for group in range(count):
            yield _Option(mode, (group,) * operand.parts)
        if operand.parts > 1:
            for groups in itertools.combinations(range(count), operand.parts):
                yield _Option(mode, groups)


def _loads(
    memory: MemoryConfig, operand: Operand, option: _Option, turns: int
) -> tuple[Loads, Loads]:
    """In each turn, of each bank: words for those who work on the operand, and who move it."""
    size = memory.groups[option.mode]
    loads = np.zeros((2, turns, memory.banks))
    for turn in range(turns):
        for kind, words, ahead in ((0, operand.words, 0), (1, operand.moved, 1)):
            first = option.groups[(turn + ahead) % operand.parts] * size
            loads[kind, turn, first : first + size] = words / size
    return loads[0], loads[1]


def _stack(memory: MemoryConfig, wanted: Mapping[str, tuple[_Option, int]]) -> Placed | None:
    """Give each region, of so many bytes, rows above those before it on its banks.

    None if there are too few.
    """
    used = np.zeros(memory.banks, np.int64)
    placed: dict[str, tuple[Region, ...]] = {}
    for name, (option, size) in wanted.items():
        group = memory.groups[option.mode]
        row = group * memory.word_bytes
        regions = []
        for number in option.groups:
            banks = slice(number * group, (number + 1) * group)
            start = int(used[banks].max())
            used[banks] = start - (-size // row)
            base = (number * memory.rows + start) * row
            regions.append(Region(base=base, size=size, mode=option.mode, group=group))
        placed[name] = tuple(regions)
    return placed if used.max() <= memory.rows else None
