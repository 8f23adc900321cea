"""Memory ports on a scratchpad, with tasks from their definitions and rivals for the banks."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from amaranth.hdl import Module
from amaranth.lib import wiring

from weft.hw.bus.fault import TAG_BITS
from weft.hw.bus.wires import adopt
from weft.hw.config import AcceleratorConfig, MemoryConfig, MoverConfig
from weft.hw.memory import PortShare, Requester, Scratchpad, memory_ports
from weft.hw.streamer import ReadPort, WritePort
from weft.sim.golden.agu import ALL
from weft.sim.golden.streamer import Guard, Task

from .bench import feed, stalls
from .requests import ask

__all__ = ["Streamers", "feed_rows", "random_task", "rival", "sweep", "wide_requests"]


class Streamers(wiring.Component):
    """The scratchpad movers of a configuration, and spare ports of high priority for the test.

    `extended` ones have their extensions, which want settings.
    """

    def __init__(
        self, config: AcceleratorConfig, *, spare: int = 1, extended: bool = False
    ) -> None:
        super().__init__({})
        self.config = config
        self.ports: dict[str, Any] = {}
        self._shares: list[PortShare] = []
        wires: list[Any] = []
        for mover in config.movers:
            if mover.is_scratchpad:
                kind = ReadPort if mover.kind == "read" else WritePort
                plain = replace(mover, extensions=(), replay_depth=1)
                self.ports[mover.name] = kind(config=config, mover=mover if extended else plain)
        ports = list(memory_ports(config))
        for port in ports:
            clients = [self.ports[name].memory[channel] for name, channel in port.channels]
            if len(clients) == 1:
                wires += clients
                continue
            share = PortShare(memory=config.memory, reads=port.reads)
            adopt(share, "clients", [wiring.flipped(client) for client in clients])
            self._shares.append(share)
            wires.append(share.memory)
        requesters = [port.requester for port in ports]
        requesters += [
            Requester(reach=0, residue=0, high_priority=True, reads=True, writes=True)
        ] * spare
        self.scratchpad = Scratchpad(memory=config.memory, requesters=requesters)
        self.spare = self.scratchpad.ports[len(wires) :]
        adopt(self.scratchpad, "ports", [wiring.flipped(port) for port in wires] + list(self.spare))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.scratchpad = self.scratchpad
        for name, port in self.ports.items():
            m.submodules[name] = port
        for number, share in enumerate(self._shares):
            m.submodules[f"share_{number}"] = share
        return m


def random_task(memory: MemoryConfig, mover: MoverConfig, toss: random.Random) -> Task:
    """Mostly words of the memory; now and then another address, guarded or not."""
    word = memory.word_bytes
    spatial = [toss.choice([0, 1, 2, -1, 4]) * word for _ in mover.spatial_bounds]
    if mover.reach:
        # Contiguous, aligned beats are what a limited reach is for.
        spatial = [word]
        for bound in mover.spatial_bounds[:-1]:
            spatial.append(spatial[-1] * bound)
    step = (mover.reach or 1) * word
    bounds = tuple(toss.choice([1, 1, 2, 3]) for _ in range(mover.loops))
    base = toss.randrange(-3 * step if mover.guards else 0, memory.bytes, step)
    if toss.random() < 0.2:
        base += toss.randrange(word)
    return Task(
        base=base,
        bounds=bounds,
        strides=tuple(toss.choice([0, 1, 2]) * step for _ in bounds),
        spatial_strides=tuple(spatial),
        guards=tuple(
            Guard(
                offset=toss.randint(-4, 3),
                limit=toss.choice([0, 2, 4, 6, 100]),
                strides=tuple(toss.randint(-1, 2) for _ in bounds),
                coefficient=toss.choice([0, 1, 2, -1]),
                dimension=toss.randrange(len(mover.spatial_bounds)),
            )
            for _ in range(mover.guards)
        ),
        mode=toss.randrange(len(memory.groups)) if not mover.reach else 0,
        pad=toss.getrandbits(8),
        channels=toss.getrandbits(mover.channels) if mover.channel_enable else ALL,
        byte_mask=toss.getrandbits(word) if mover.byte_mask else ALL,
        mark_level=toss.randrange(len(bounds)),
    )


async def feed_rows(ctx: Any, port: Any, tasks: Iterable[Task], stall: Any = None) -> None:
    """Give the rows of `tasks` to `port` as its core would; the tag is the task's number."""
    limit = 1 << len(port.core.rows.payload.address)
    rows = []
    for number, task in enumerate(tasks):
        settings: dict[str, Any] = {
            "tag": number % (1 << TAG_BITS),
            "mode": task.mode,
            "pad": task.pad,
            "spatial_strides": list(task.spatial_strides),
        }
        if task.guards:
            settings["limits"] = [guard.limit for guard in task.guards]
            settings["coefficients"] = [guard.coefficient for guard in task.guards]
            if len(task.spatial_strides) > 1:
                settings["dimensions"] = [guard.dimension for guard in task.guards]
        for name in ("channels", "byte_mask"):
            mask = getattr(port.core.rows.payload.settings, name, None)
            if mask is not None:
                settings[name] = getattr(task, name) & (1 << len(mask)) - 1
        count = len(task.addresses)
        for index, (address, mark, windows) in enumerate(
            zip(task.addresses, task.marks, task.windows, strict=True)
        ):
            row = {
                "address": address % limit,
                "mark": mark,
                "end": index == count - 1,
                "first": index == 0,
                "settings": settings,
            }
            if windows:
                row["guards"] = [window.value for window in windows]
            rows.append(row)
    await feed(ctx, port.core.rows, rows, stall)


