"""A sequencer with everything around it played by the bench: memory, pages, queues, locks."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from amaranth.hdl import Cat, Module, ResetInserter, Signal

from support.axi_slave import AxiSlave, ByteMemory
from support.bench import run, watch
from support.pages import write
from weft.hw.bus.axi import Response
from weft.hw.bus.opcodes import completion_record
from weft.hw.bus.registers import DESCRIPTOR_STORE, PAGE_BYTES, RegisterMap
from weft.hw.config import AcceleratorConfig, DmaConfig, MemoryConfig, MoverConfig, SequencerConfig
from weft.hw.sequencer import Sequencer
from weft.sim.golden.sequencer import Effect, Player, Step

__all__ = ["LOCKS", "MOVERS", "Bench", "Event", "Pages", "program_config"]

MOVERS, LOCKS = 3, 5


def program_config(
    data_bits: int = 64, fetch_beats: int = 16, *, arguments: int = 3, burst_beats: int = 16
) -> AcceleratorConfig:
    movers = tuple(
        MoverConfig(name=f"P{i}", kind="read", bind="export", spatial_bounds=(2,))
        for i in range(MOVERS)
    )
    return AcceleratorConfig(
        name="program",
        memory=MemoryConfig(banks=2, rows=16, groups=(2,)),
        movers=movers,
        dma=DmaConfig(data_bits=data_bits, burst_beats=burst_beats),
        sequencer=SequencerConfig(arguments=arguments, fetch_beats=fetch_beats),
        locks=LOCKS,
    )


class Pages(dict[tuple[int, int], int]):
    """Registers that remember; every offset but those in `refused` exists."""

    refused: frozenset[int] = frozenset()

    def read(self, page: int, offset: int) -> int | None:
        return None if offset in self.refused else self.get((page, offset), page << 24 | offset)

    def write(self, page: int, offset: int, value: int) -> bool:
        if offset in self.refused:
            return False
        self[page, offset] = value
        return True


@dataclass(kw_only=True)
class Event:
    """An effect, when, and how many tasks each mover had retired by then."""

    effect: Effect
    cycle: int
    retired: tuple[int, ...]


class _Slave(AxiSlave):
    """A memory that holds `image` from the start."""

    image: dict[int, int]

    def restart(self) -> None:
        super().restart()
        self.memory.update(self.image)


@dataclass(kw_only=True)
class Bench:
    """Plays `program` (bytes or words) from `base` as often as `runs` says.

    Observed, of every run: `events`, `status` (fields of STATUS), `position`, `cycles`, `record`
    (fields; {} without one), `interrupts` (done, failed) and `first_ar`, the cycle of the first AR;
    cycles are counted from the doorbell's answer.
    """

    config: AcceleratorConfig
    program: Sequence[int]
    base: int = 0x1_0000
    record: int = 0
    arguments: Sequence[int] = (0, 0, 0)
    stall: float = 0.0
    bus_stall: float = 0.0
    latency: tuple[int, int] = (0, 0)
    work: tuple[int, int] = (0, 20)
    """Cycles from the push of a task to its retirement, not before the one ahead of it."""
    errors: dict[int, Response] = field(default_factory=dict)
    record_error: Response = Response.OKAY
    refused: frozenset[int] = frozenset()
    fault_at: int | None = None
    """In which cycle mover 1 fails."""
    reset_at: int | None = None
    """How many cycles after the first doorbell a soft reset begins."""
    again_at: int | None = None
    """In which cycle of the first run the doorbell rings once more."""
    blocked: bool = False
    """Whether no queue has room, no lock is granted and no task retires."""
    runs: int = 1
    seed: int = 0

    def golden(self, most: int = 3_000) -> tuple[list[Step], Player] | None:
        """The steps that the program must take; None if it would not end, or wait for ever."""
        width = self.config.dma.data_bytes if self.config.dma else 0
        image = self.image()

        def fetch(position: int) -> tuple[int, Response]:
            address = self.base + 8 * position
            response = self.errors.get(address // width * width, Response.OKAY)
            return sum(image[address + k] << 8 * k for k in range(8)), response

        pages = Pages()
        pages.refused = self.refused
        player = Player(fetch, pages, arguments=self.arguments, movers=MOVERS, locks=LOCKS)
        steps, pushed = [], [0] * MOVERS
        for step in player.steps():
            steps.append(step)
            for kind, *values in step.effects:
                if kind == "push":
                    pushed[values[0]] += 1
                if kind == "wait" and values[1] > pushed[values[0]]:
                    return None
            if len(steps) > most:
                return None
        return steps, player

    def image(self) -> ByteMemory:
        """The memory: behind the program a word that looks like its end, then whatever is there."""
        memory = ByteMemory()
        for index, word in enumerate([*self.program, 0]):
            first = self.base + 8 * index
            memory.update((first + k, word >> 8 * k & 0xFF) for k in range(8))
        return memory

    def play(self) -> None:
        dut = Sequencer(config=self.config)
        reset = Signal()
        top = Module()
        top.submodules.dut = ResetInserter(reset)(dut)
        bus: dict[str, Any] = {
            "width": self.config.dma.data_bytes,
            "cap": self.config.dma.burst_beats,
            "limit": 2 * self.config.sequencer.fetch_beats,
            "latency": self.latency,
            "stall": self.bus_stall,
            "seed": self.seed,
        }
        self.fetch = _Slave(**bus, errors=self.errors)
        self.fetch.image = self.image()
        answers = dict.fromkeys([self.record // bus["width"] * bus["width"]], self.record_error)
        self.store = _Slave(**bus, errors=answers)
        self.store.image = {}
        ports = {"ar": dut.ar, "aw": dut.aw, "w": dut.w}
        if self.fault_at is None and self.reset_at is None and not self.refused:
            # These take back an access that has to wait.
            ports["access"] = dut.access.request
        watched = [watch(port, name) for name, port in ports.items()]
        run(
            top,
            [partial(self._host, dut=dut, reset=reset)],
            background=[
                partial(self._world, dut=dut, reset=reset),
                partial(self.fetch.reader, dut=dut),
                partial(self.store.writer, dut=dut),
                *watched,
            ],
            limit=20_000 * self.runs,
        )

    async def _host(self, ctx: Any, dut: Any, reset: Signal) -> None:
        self.cycle, self.rung = 0, 0
        self.events: list[list[Event]] = []
        self.interrupts: list[tuple[int, bool]] = []
        page = RegisterMap(self.config).page("sequencer")

        async def put(name: str, value: int) -> None:
            assert not await write(ctx, dut.registers, page.register(name).offset, value)

        async def get(name: str) -> int:
            ctx.set(dut.registers.write, 0)
            ctx.set(dut.registers.offset, page.register(name).offset)
            ctx.set(dut.registers.request, 1)
            await ctx.tick()
            ctx.set(dut.registers.request, 0)
            await ctx.tick()
            assert not ctx.get(dut.registers.error)
            return ctx.get(dut.registers.read_data)

        async def ring() -> None:
            for name, value in (("DOORBELL", self.base), ("RECORD", self.record)):
                await put(f"{name}_LOW", value % (1 << 32))
                if name == "RECORD":
                    await put("RECORD_HIGH", value >> 32)
            for index, value in enumerate(self.arguments):
                await put(f"ARG{index}_LOW", value % (1 << 32))
                await put(f"ARG{index}_HIGH", value >> 32)
            ctx.set(dut.registers.write, 1)
            ctx.set(dut.registers.offset, page.register("DOORBELL_HIGH").offset)
            ctx.set(dut.registers.write_data, self.base >> 32)
            ctx.set(dut.registers.request, 1)
            await ctx.tick()
            ctx.set(dut.registers.request, 0)
            self.rung = self.cycle + 1
            self.events.append([])

        self.results: list[dict[str, Any]] = []
        if self.reset_at is not None:
            await ring()
            for _ in range(self.reset_at):
                await ctx.tick()
            ctx.set(dut.drain, 1)
            calm = 0
            while calm < 4:
                await ctx.tick()
                calm = calm + 1 if ctx.get(dut.idle) else 0
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            ctx.set(dut.drain, 0)
            # What the reset movers, locks and memory know of it is nothing.
            self.events.clear()
            self.interrupts.clear()
        for _ in range(self.runs):
            before = len(self.interrupts)
            await ring()
            if self.again_at is not None and not self.results:
                await ctx.tick().repeat(self.again_at)
                await put("DOORBELL_HIGH", 0)
            await ctx.tick().until(dut.done)
            await ctx.tick()
            status = page.register("STATUS").unpack(await get("STATUS"))
            bits = (self.store.memory[self.record + i] for i in range(32))
            record = completion_record().from_bits(int.from_bytes(bytes(bits), "little"))
            names = [name for name, _ in completion_record()]
            self.results.append(
                {
                    "status": status,
                    "position": await get("POSITION"),
                    "cycles": await get("CYCLES_LOW"),
                    "record": {n: getattr(record, n) for n in names} if self.record else {},
                    "interrupts": self.interrupts[before:],
                }
            )
        # What was fetched ahead still comes.
        while not ctx.get(dut.idle):
            await ctx.tick()

    async def _world(self, ctx: Any, dut: Any, reset: Signal) -> None:
        """Pages, queues and locks, all in one: the simulator is quicker so."""
        toss = random.Random(self.seed)
        pages = Pages()
        pages.refused = self.refused
        readies = Cat(
            dut.access.request.ready,
            dut.locks.acquire.ready,
            dut.locks.release.ready,
            dut.lock_set.ready,
            *(port.ready for port in dut.push),
        )
        offers = [dut.access.request, dut.locks.acquire, dut.locks.release, dut.lock_set, *dut.push]
        valids = Cat(offer.valid for offer in offers)
        start = [toss.choice([0, 7, (1 << 32) - 2]) for _ in range(MOVERS)]
        retired = list(start)
        due: list[list[int]] = [[] for _ in range(MOVERS)]
        counts = Cat(dut.retired)
        ctx.set(counts, _packed(retired))
        ctx.set(readies, 0)
        shown = acts = run = rest = 0
        # The answer to what was accepted in the last cycle, and whether it is an error.
        answer: dict[str, int] | None = None
        pushes = RegisterMap(self.config).pages[1].register("PUSH")
        ticks = ctx.tick().sample(
            valids, dut.done, dut.failed, reset, *(offer.payload for offer in offers)
        )
        while True:
            ready = sum((toss.random() >= self.stall) << i for i in range(len(offers)))
            if self.blocked:
                ready &= 1
            if ready & ~acts != shown:
                shown = ready & ~acts
                ctx.set(readies, shown)
            _, _, valid, done, failed, resetting, *payloads = await ticks
            if len(self.events) != run:
                # Tasks of the run before do not count in this one, and none retires just now.
                run, start, rest = len(self.events), list(retired), self.cycle + MOVERS + 3
                pages.clear()
            if self.events and self.cycle - self.rung == self.fault_at:
                ctx.set(dut.first_error, 1 | 1 << 8 | 7 << 16)
            if done:
                self.interrupts.append((self.cycle, bool(failed)))
            acts = 0
            # Only the answer to an access may be looked at.
            before, answer = answer, None
            ctx.set(dut.access.answer, before or {"error": 1, "data": 0xBAD})
            taken = valid & shown
            assert taken & taken - 1 == 0, "two things at once"
            for index in range(len(offers)):
                if not taken >> index & 1:
                    continue
                payload = payloads[index]
                effect: Effect
                if index == 0:
                    if before is not None and before["error"]:
                        # What follows an error at once is not made, and is an error as well.
                        answer = before
                        continue
                    page, offset = divmod(payload.address, PAGE_BYTES)
                    # In the next cycle none is accepted, but after a write to a descriptor store.
                    acts = not (payload.write and offset >= DESCRIPTOR_STORE)
                    if payload.write:
                        effect = ("write", page, offset, payload.data)
                        error, value = not pages.write(page, offset, payload.data), 0xDEAD
                    else:
                        effect = ("read", page, offset)
                        held = pages.read(page, offset)
                        error, value = held is None, held or 0
                    answer = {"error": error, "data": value}
                elif index == 1:
                    effect = ("acquire", payload.id, payload.value, payload.equal)
                elif index == 2:
                    effect = ("release", payload.id, payload.delta)
                elif index == 3:
                    effect = ("set", payload.id, payload.value)
                else:
                    word = pushes.pack(
                        descriptor=payload.descriptor,
                        repeat=payload.repeat,
                        interrupt=payload.interrupt,
                    )
                    base = payload.base if payload.rebase else None
                    effect = ("push", index - 4, word, base)
                    queue = due[index - 4]
                    after = max([self.cycle, *queue[-1:]])
                    queue.append(after + toss.randint(*self.work))
                since = tuple((r - s) % (1 << 32) for r, s in zip(retired, start, strict=True))
                if self.events:
                    self.events[-1].append(Event(effect=effect, cycle=self.cycle, retired=since))
            changed = False
            for mover, queue in enumerate(due):
                while queue and max(queue[0], rest) <= self.cycle:
                    queue.pop(0)
                    retired[mover] = (retired[mover] + 1) % (1 << 32)
                    changed = True
            if resetting:
                due, retired, changed = [[] for _ in range(MOVERS)], [0] * MOVERS, True
            if changed:
                ctx.set(counts, _packed(retired))
            self.cycle += 1


def _packed(counts: Sequence[int]) -> int:
    return sum(count << 32 * mover for mover, count in enumerate(counts))
