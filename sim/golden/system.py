"""The whole accelerator as a functional model: a Transport without cycles.

It executes tasks by the definition of their descriptors and never wonders how long that takes.
Where the hardware leaves an order open it is unkind on purpose: sources run as soon as they are
pushed and have their locks (or, with ``prefetch=False``, as late as they can), and sinks only while
the host waits for the interrupt, one BD at a time. So does a program of the sequencer, as far ahead
of the movers as it can (or as far behind). A program that forgets to wait computes nonsense here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ...hw.bus.fault import FaultCode
from ...hw.bus.registers import (
    DESCRIPTOR_STORE,
    IDENTITY,
    LOCK_FAULT_BIT,
    LOCKS_A_REGISTER,
    PAGE_BYTES,
    SEQUENCER_BIT,
    SLOT_BYTES,
    RegisterMap,
)
from ...hw.config import ARRAY_SINKS, AcceleratorConfig
from ...hw.mover.descriptor import Descriptor
from ...hw.mover.flight import in_flight
from ...sw.errors import BusError
from .extensions import extended
from .locks import ModelLocks
from .programs import ModelSequencer
from .sequencer import Effect
from .system_mover import Execution, ModelMover, Task
from .tasks import Beat, Fault, ModelArray, ModelDram, ModelScratchpad, Walk

__all__ = ["SystemModel"]

ACCESS_CYCLES = 4
WORD = 1 << 32


class SystemModel:
    """A Transport over the model.

    Parameters
    ----------
    config
        The system; with an array and a DMA.
    memory_bytes, memory_base
        Device DRAM.
    prefetch
        Whether sources read, and programs go on, as soon, or as late, as they may.
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
            ModelMover(
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
        self.locks = ModelLocks(self.config.locks)
        self.sequencer: ModelSequencer | None = None
        if self.config.sequencer is not None:
            self.sequencer = ModelSequencer(self.config, self)
        assert self.config.array is not None
        self.array = ModelArray(self.config.array)
        self.results: dict[str, deque[Beat]] = {port: deque() for port in ARRAY_SINKS}
        self.towards_dram: list[npt.NDArray[np.uint8]] = []
        for name in ("IRQ_DONE", "IRQ_FAULT", "FIRST_ERROR"):
            self.system[name] = 0
        self.system["LOCK_RESULT"] = 1

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
            return self._read_system(name)
        if self.sequencer is not None and page == len(self.movers) + 1:
            # The interrupt of a fault stays high, so that waiting for it takes no time.
            self._progress()
            return self.sequencer.registers[name]
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
        if page in range(1, len(self.movers) + 1) and offset >= DESCRIPTOR_STORE:
            slot, byte = divmod(offset - DESCRIPTOR_STORE, SLOT_BYTES)
            mover = self.movers[page - 1]
            if slot >= mover.config.descriptors or byte // 4 >= mover.spec.words or byte % 4:
                raise BusError(address)
            if mover.uses(slot):
                self._record(mover, slot, Fault(FaultCode.DESCRIPTOR_IN_USE))
                return
            mover.write(slot, byte // 4, value)
            return
        name = self._register(address, "ro")
        if page == 0:
            self._write_system(name, value)
        elif self.sequencer is not None and page == len(self.movers) + 1:
            self.sequencer.write(name, value)
        elif name == "PUSH":
            self._push(self.movers[page - 1], value)
        elif name.startswith("BASE_"):
            self.movers[page - 1].registers[name] = value

    def wait_interrupt(self, timeout_cycles: int) -> bool:
        deadline = self.cycles + timeout_cycles
        while not self._interrupt():
            if self.cycles >= deadline:
                return False
            self.cycles = self.cycles + 1 if self._progress() else deadline
        return True

    # The sequencer's machine.

    def retired(self) -> list[int]:
        return [mover.registers["RETIRED"] for mover in self.movers]

    def perform(self, effect: Effect) -> bool:
        match effect:
            case ("push", int(index), int(word), base):
                mover = self.movers[index]
                if len(mover.tasks) > mover.config.queue_depth:
                    return False
                assert base is None or isinstance(base, int)
                self._push(mover, word, base)
            case ("acquire", int(lock), int(value), equal):
                if not self.locks.acquire(lock, value, bool(equal)):
                    return False
            case ("release", int(lock), int(delta)):
                self._refused(self.locks.release(lock, delta), lock, len(self.movers) + 1)
            case ("set", int(lock), int(value)):
                self._refused(self.locks.set(lock, value), lock, len(self.movers) + 2)
        self._prefetch()
        return True

    def failed(self) -> tuple[int, int, int]:
        first = self.system["FIRST_ERROR"]
        index = first >> 8 & 0xFF
        if not first or index >= len(self.movers):
            return first, 0, 0
        found = self.movers[index].registers
        return first, found["ERROR"], found["FAULT_HIGH"] << 32 | found["FAULT_LOW"]

    def ended(self, error: bool) -> None:
        self.system["IRQ_DONE"] |= 1 << SEQUENCER_BIT
        self.system["IRQ_FAULT"] |= error << SEQUENCER_BIT

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
        elif name == "ABORT":
            self._abort([mover for mover in self.movers if value >> mover.index & 1])
        elif name.startswith("LOCK_"):
            self._write_lock(name, self.map.page("system").register(name).unpack(value))
        else:
            self.system[name] = value

    def _abort(self, movers: list[ModelMover]) -> None:
        """End their tasks; here an execution of a sink has moved all, or nothing."""
        for mover in movers:
            mover.forget()
            sink = self.by_name.get(mover.config.bind)
            if sink is not None and sink.config.kind == "s2mm":
                self.towards_dram.clear()
        assert self.config.array is not None
        if all(self.by_bind[port] in movers for port in self.config.array.ports):
            self.array = ModelArray(self.config.array)
            for results in self.results.values():
                results.clear()

    def _read_system(self, name: str) -> int:
        if name == "CYCLES":
            return (self.cycles - self._cleared) % WORD
        if name.startswith("LOCKS_"):
            first = LOCKS_A_REGISTER * int(name.removeprefix("LOCKS_"))
            values = self.locks.values[first : first + LOCKS_A_REGISTER]
            return sum(value << 8 * index for index, value in enumerate(values))
        if name == "LOCK_ERRORS":
            known = {lock for _, lock in self.locks.errors if lock < self.locks.count}
            unknown = any(lock >= self.locks.count for _, lock in self.locks.errors)
            return sum(1 << lock for lock in known) | unknown << 31
        return self.system[name]

    def _write_lock(self, name: str, fields: dict[str, int]) -> None:
        lock, host = fields["id"], len(self.movers)
        if name == "LOCK_SET":
            self._refused(self.locks.set(lock, fields["value"]), lock, host + 2)
        elif name == "LOCK_RELEASE":
            delta = (fields["delta"] ^ 64) - 64
            self._refused(self.locks.release(lock, delta), lock, host)
        else:
            granted = self.locks.acquire(lock, fields["value"], bool(fields["equal"]))
            self.system["LOCK_RESULT"] = 1 | granted << 1
        self._prefetch()

    def _refused(self, code: FaultCode, lock: int, client: int) -> None:
        """The locks refused something of a client."""
        if code:
            self.system["FIRST_ERROR"] = (
                self.system["FIRST_ERROR"] or 1 | client << 8 | code << 16 | lock << 24
            )
            self.system["IRQ_FAULT"] |= 1 << LOCK_FAULT_BIT

    def _interrupt(self) -> bool:
        return any(self.system[n] & self.system[f"{n}_MASK"] for n in ("IRQ_DONE", "IRQ_FAULT"))

    def _push(self, mover: ModelMover, value: int, base: int | None = None) -> None:
        if len(mover.tasks) - 1 >= mover.config.queue_depth:
            mover.registers["REFUSED"] += 1
            self.system["IRQ_FAULT"] |= 1 << mover.index
            return
        if not mover.tasks:
            mover.registers["EXECUTIONS"] = 0
        fields = self.map.page(mover.config.name).register("PUSH").unpack(value)
        if fields["rebase"]:
            base = mover.registers["BASE_HIGH"] << 32 | mover.registers["BASE_LOW"]
        mover.tasks.append(
            Task(
                slot=fields["descriptor"],
                repeat=fields["repeat"],
                interrupt=bool(fields["interrupt"]),
                base=base,
            )
        )
        self._prefetch()

    def _prefetch(self) -> None:
        """Run sources as far ahead as they can."""
        sources = [mover for mover in self.movers if mover.config.is_source]
        while self.prefetch and any([self._issue(mover) for mover in sources]):
            pass

    def _record(self, mover: ModelMover, slot: int, fault: Fault) -> None:
        if not mover.registers["ERROR"]:
            mover.registers["ERROR"] = fault.code | slot << 8
            mover.registers["FAULT_LOW"] = fault.address % WORD
            mover.registers["FAULT_HIGH"] = fault.address // WORD
        if not self.system["FIRST_ERROR"]:
            self.system["FIRST_ERROR"] = 1 | mover.index << 8 | fault.code << 16 | slot << 24
        self.system["IRQ_FAULT"] |= 1 << mover.index

    def _fail(self, mover: ModelMover, execution: Execution, fault: Fault) -> None:
        execution.bad = True
        self._record(mover, execution.slot, fault)

    def _retire(self, mover: ModelMover) -> None:
        execution = mover.retire()
        walk = execution.walk
        if walk is not None and walk.release is not None and not execution.bad:
            lock, delta = walk.release
            self._refused(self.locks.release(lock, delta), lock, mover.index)
        if execution.last and execution.task.interrupt:
            self.system["IRQ_DONE"] |= 1 << mover.index

    def _load(self, mover: ModelMover) -> Walk | Fault | None:
        """What the mover has to do next; None if nothing."""
        found = mover.load()
        if isinstance(found, Walk) and mover.config.is_scratchpad:
            return self.scratchpad.check(found, mover.config.reach) or found
        return found

    def _begin(self, mover: ModelMover, found: Walk | Fault) -> Execution | None:
        """Begin it and go on in the chain; None if its lock cannot be acquired."""
        execution = mover.begin(found, self.locks)
        if execution is not None and isinstance(found, Fault):
            self._fail(mover, execution, found)
        return execution

    def _issue(self, mover: ModelMover) -> bool:
        """Run the next BD of a source; False if there is none that can be run."""
        most = in_flight(mover.spec.config, mover.config)
        found = self._load(mover) if len(mover.flight) < most else None
        execution = None if found is None else self._begin(mover, found)
        if execution is None:
            return False
        walk = execution.walk
        if walk is None:
            return True
        if mover.config.kind == "mm2s":
            data, fault = self.dram.read(walk)
            if fault:
                self._fail(mover, execution, fault)
            assert self.config.dma is not None
            width = self.config.dma.data_bytes
            pieces = [data[i : i + width] for i in range(0, data.size, width)]
            mover.beats.extend(Beat(piece, error=bool(fault)) for piece in pieces)
            execution.left += len(pieces)
            return True
        data = self.scratchpad.read(walk)
        ends = np.arange(len(data)) == len(data) - 1
        fetched = [
            Beat(row, bool(mark), bool(end))
            for row, mark, end in zip(data, walk.marks, ends, strict=True)
        ]
        beats = extended(fetched, walk.extensions, mover.config.spatial_bounds[-1])
        if mover.config.bind in self.by_name:
            self.towards_dram += [beat.data for beat in beats]
            execution.left += sum(beat.data.size for beat in beats)
            return True
        mover.beats.extend(beats)
        execution.left += len(beats)
        if mover.spec.has_operator and len(data):
            self.array.operators.append(walk.operator)
        return True

    def _take(self, mover: ModelMover, count: int) -> None:
        """`count` beats or bytes of a source are gone."""
        while count:
            part = min(count, mover.flight[0].left)
            mover.flight[0].left -= part
            count -= part
            self._settle(mover)

    def _settle(self, mover: ModelMover) -> bool:
        """Retire a source's BDs whose data are gone."""
        moved = False
        while mover.flight and mover.flight[0].left == 0:
            self._retire(mover)
            moved = True
        return moved

    def _progress(self) -> bool:
        """Do one thing; False if there is nothing to do."""
        program = self.sequencer
        if program is not None and self.prefetch and program.go_on():
            return True
        if any(self._settle(mover) for mover in self.movers if mover.config.is_source):
            return True
        done = self.array.step({port: self.by_bind[port].beats for port in self.array.array.ports})
        if done is not None:
            self.system["ARRAY_STEPS"] = self.array.steps
            for port, count in done.took.items():
                self._take(self.by_bind[port], count)
            for port, result in done.gave.items():
                self.results[port].append(result)
            return True
        sinks = [mover for mover in self.movers if not mover.config.is_source and mover.tasks]
        if any(self._sink(mover) for mover in sinks):
            return True
        if any(self._issue(mover) for mover in self.movers if mover.config.is_source):
            return True
        return program is not None and program.go_on()

    def _sink(self, mover: ModelMover) -> bool:
        """Run the next BD of a sink if all its data and its lock are there."""
        found = self._load(mover)
        if found is None:
            return False
        if isinstance(found, Walk):
            if mover.config.kind == "s2mm":
                available = sum(piece.size for piece in self.towards_dram)
                needed = found.exists.size
            else:
                source = self.by_name.get(mover.config.bind)
                available = len(source.beats if source else self.results[mover.config.bind])
                needed = len(found.addresses)
            if needed > available:
                return False
        execution = self._begin(mover, found)
        if execution is None:
            return False
        if execution.walk is not None and mover.config.kind == "s2mm":
            self._to_dram(mover, execution, execution.walk)
        elif execution.walk is not None:
            self._to_scratchpad(mover, execution, execution.walk)
        self._retire(mover)
        return True

    def _to_dram(self, mover: ModelMover, execution: Execution, walk: Walk) -> None:
        stream = np.concatenate([*self.towards_dram, np.zeros(0, np.uint8)])
        count = walk.exists.size
        self.towards_dram = [stream[count:]]
        self._take(self.by_name[mover.config.bind], count)
        fault = self.dram.write(walk, stream[:count])
        if fault:
            self._fail(mover, execution, fault)

    def _to_scratchpad(self, mover: ModelMover, execution: Execution, walk: Walk) -> None:
        source = self.by_name.get(mover.config.bind)
        for row in range(len(walk.addresses)):
            beat = (source.beats if source else self.results[mover.config.bind]).popleft()
            self.scratchpad.write(walk, row, beat.data)
            if beat.error:
                self._fail(mover, execution, Fault(FaultCode.UPSTREAM))
        if source is not None:
            self._take(source, len(walk.addresses))
