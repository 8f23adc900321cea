"""A mover core in tests: its host, and a stand-in for the memory port below it."""

import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from support.bench import stalls
from support.pages import read, write
from weft.hw.bus.fault import FaultCode
from weft.hw.bus.registers import DESCRIPTOR_STORE, SLOT_BYTES, mover_page
from weft.hw.config import AcceleratorConfig
from weft.hw.mover import Descriptor, MoverCore
from weft.sim.golden.agu import deltas
from weft.sim.golden.mover import Bd, Task

__all__ = ["CoreHost", "PortModel", "encode", "without_extensions"]


def without_extensions(config: AcceleratorConfig) -> AcceleratorConfig:
    """`config` with movers whose cores tell nobody but the array what to do."""
    return replace(config, movers=tuple(replace(m, extensions=()) for m in config.movers))


def encode(descriptor: Descriptor, bd: Bd, **fields: Any) -> int:
    """The BD's bits; `fields` go in as they are, over those that follow from its meaning."""
    values: dict[str, Any] = {
        "valid": 1,
        "base": bd.base,
        "bounds": bd.bounds,
        "deltas": deltas(bd.bounds, bd.strides),
        "operator": bd.operator,
    }
    if bd.next is not None:
        values |= {"use_next": 1, "next": bd.next}
    if bd.iteration is not None:
        size, current, stride = bd.iteration
        values |= {
            "iteration_size": size,
            "iteration_current": current,
            "iteration_stride": stride,
            "iteration_offset": current * stride,
        }
    if not descriptor.mover.is_scratchpad:
        values["run_length"] = 1
    return descriptor.layout.const(values | fields).as_bits()


class CoreHost:
    """The host of one core: its registers by name."""

    def __init__(self, config: AcceleratorConfig, name: str) -> None:
        index = config.movers.index(config.mover(name))
        self.page = mover_page(config, index)
        self.core = MoverCore(config=config, index=index)
        self.bus = self.core.registers

    async def value(self, ctx: Any, name: str) -> int:
        word, error = await read(ctx, self.bus, self.page.register(name).offset)
        assert not error
        return word

    async def fields(self, ctx: Any, name: str) -> dict[str, int]:
        return self.page.register(name).unpack(await self.value(ctx, name))

    async def put(self, ctx: Any, name: str, **fields: int) -> None:
        register = self.page.register(name)
        assert not await write(ctx, self.bus, register.offset, register.pack(**fields))

    async def push(self, ctx: Any, task: Task) -> None:
        """Through the registers."""
        if task.base is not None:
            await self.put(ctx, "BASE_LOW", value=task.base & 0xFFFFFFFF)
            await self.put(ctx, "BASE_HIGH", value=task.base >> 32 & 0xFFFFFFFF)
        await self.put(
            ctx,
            "PUSH",
            descriptor=task.descriptor,
            repeat=task.repeat,
            interrupt=int(task.interrupt),
            rebase=int(task.base is not None),
        )

    async def store(self, ctx: Any, slot: int, bits: int) -> None:
        for word in range(self.core.descriptor.words):
            offset = DESCRIPTOR_STORE + slot * SLOT_BYTES + 4 * word
            assert not await write(ctx, self.bus, offset, bits >> 32 * word & 0xFFFFFFFF)

    async def settled(self, ctx: Any, tasks: int) -> None:
        """Wait until `tasks` have retired."""
        while await self.value(ctx, "RETIRED") != tasks:
            pass


@dataclass
class PortModel:
    """`serve` takes rows and retires BDs in order, at random times.

    ``executions`` holds the addresses of each finished BD with its pad byte, ``row_cycles`` when
    each row moved, ``retired`` when each BD was retired. ``faults`` says which executions have one,
    and whether it is reported by name as soon as its first row is in, or when it retires.
    """

    core: MoverCore
    stall: float = 0.0
    delay: int = 0
    seed: object = 0
    paused: bool = False
    faults: Mapping[int, bool] = field(default_factory=dict)
    executions: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    row_cycles: list[int] = field(default_factory=list)
    retired: list[int] = field(default_factory=list)
    cycle: int = 0

    async def serve(self, ctx: Any) -> None:
        port = self.core.port
        row = port.rows.payload
        stall, toss = stalls(self.stall, self.seed), random.Random(repr(self.seed))
        for log in (self.executions, self.row_cycles, self.retired):
            log.clear()
        self.cycle = 0
        addresses: list[int] = []
        pads: set[int] = set()
        due: list[int] = []
        begun = over = 0
        named: deque[int] = deque()
        while True:
            ready = not next(stall)
            ctx.set(port.rows.ready, ready)
            retire = bool(due) and due[0] <= self.cycle and not self.paused
            retire &= not (named and self.faults.get(over) is False)  # one report a cycle
            ctx.set(port.retired, retire)
            fault: dict[str, int] = {"code": FaultCode.NONE}
            if retire and self.faults.get(over) is False:
                fault = {"code": FaultCode.READ_SLVERR}
            elif named:
                fault = {"code": FaultCode.REACH, "named": 1, "tag": named.popleft()}
            if self.faults:
                ctx.set(port.fault, fault)
            if retire:
                over += 1
                due.pop(0)
                self.retired.append(self.cycle)
            tags = row.settings.tag if self.faults else 0
            _, _, valid, address, first, end, pad, tag = await ctx.tick().sample(
                port.rows.valid, row.address, row.first, row.end, row.settings.pad, tags
            )
            if valid and ready:
                assert first == (not addresses)
                if first:
                    if self.faults.get(begun):
                        named.append(tag)
                    begun += 1
                addresses.append(address)
                pads.add(pad)
                self.row_cycles.append(self.cycle)
                if end:
                    (pad,) = pads
                    self.executions.append((pad, tuple(addresses)))
                    due.append(self.cycle + 1 + toss.randint(0, self.delay))
                    addresses, pads = [], set()
            self.cycle += 1
