"""A model of the scratchpad's traffic: who loses which cycle at the banks.

It knows of addresses and not of data, and gives for streams of known places the very cycles in
which the hardware's requests are granted. So it tells, before anything runs, how well operands
stand that are placed in one way or another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..hw.config import AcceleratorConfig, MemoryConfig, MoverConfig
from .crossbar import NOWHERE, CrossbarArbiter, Flags, Numbers
from .descriptor import BufferDescriptor
from .reach import bank_of, channel_offsets
from .repeat import replay_of

__all__ = ["Conflicts", "Stream", "predict"]


@dataclass(frozen=True, kw_only=True)
class Stream:
    """What a scratchpad mover walks, and how fast its beats may go.

    Parameters
    ----------
    mover
        Its name.
    walk
        Where to; only what makes addresses counts, and that beats go through the repeater.
    interval
        Cycles from a beat to the next, at most speed; of streams that move in step, steps.
    """

    mover: str
    walk: BufferDescriptor
    interval: int = 1


@dataclass(frozen=True, kw_only=True)
class Conflicts:
    """What was counted.

    Parameters
    ----------
    movers
        For each stream's mover: cycles in which a request of it was not granted, as its CONFLICT.
    banks
        For each bank: cycles in which a request for it was not granted, as its BANK_CONFLICT.
    beats
        For each stream's mover: beats moved; of a reader those behind its repeater.
    steps
        Of streams that move in step.
    """

    movers: dict[str, int]
    banks: tuple[int, ...]
    beats: dict[str, int]
    steps: int


def predict(
    config: AcceleratorConfig,
    streams: Sequence[Stream],
    *,
    cycles: int,
    settling: int = 0,
    in_step: Sequence[str] = (),
    fill_priority: bool = False,
) -> Conflicts:
    """The traffic of `streams` in `cycles` cycles, which begin `settling` cycles after their start.

    All start in the same cycle, with empty FIFOs and arbiters as after a reset. Rows enter the
    channels' FIFOs of addresses a cycle apart, channels run ahead of each other as in the hardware,
    every request is arbitrated at its port and at its bank, words come after the latency of a read.
    What a beat waits for outside is its stream's interval, or:

    the movers `in_step` feed and drain one consumer, such as the array. Its step s takes a beat of
    each reader whose interval divides s; each writer whose interval divides s + 1 is given one. An
    interval above 1 has a beat of buffer at the consumer. Movers apart from it are modelled to the
    cycle; of the consumer that holds in so far as it is as simple as this one.
    """
    traffic = _Traffic(config, streams, in_step, fill_priority, settling + cycles)
    for _ in range(settling):
        traffic.cycle()
    before = traffic.counts()
    for _ in range(cycles):
        traffic.cycle()
    lost, banks, beats, steps = (
        after - earlier for after, earlier in zip(traffic.counts(), before, strict=True)
    )
    names = [stream.mover for stream in streams]
    return Conflicts(
        movers=dict(zip(names, lost.tolist(), strict=True)),
        banks=tuple(banks.tolist()),
        beats=dict(zip(names, beats.tolist(), strict=True)),
        steps=int(steps),
    )


class _Traffic:
    """All state of the model. What the hardware keeps in levels and pointers are counts here."""

    def __init__(
        self,
        config: AcceleratorConfig,
        streams: Sequence[Stream],
        in_step: Sequence[str],
        fill_priority: bool,
        rows: int,
    ) -> None:
        movers = [config.mover(stream.mover) for stream in streams]
        sizes = [mover.channels for mover in movers]
        self._first = np.cumsum([0, *sizes])[:-1]
        self._stream = np.repeat(np.arange(len(movers)), sizes)
        places = [
            _places(config.memory, mover, stream.walk, rows)
            for mover, stream in zip(movers, streams, strict=True)
        ]
        self._rows = np.array([len(of_rows) for of_rows in places])
        self._banks = np.full((len(self._stream), rows + 1), NOWHERE)
        for first, of_rows in zip(self._first, places, strict=True):
            self._banks[first : first + of_rows.shape[1], : len(of_rows)] = of_rows.T
        self._every = np.arange(len(self._stream))
        self._source = np.array([mover.is_source for mover in movers])
        self._reads = self._source[self._stream]
        self._address_depth = np.array([mover.address_depth for mover in movers])
        self._data_depth = np.array([mover.data_depth for mover in movers])
        self._channel_depth = self._data_depth[self._stream]
        # Without prefetch a channel keeps one word, from when it is asked for, or accepted, until
        # it is taken, or written.
        self._prefetch = np.array([mover.prefetch for mover in movers])
        self._channel_prefetch = self._prefetch[self._stream]
        self._ahead = np.where(self._channel_prefetch, self._channel_depth, 0)
        self._space = np.where(self._prefetch, self._data_depth, 1)
        self._interval = np.array([stream.interval for stream in streams])
        replays = [replay_of(stream.walk) for stream in streams]
        self._run, self._passes = np.array(replays).reshape(-1, 2).T
        self._in_step = np.array([mover.name in in_step for mover in movers])
        self._arbiter = CrossbarArbiter(
            config,
            [(mover.name, channel) for mover in movers for channel in range(mover.channels)],
            fill_priority=fill_priority,
        )

        # Of each channel: rows that have left its FIFO of addresses, words that have come, the
        # request that it shows, and what will have come after the latency.
        self._taken = np.zeros_like(self._every)
        self._arrived = np.zeros_like(self._every)
        self._asked = np.full_like(self._every, NOWHERE)
        self._skipping = np.zeros(len(self._every), np.bool_)
        self._coming = [self._skipping] * config.memory.latency
        # Of each stream: rows that have entered all its channels together, beats that have entered
        # or left them so, and what these are behind a repeater, beats of a reader that all channels
        # have the words of, cycles until the next is due, and beats at the consumer.
        self._pushed = np.zeros(len(movers), np.int64)
        self._given = np.zeros(len(movers), np.int64)
        self._moved = np.zeros(len(movers), np.int64)
        self._complete = np.zeros(len(movers), np.int64)
        self._wait = np.zeros(len(movers), np.int64)
        self._buffered = np.zeros(len(movers), np.int64)
        self._steps = 0
        self._lost = np.zeros(len(movers), np.int64)
        self._lost_banks = np.zeros(config.memory.banks, np.int64)

    def counts(self) -> tuple[Numbers, Numbers, Numbers, Numbers]:
        """Cycles lost by stream and by bank, beats by stream, steps."""
        lost, banks, beats = self._lost, self._lost_banks, self._given
        return lost.copy(), banks.copy(), beats.copy(), np.array(self._steps)

    def cycle(self) -> None:
        pushed, moved = self._pushed[self._stream], self._moved[self._stream]
        words = np.where(self._reads, self._arrived - moved, moved - self._taken)
        urgent = np.where(self._reads, words <= 2, words >= self._channel_depth - 1)
        granted, losing = self._arbiter.step(self._asked, urgent)
        lost = (self._asked != NOWHERE) & ~granted
        self._lost += np.bitwise_or.reduceat(lost, self._first)
        self._lost_banks += losing

        # Of a reader's words one place more is that of the beat on offer.
        free = np.where(self._reads, self._taken - moved <= self._ahead, words > 0)
        loads = ~lost & free & (pushed > self._taken)
        room = np.maximum.reduceat(pushed - self._taken, self._first) < self._address_depth
        push = room & (self._pushed < self._rows)
        whole = self._source & (np.minimum.reduceat(self._arrived, self._first) > self._complete)
        written = words + (~self._channel_prefetch & ((self._asked != NOWHERE) | self._skipping))
        beat = self._consume(np.maximum.reduceat(written, self._first) < self._space)

        self._arrived = self._arrived + self._coming[-1]
        self._coming = [(granted | self._skipping) & self._reads, *self._coming[:-1]]
        following = self._banks[self._every, self._taken]
        self._asked = np.where(loads, following, np.where(lost, self._asked, NOWHERE))
        self._skipping = loads & (following == NOWHERE)
        self._taken = self._taken + loads
        self._pushed = self._pushed + push
        self._moved = self._moved + (beat & self._leaves())
        self._given = self._given + beat
        self._complete = self._complete + whole

    def _leaves(self) -> Flags:
        """Whether a beat of a stream is no longer on offer when it has been taken.

        A repeater keeps all beats of a run but the last, which waits for the last pass.
        """
        number = self._given % (self._run * self._passes)
        tail = number % self._run == self._run - 1
        which = number // self._run
        return np.where(tail, which == self._passes - 1, which == 0)

    def _consume(self, space: Flags) -> Flags:
        """The beats that the readers give, and that enter the writers' channels."""
        apart = ~self._in_step & (self._wait == 0)
        offered = self._complete > self._moved
        due = np.where(self._source, offered, self._moved < self._rows)
        taken = apart & due & (self._source | space)
        buffering = self._in_step & self._source & (self._interval > 1) & offered
        taken |= buffering & (self._buffered == 0)
        given = self._in_step & ~self._source & (self._buffered > 0) & space
        taken |= given
        self._buffered = self._buffered + (taken & buffering) - given
        if self._in_step.any():
            taken |= self._step(offered)
        self._wait = np.where(taken, self._interval - 1, np.maximum(self._wait - 1, 0))
        return taken

    def _step(self, offered: Flags) -> Flags:
        """Take a step if everything is there; the beats that go straight into it."""
        direct = self._in_step & self._source & (self._interval == 1)
        begins = self._in_step & self._source & (self._interval > 1)
        begins &= self._steps % self._interval == 0
        ends = self._in_step & ~self._source & ((self._steps + 1) % self._interval == 0)
        able = offered[direct].all() and (self._buffered[begins] > 0).all()
        if not able or (self._buffered[ends] > 1).any():
            return np.zeros_like(direct)
        self._steps += 1
        self._buffered = self._buffered - begins + ends
        return direct


def _places(memory: MemoryConfig, mover: MoverConfig, walk: BufferDescriptor, rows: int) -> Numbers:
    """The bank of each channel in each of the first `rows` rows."""
    number = np.arange(min(rows, math.prod(walk.bounds)))
    spans = np.cumprod([1, *walk.bounds])[:-1]
    index = [number // span % bound for span, bound in zip(spans, walk.bounds, strict=True)]

    def along(strides: Sequence[int]) -> Numbers:
        return sum((i * s for i, s in zip(index, strides, strict=False)), np.zeros_like(number))

    offsets = np.array(channel_offsets(mover.spatial_bounds, walk.spatial_strides))
    addresses = walk.base + along(walk.strides)[:, None] + offsets
    banks = bank_of(memory, walk.mode, addresses // memory.word_bytes)
    for guard in walk.guards:
        ramp = [int(d == guard.dimension) for d in range(len(mover.spatial_bounds))]
        channel = np.array(channel_offsets(mover.spatial_bounds, ramp)) * guard.coefficient
        value = guard.offset + along(guard.strides)[:, None] + channel
        banks = np.where((value >= 0) & (value < guard.limit), banks, NOWHERE)
    return banks
