"""The commands of a runtime sequence, one by one, and what can be said of each at once."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..hw.errors import WeftError
from ..hw.mover.descriptor import Descriptor
from .commands import Command, Push, Token, Wait, WriteDescriptor
from .descriptor import BufferDescriptor
from .device import Device, Operand
from .errors import SequenceError
from .locks import Acquire, Lock, Release, SetLock
from .memref import MemRef
from .pool import BdPool
from .program import MAX_REPEAT

__all__ = ["ConfiguredTask", "SequenceBuilder"]


@dataclass(frozen=True, kw_only=True)
class ConfiguredTask:
    """A chain of descriptors in slots of its own, to be started any number of times."""

    mover: str
    slots: tuple[int, ...]
    repeat: int
    issue_token: bool


class SequenceBuilder:
    """Appends commands: every one is possible by itself when it is appended.

    Parameters
    ----------
    device
        Whose movers, locks and memory it speaks of.

    Attributes
    ----------
    commands : list of :data:`~weft.sw.commands.Command`
    arguments : list of :class:`MemRef`
        Buffers that are named when the sequence is played.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self.config = device.config
        self.commands: list[Command] = []
        self.arguments: list[MemRef] = []
        self._locks: dict[str, Lock] = {}
        self._pools = {m.name: BdPool(m.name, m.descriptors) for m in self.config.movers}
        self._pushed: Counter[str] = Counter()
        self._slots: dict[tuple[str, int], BufferDescriptor] = {}
        self._symbols: dict[str, Token] = {}
        self._implied: dict[Token, list[Token]] = {}

    # What is spoken of.

    def argument(self, shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> MemRef:
        """A buffer that is named when the sequence is played; arguments count from 0."""
        sizes = (shape,) if isinstance(shape, int) else tuple(shape)
        strides = tuple(int(np.prod(sizes[d + 1 :], dtype=object)) for d in range(len(sizes)))
        ref = MemRef(
            address=0,
            offset=0,
            sizes=sizes,
            strides=strides,
            dtype=np.dtype(dtype),
            argument=len(self.arguments),
        )
        self.arguments.append(ref)
        return ref

    def lock(self, name: str, initial: int | None = None) -> Lock:
        """The lock of that name; the first mention takes the next lock of the device.

        With `initial` the sequence sets it here. Without, it is what it is: 0 after a reset.

        Raises
        ------
        SequenceError
            The device has no more locks.
        """
        if name not in self._locks:
            if len(self._locks) >= self.config.locks:
                raise SequenceError(f"lock {name}: the device's {self.config.locks} are in use")
            self._locks[name] = Lock(len(self._locks), name)
        if initial is not None:
            self.commands.append(self._locks[name].set(initial))
        return self._locks[name]

    # Commands.

    def write_bd(
        self,
        mover: str,
        slot: int,
        descriptor: BufferDescriptor,
        *,
        argument: int | None = None,
    ) -> None:
        """Put `descriptor` into BD `slot`, whose owner is the caller from now on.

        With `argument` its base counts from that argument's address.

        Raises
        ------
        SequenceError
            A slot that the sequence has handed out itself, or no such slot or argument.
        DescriptorError
            The descriptor is impossible.
        """
        with self._whole():
            self.pool(mover).claim(slot, "write_bd")
            self._write(mover, slot, descriptor, argument)

    def push_queue(
        self,
        mover: str,
        slot: int,
        repeat: int = 1,
        issue_token: bool = False,
        *,
        at: MemRef | int | None = None,
    ) -> Token:
        """Push a task that executes the chain from BD `slot` on `repeat` times; its token.

        Any token can be waited for; `issue_token` has the task raise the interrupt besides. `at` is
        a base in place of the first descriptor's.

        Raises
        ------
        SequenceError
            A repeat or a slot out of range, or a slot that the sequence has not written.
        """
        pool = self.pool(mover)
        if not 1 <= repeat <= MAX_REPEAT:
            raise SequenceError(f"Repeat count {repeat} exceeds the [1:{MAX_REPEAT}] range.")
        if not 0 <= slot < pool.slots:
            raise SequenceError(f"BD ID {slot} exceeds the maximum ID {pool.slots - 1} of {mover}")
        if (mover, slot) not in self._slots:
            raise SequenceError(f"BD {slot} of {mover} is pushed before it is written")
        self._pushed[mover] += 1
        token = Token(mover, self._pushed[mover])
        base = at.first_address if isinstance(at, MemRef) else at
        argument = at.argument if isinstance(at, MemRef) else None
        self._require_argument(argument)
        self.commands.append(Push(token, slot, repeat, issue_token, base, argument))
        for used in self._chain(mover, slot):
            pool.use(used, token.count)
        return token

    def dma_wait(self, what: Token | str) -> None:
        """Wait for a task, or for the last `memcpy` of that name.

        Raises
        ------
        SequenceError
            There was none.
        """
        if isinstance(what, str):
            if what not in self._symbols:
                raise SequenceError(f"dma_wait: there was no memcpy of {what!r}")
            what = self._symbols[what]
        if not 1 <= what.count <= self._pushed[what.mover]:
            raise SequenceError(f"dma_wait: {what} is not pushed before it is waited for")
        self.commands.append(Wait(what))
        self._retire(what)

    def acquire(self, acquire: Acquire) -> None:
        """Have the sequence itself acquire a lock: ``seq.acquire(lock.acquire_ge(1))``."""
        self.commands.append(acquire)

    def release(self, release: Release) -> None:
        """Have the sequence itself release a lock."""
        self.commands.append(release)

    def set_lock(self, setting: SetLock) -> None:
        """Have the sequence set a lock."""
        self.commands.append(setting)

    # Tasks.

    def configure_task(
        self,
        mover: str,
        descriptors: Sequence[BufferDescriptor],
        *,
        repeat: int = 1,
        issue_token: bool = False,
        ring: bool = False,
    ) -> ConfiguredTask:
        """Write a chain into slots of the sequence's choice; with `ring` the last leads to the
        first, for ever.

        Raises as `write_bd`.
        """
        with self._whole():
            pool = self.pool(mover)
            slots = tuple(pool.allocate("configure_task", keep=True) for _ in descriptors)
            for index, (slot, descriptor) in enumerate(zip(slots, descriptors, strict=True)):
                if ring or index + 1 < len(slots):
                    follower = slots[(index + 1) % len(slots)]
                    descriptor = replace(descriptor, use_next=1, next=follower)
                self._write(mover, slot, descriptor, None)
        return ConfiguredTask(mover=mover, slots=slots, repeat=repeat, issue_token=issue_token)

    def start_task(self, task: ConfiguredTask) -> Token:
        """Push a configured task."""
        return self.push_queue(task.mover, task.slots[0], task.repeat, task.issue_token)

    def free_task(self, task: ConfiguredTask) -> None:
        """Give its slots back; raises `SequenceError` while it is not known to have retired."""
        for slot in task.slots:
            self.pool(task.mover).free(slot)

    def operand(self, operand: Operand) -> MemRef:
        """`operand` as a view of the device's memory or of an argument."""
        if isinstance(operand, MemRef) and operand.argument is not None:
            self._require_argument(operand.argument)
            return operand
        return MemRef.from_numpy(self.device.view(operand))

    def pool(self, mover: str) -> BdPool:
        """The BD slots of `mover`."""
        if mover not in self._pools:
            raise SequenceError(f"mover {mover!r}: must be one of {', '.join(self._pools)}")
        return self._pools[mover]

    def _write(
        self, mover: str, slot: int, descriptor: BufferDescriptor, argument: int | None
    ) -> None:
        self._require_argument(argument)
        descriptor.encode(Descriptor(self.config, self.config.mover(mover)))
        self._slots[mover, slot] = descriptor
        self.commands.append(WriteDescriptor(mover, slot, descriptor, argument))

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """What is appended in the block is appended whole, or an error leaves all as it was."""
        count, pools = len(self.commands), copy.deepcopy(self._pools)
        pushed, slots = self._pushed.copy(), self._slots.copy()
        try:
            yield
        except WeftError:
            del self.commands[count:]
            self._pools, self._pushed, self._slots = pools, pushed, slots
            raise

    def _chain(self, mover: str, slot: int) -> list[int]:
        """The slots that a task uses that begins at `slot`."""
        chain: list[int] = []
        while slot not in chain:
            chain.append(slot)
            descriptor = self._slots.get((mover, slot))
            if descriptor is None or not descriptor.use_next:
                break
            slot = descriptor.next
        return chain

    def _retire(self, token: Token) -> None:
        for known in (token, *self._implied.get(token, ())):
            self.pool(known.mover).retire(known.count)

    def _require_argument(self, argument: int | None) -> None:
        if argument is not None and not 0 <= argument < len(self.arguments):
            raise SequenceError(
                f"argument {argument}: the sequence has {len(self.arguments)} arguments"
            )