async def sweep(ctx: Any, port: Any, memory: MemoryConfig, contents: Sequence[int] | None) -> Any:
    """Write `contents` to all words, bank by bank, or (None) read them all."""
    places = [(bank, row) for bank in range(memory.banks) for row in range(memory.rows)]
    accesses = []
    for index, (bank, row) in enumerate(places):
        access = {"bank": bank, "row": row}
        if contents is not None:
            access |= {"write": 1, "data": contents[index], "strobe": -1}
        accesses.append(access)
    return await ask(ctx, port, memory, accesses)


def wide_requests(
    rows: Iterable[Sequence[object | None]], trace: Iterable[Sequence[tuple[int, int]]]
) -> list[tuple[int, int] | None]:
    """Of each row, the cycle in which all of its channels began to ask, and that of the last grant.

    None of a row without accesses. `rows` has None for a channel that makes none, `trace` of every
    cycle each channel's ``req.valid`` and ``req.ready``.
    """
    rows = list(rows)
    channels = len(rows[0])
    asked: list[list[tuple[int, int]]] = [[] for _ in range(channels)]
    begun: list[int | None] = [None] * channels
    for cycle, requests in enumerate(trace):
        for channel, (valid, ready) in enumerate(requests):
            if valid and begun[channel] is None:
                begun[channel] = cycle
            if valid and ready:
                asked[channel].append((begun[channel], cycle))  # type: ignore[arg-type]
                begun[channel] = None
    found: list[tuple[int, int] | None] = []
    for number, row in enumerate(rows):
        present = [asked[c].pop(0) for c, place in enumerate(row) if place is not None]
        starts = {start for start, _ in present}
        assert len(starts) <= 1, f"the channels of row {number} ask in cycles {sorted(starts)}"
        found.append((starts.pop(), max(end for _, end in present)) if present else None)
    return found


def rival(port: Any, memory: MemoryConfig, stall: float, seed: object) -> Any:
    """A background testbench that reads at random, as fast as it is let when `stall` is 0."""
    toss = random.Random(repr(seed))

    def accesses() -> Iterator[dict[str, int]]:
        while True:
            yield {"bank": toss.randrange(memory.banks), "row": toss.randrange(memory.rows)}

    async def testbench(ctx: Any) -> None:
        await ask(ctx, port, memory, accesses(), stalls(stall, seed))

    return testbench
