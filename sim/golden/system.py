"""The whole accelerator as a functional model: a Transport without cycles.

It executes tasks by the definition of their descriptors and never wonders how long that takes.
Where the hardware leaves an order open it is unkind on purpose: sources run as soon as they are
pushed (or, with ``prefetch=False``, as late as they can), and sinks only while the host waits for
the interrupt, one task at a time. A program that forgets to wait computes nonsense here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ...hw.bus.fault import FaultCode
from ...hw.bus.registers import DESCRIPTOR_STORE, IDENTITY, PAGE_BYTES, SLOT_BYTES, RegisterMap
from ...hw.config import AcceleratorConfig, MoverConfig
from ...hw.mover.descriptor import Descriptor
from ...sw.errors import BusError
from .tasks import Beat, Fault, ModelArray, ModelDram, ModelScratchpad, Walk, decode

__all__ = ["SystemModel"]

ACCESS_CYCLES = 4
WORD = 1 << 32


@dataclass(kw_only=True)
class _Task:
    slot: int
    repeat: int
    interrupt: bool
    issued: bool = False
    left: int = 0
    """Beats (or bytes, towards s2mm) that nobody has taken yet."""


@dataclass(kw_only=True)
class _Mover:
    config: MoverConfig
    spec: Descriptor
    index: int
    slots: dict[int, dict[int, int]] = field(default_factory=dict)
    tasks: deque[_Task] = field(default_factory=deque)
    beats: deque[Beat] = field(default_factory=deque)
    registers: dict[str, int] = field(default_factory=dict)


class SystemModel:
    """A Transport over the model.

    Parameters
    ----------
    config
        The system; with an array and a DMA.
    memory_bytes, memory_base
        Device DRAM.
    prefetch
        Whether sources read as soon, or as late, as they may.
    read_errors, write_errors
        Address ranges of DRAM that answer SLVERR.
    """

    def __init__(
        self,
        config: AcceleratorConfig,
        *,
        memory_bytes: int = 1 << 18,
        memory_base: int = 0x8000_0000,
        prefetch: bool = True,
        read_errors: Sequence[range] = (),
        write_errors: Sequence[range] = (),
    ) -> None:
        assert config.array is not None
        assert config.dma is not None
        self.config = config
        self.map = RegisterMap(config)
        self.dram = ModelDram(memory_bytes, memory_base, read_errors, write_errors)
        self.scratchpad = ModelScratchpad(config.memory)
        self.prefetch = prefetch
        self.cycles = 0
        self.writes = 0
        self.system = {register.name: 0 for register in self.map.page("system").registers}
        self.system["IDENTITY"] = IDENTITY
        self.system["CONFIG_HASH"] = int(config.hash[:8], 16)
        self._cleared = 0
        self._reset()

    def _reset(self) -> None:
        self.movers = [
            _Mover(
                config=mover,
                spec=Descriptor(self.config, mover),
                index=index,
                registers=dict.fromkeys(
                    (register.name for register in self.map.page(mover.name).registers), 0
                ),
            )
            for index, mover in enumerate(self.config.movers)
        ]
        self.by_bind = {mover.config.bind: mover for mover in self.movers}
        self.by_name = {mover.config.name: mover for mover in self.movers}
        assert self.config.array is not None
        self.array = ModelArray(self.config.array)
        self.results: deque[Beat] = deque()
        self.towards_dram: list[npt.NDArray[np.uint8]] = []
        for name in ("IRQ_DONE", "IRQ_FAULT", "FIRST_ERROR"):
            self.system[name] = 0

    # The transport.

    @property
    def memory(self) -> npt.NDArray[np.uint8]:
        return self.dram.bytes

    @property
    def memory_base(self) -> int:
        return self.dram.base

    def read_register(self, address: int) -> int:
        self.cycles += ACCESS_CYCLES
        page = address // PAGE_BYTES
        name = self._register(address, "wo")
        if page == 0:
            return (self.cycles - self._cleared) % WORD if name == "CYCLES" else self.system[name]
        mover = self.movers[page - 1]
        if name == "LEVEL":
            return max(len(mover.tasks) - 1, 0)
        if name == "STATUS":
            fields = {"busy": int(bool(mover.tasks)), "in_flight": int(bool(mover.tasks))}
            return self.map.pages[page].register(name).pack(**fields)
        return mover.registers[name]

    def write_register(self, address: int, value: int) -> None:
        self.cycles += ACCESS_CYCLES
        self.writes += 1
        page, offset = divmod(address, PAGE_BYTES)
        if page in range(1, len(self.map.pages)) and offset >= DESCRIPTOR_STORE:
            slot, byte = divmod(offset - DESCRIPTOR_STORE, SLOT_BYTES)
            mover = self.movers[page - 1]
            if slot >= mover.config.descriptors or byte // 4 >= mover.spec.words or byte % 4:
                raise BusError(address)
            mover.slots.setdefault(slot, {})[byte // 4] = value
            return
        name = self._register(address, "ro")
        if page == 0:
            self._write_system(name, value)
        elif name == "PUSH":
            self._push(self.movers[page - 1], value)

    def wait_interrupt(self, timeout_cycles: int) -> bool:
        deadline = self.cycles + timeout_cycles
        while not self._interrupt():
            if self.cycles >= deadline:
                return False
            self.cycles = self.cycles + 1 if self._progress() else deadline
        return True

    # Behind it.

    def _register(self, address: int, forbidden: str) -> str:
        for page in self.map.pages:
            for register in page.registers:
                if page.base + register.offset == address and register.access != forbidden:
                    return register.name
        raise BusError(address)

    def _write_system(self, name: str, value: int) -> None:
        if name == "CONTROL":
            if value & 1:
                self._reset()
            if value & 2:
                self._cleared = self.cycles
        elif name in ("IRQ_DONE", "IRQ_FAULT"):
            self.system[name] &= ~value
        else:
            self.system[name] = value

    def _interrupt(self) -> bool:
        return any(self.system[n] & self.system[f"{n}_MASK"] for n in ("IRQ_DONE", "IRQ_FAULT"))

    def _push(self, mover: _Mover, value: int) -> None:
        if len(mover.tasks) - 1 >= mover.config.queue_depth:
            mover.registers["REFUSED"] += 1
            self.system["IRQ_FAULT"] |= 1 << mover.index
            return
        fields = self.map.page(mover.config.name).register("PUSH").unpack(value)
        mover.tasks.append(
            _Task(
                slot=fields["descriptor"],
                repeat=fields["repeat"] + 1,
                interrupt=bool(fields["interrupt"]),
            )
        )
        if self.prefetch and mover.config.is_source:
            self._issue(mover)

    def _fail(self, mover: _Mover, task: _Task, fault: Fault) -> None:
        if not mover.registers["ERROR"]:
            mover.registers["ERROR"] = fault.code | task.slot << 8
            mover.registers["FAULT_LOW"] = fault.address % WORD
            mover.registers["FAULT_HIGH"] = fault.address // WORD
        if not self.system["FIRST_ERROR"]:
            self.system["FIRST_ERROR"] = 1 | mover.index << 8 | fault.code << 16 | task.slot << 24
        self.system["IRQ_FAULT"] |= 1 << mover.index

    def _retire(self, mover: _Mover) -> None:
        task = mover.tasks.popleft()
        mover.registers["RETIRED"] = (mover.registers["RETIRED"] + 1) % WORD
        if task.interrupt:
            self.system["IRQ_DONE"] |= 1 << mover.index

    def _walks(self, mover: _Mover, task: _Task) -> Iterator[Walk]:
        """The walk of each execution; none if a check fails."""
        words = mover.slots.get(task.slot, {})
        found: Walk | Fault = Fault(FaultCode.NO_DESCRIPTOR)
        if task.slot < mover.config.descriptors:
            found = decode(mover.spec, [words.get(i, 0) for i in range(mover.spec.words)])
        if isinstance(found, Walk) and mover.config.is_scratchpad:
            found = self.scratchpad.check(found, mover.config.reach) or found
        if isinstance(found, Fault):
            self._fail(mover, task, found)
            return
        for _ in range(task.repeat):
            yield found

    def _issue(self, mover: _Mover) -> bool:
        """Run the oldest task of a source that has not run; False if there is none."""
        task = next((task for task in mover.tasks if not task.issued), None)
        if task is None:
            return False
        task.issued = True
        for walk in self._walks(mover, task):
            if mover.config.kind == "mm2s":
                data, fault = self.dram.read(walk)
                if fault:
                    self._fail(mover, task, fault)
                assert self.config.dma is not None
                width = self.config.dma.data_bytes
                pieces = [data[i : i + width] for i in range(0, data.size, width)]
                mover.beats.extend(Beat(piece, error=bool(fault)) for piece in pieces)
                task.left += len(pieces)
                continue
            data = self.scratchpad.read(walk)
            if mover.config.bind in self.by_name:
                self.towards_dram.append(data.reshape(-1))
                task.left += data.size
                continue
            ends = np.arange(len(data)) == len(data) - 1
            mover.beats.extend(
                Beat(row, bool(mark), bool(end))
                for row, mark, end in zip(data, walk.marks, ends, strict=True)
            )
            task.left += len(data)
            if mover.spec.has_operator and len(data):
                self.array.operators.append(walk.operator)
        return True

    def _take(self, mover: _Mover, count: int) -> None:
        """`count` beats or bytes of a source are gone."""
        while count:
            part = min(count, mover.tasks[0].left)
            mover.tasks[0].left -= part
            count -= part
            self._settle(mover)

    def _settle(self, mover: _Mover) -> bool:
        """Retire a source's tasks whose data are gone."""
        moved = False
        while mover.tasks and mover.tasks[0].issued and mover.tasks[0].left == 0:
            self._retire(mover)
            moved = True
        return moved

    def _progress(self) -> bool:
        """Do one thing; False if there is nothing to do."""
        if any(self._settle(mover) for mover in self.movers if mover.config.is_source):
            return True
        a, b, c = (self.by_bind[f"array.{port}"] for port in "abc")
        done = self.array.step(a.beats, b.beats, c.beats)
        if done is not None:
            took_c, result = done
            self.system["ARRAY_STEPS"] = self.array.steps
            for mover in (a, b, c) if took_c else (a, b):
                self._take(mover, 1)
            if result is not None:
                self.results.append(result)
            return True
        sinks = [mover for mover in self.movers if not mover.config.is_source and mover.tasks]
        if any(self._sink(mover) for mover in sinks):
            return True
        return any(self._issue(mover) for mover in self.movers if mover.config.is_source)

    def _sink(self, mover: _Mover) -> bool:
        """Run the oldest task of a sink if all its data are there."""
        task = mover.tasks[0]
        if mover.config.kind == "s2mm":
            available = sum(piece.size for piece in self.towards_dram)
        else:
            source = self.by_name.get(mover.config.bind)
            available = len(source.beats if source else self.results)
        before = self.system["IRQ_FAULT"]
        walks = list(self._walks(mover, task))
        needed = sum(
            walk.exists.size if mover.config.kind == "s2mm" else len(walk.addresses)
            for walk in walks
        )
        if needed > available:
            assert self.system["IRQ_FAULT"] == before
            return False
        for walk in walks:
            if mover.config.kind == "s2mm":
                self._to_dram(mover, task, walk)
            else:
                self._to_scratchpad(mover, task, walk)
        self._retire(mover)
        return True

    def _to_dram(self, mover: _Mover, task: _Task, walk: Walk) -> None:
        stream = np.concatenate([*self.towards_dram, np.zeros(0, np.uint8)])
        count = walk.exists.size
        self.towards_dram = [stream[count:]]
        self._take(self.by_name[mover.config.bind], count)
        fault = self.dram.write(walk, stream[:count])
        if fault:
            self._fail(mover, task, fault)

    def _to_scratchpad(self, mover: _Mover, task: _Task, walk: Walk) -> None:
        source = self.by_name.get(mover.config.bind)
        for row in range(len(walk.addresses)):
            beat = (source.beats if source else self.results).popleft()
            self.scratchpad.write(walk, row, beat.data)
            if beat.error:
                self._fail(mover, task, Fault(FaultCode.UPSTREAM))
        if source is not None:
            self._take(source, len(walk.addresses))
