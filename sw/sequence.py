"""A runtime sequence: what a host asks of the movers, written down before it is played."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from .builder import SequenceBuilder
from .check import CheckReport, check
from .commands import Token
from .compare import compare_steps
from .compiled import CompiledSequence
from .device import Device, Operand
from .doorbell import Completion
from .errors import SequenceError
from .fill import fill_steps
from .loaded import LoadedSequence
from .locks import Acquire, Lock, Release, locked
from .memcpy import gated_copy, nd_descriptors, nd_view
from .memref import MemRef
from .player import play
from .program import DEFAULT_TIMEOUT
from .transfer import ScratchpadAddress, Step

__all__ = ["RuntimeSequence"]

Place = Operand | ScratchpadAddress


class RuntimeSequence(SequenceBuilder):
    """Descriptors, pushes, locks and waits, in order; nothing moves until it is played.

    As a context manager it is checked when the block is left: a sequence that would deadlock never
    reaches the device. It can be played any number of times, over the register bus or as a program
    that the device fetches for itself; its tokens count from where it begins.

    Parameters
    ----------
    device
        Whose movers, locks and memory it speaks of.
    checked
        Whether leaving the block checks it.
    """

    def __init__(self, device: Device, *, checked: bool = True) -> None:
        super().__init__(device)
        self.checked = checked
        self._loaded: LoadedSequence | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and self.checked:
            self.check().require()

    def dma_memcpy_nd(
        self,
        mover: str,
        buffer: Operand,
        offsets: Sequence[int] | None = None,
        sizes: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
        *,
        bd: int | None = None,
        repeat: int = 1,
        issue_token: bool = False,
        acquire: Acquire | None = None,
        release: Release | None = None,
        route: Sequence[str] = (),
        padding: Sequence[tuple[int, int]] = (),
        pad: int = 0,
    ) -> Token:
        """Have a DRAM mover walk `buffer`: one task where the mover's loops suffice.

        Parameters
        ----------
        mover
            A DRAM mover.
        buffer, offsets, sizes, strides
            In elements, outermost first; see :func:`~weft.sw.memcpy.nd_view`.
        bd
            The slot to use; else one of the sequence's choice.
        repeat, issue_token
            As `push_queue`.
        acquire, release
            Locks of the first descriptor, and of the last.
        route
            Names of the movers at the other end of its stream, if it is on the switch.
        padding, pad
            Elements before and after each dimension of the walk, outermost first: `pad` bytes when
            read, dropped when written; see :func:`~weft.sw.lower.lower`.

        Returns
        -------
        Token
            Of the last task.

        Raises
        ------
        SequenceError, MappingError, DescriptorError
            Nothing was appended.
        """
        self.pool(mover)  # Refuses what is no mover.
        view = nd_view(self.operand(buffer), offsets, sizes, strides)
        walks = nd_descriptors(
            self.config.mover(mover), view, acquire, release, route, padding, pad
        )
        if len(walks) > 1 and (bd is not None or repeat > 1):
            raise SequenceError(
                f"dma_memcpy_nd: the walk takes {len(walks)} BDs: neither BD {bd} alone nor "
                "a task that repeats them will do"
            )
        token = Token(mover, 0)
        with self._whole():
            for walk in walks:
                if bd is None:
                    slot = self.pool(mover).allocate("dma_memcpy_nd")
                    self._write(mover, slot, walk, view.argument)
                else:
                    self.write_bd(mover, slot := bd, walk, argument=view.argument)
                token = self.push_queue(mover, slot, repeat, issue_token and walk is walks[-1])
        return token

    def memcpy(
        self,
        token: str | Lock,
        acquire: int | Acquire = 0,
        release: int | Release = 0,
        *,
        wait: bool | None = None,
    ) -> Callable[..., Token]:
        """A copy that is gated by a lock: see :func:`~weft.sw.memcpy.gated_copy` for where.

        ``seq.memcpy("token_in", 0, 1)(source, target)`` appends it and gives the token of its end.
        Within the scratchpad the call takes ``nbytes`` as well.

        Parameters
        ----------
        token
            The lock, or its name.
        acquire
            The mover waits until the lock is at least so much and takes it off; 0 does not wait. An
            :class:`Acquire` is taken as it is.
        release
            What the mover adds when it is done.
        wait
            Whether the sequence waits for the copy; by default it does if that is towards DRAM.
        """
        lock = self.lock(token) if isinstance(token, str) else token
        gate = acquire if isinstance(acquire, Acquire) else None
        opening = release if isinstance(release, Release) else None
        if isinstance(acquire, int) and acquire:
            gate = lock.acquire_ge(acquire)
        if isinstance(release, int) and release:
            opening = lock.release(release)

        def copy(source: Place, target: Place, nbytes: int | None = None) -> Token:
            ends = [
                p if isinstance(p, ScratchpadAddress) else self.operand(p) for p in (source, target)
            ]
            steps, sink = gated_copy(self.config, ends[0], ends[1], gate, opening, nbytes)
            arguments = [end.argument if isinstance(end, MemRef) else None for end in ends]
            with self._whole():
                end = self._push_all(
                    steps,
                    sink,
                    lock.name,
                    {name: arguments[not self.config.mover(name).is_source] for name, _ in steps},
                )
            self._symbols[lock.name] = end
            inbound = isinstance(target, ScratchpadAddress)
            if wait or (wait is None and not inbound):
                self.dma_wait(end)
            return end

        return copy

    def fill(
        self,
        target: Place,
        pattern: int,
        nbytes: int | None = None,
        *,
        release: Release | None = None,
    ) -> Token:
        """Write byte k of `target` with byte ``k mod 4`` of `pattern`; the token of its end.

        Nothing is read. `release` is what the sink's mover releases when it is done; see
        :func:`~weft.sw.fill.fill_steps` for the rest.
        """
        end = target if isinstance(target, ScratchpadAddress) else self.operand(target)
        steps, sink = fill_steps(self.config, end, pattern, nbytes)
        steps[-1] = steps[-1][0], locked(steps[-1][1], release=release)
        argument = end.argument if isinstance(end, MemRef) else None
        with self._whole():
            return self._push_all(steps, sink, "fill", {sink: argument})

    def compare(self, first: Place, second: Place, nbytes: int | None = None) -> Token:
        """Find the first byte in which two pieces of memory differ; the token of that.

        Its task's record has it, see :func:`~weft.sw.operators.first_difference`; so the mover has
        been given records. See :func:`~weft.sw.compare.compare_steps` for the rest.
        """
        ends = [p if isinstance(p, ScratchpadAddress) else self.operand(p) for p in (first, second)]
        steps, comparer = compare_steps(self.config, ends[0], ends[1], nbytes)
        self.device.require_records(comparer)
        arguments = {
            name: end.argument
            for (name, _), end in zip(steps, ends, strict=True)
            if isinstance(end, MemRef)
        }
        with self._whole():
            return self._push_all(steps, comparer, "compare", arguments)

    def _push_all(
        self,
        steps: Sequence[Step],
        sink: str,
        holder: str,
        arguments: Mapping[str, int | None],
    ) -> Token:
        """Push the tasks of one piece of work, each in a slot of its own; the sink's last token.

        When that is waited for all of them have retired. The base of a DRAM mover counts from its
        argument in `arguments`, if it has one.
        """
        last = max(index for index, (mover, _) in enumerate(steps) if mover == sink)
        tokens: dict[str, Token] = {}
        for index, (mover, descriptor) in enumerate(steps):
            slot = self.pool(mover).allocate(holder)
            config = self.config.mover(mover)
            argument = None if config.is_scratchpad else arguments.get(mover)
            self._write(mover, slot, descriptor, argument)
            tokens[mover] = self.push_queue(mover, slot, issue_token=index == last)
        self._implied[tokens[sink]] = list(tokens.values())
        return tokens[sink]

    def to_words(self) -> npt.NDArray[np.uint64]:
        """The sequence as a program of the sequencer: 64-bit words, the END included.

        Raises
        ------
        ConfigError
            The device has no sequencer.
        ProgramWordError
            A command that no instruction can carry.
        """
        return CompiledSequence.compile(self.config, self.commands).words

    def run(
        self, *arguments: Operand, via: str = "registers", timeout: int = DEFAULT_TIMEOUT
    ) -> Completion | None:
        """Play it and return when its last command is done.

        Parameters
        ----------
        arguments
            An array of the device's memory for each argument, of its size at least, contiguous.
        via
            ``registers``: the host plays it over the register bus. ``program``: the device fetches
            it from its memory; the result says how long that took.
        timeout
            Cycles for every single wait.

        Raises
        ------
        SequenceError
            The arguments are not those that the sequence has.
        DeviceError, LockError, DeviceTimeout, ProgramStopped
            As :meth:`Program.wait` and :meth:`LoadedSequence.run`.
        """
        addresses = self._bind(arguments)
        if via == "registers":
            play(self.device.program, self.commands, arguments=addresses, timeout=timeout)
            return None
        if via != "program":
            raise SequenceError(f"via = {via!r}: must be 'registers' or 'program'")
        return self.load().run(addresses, timeout)

    def load(self) -> LoadedSequence:
        """Put the program into device memory, where it stays for any number of runs.

        Raises
        ------
        ConfigError, ProgramWordError
            As `to_words`.
        AllocationError
            There is no room for it.
        """
        if self._loaded is None or len(self._loaded.commands) != len(self.commands):
            self.unload()
            device = self.device
            self._loaded = LoadedSequence(device.program, device.allocator, self.commands)
        return self._loaded

    def unload(self) -> None:
        """Give the program's memory back, if there is one; see :meth:`LoadedProgram.free`."""
        if self._loaded is not None:
            self._loaded.free()
            self._loaded = None

    def _bind(self, arguments: Sequence[Operand]) -> list[int]:
        """The address of each argument."""
        if len(arguments) != len(self.arguments):
            raise SequenceError(
                f"the sequence has {len(self.arguments)} arguments and was given {len(arguments)}"
            )
        refs = [self.operand(argument) for argument in arguments]
        for index, (ref, wanted) in enumerate(zip(refs, self.arguments, strict=True)):
            if ref.argument is not None or not ref.is_contiguous or ref.nbytes < wanted.nbytes:
                raise SequenceError(
                    f"argument {index} must be {wanted.nbytes} contiguous bytes of device memory; "
                    f"sizes {ref.sizes} with strides {ref.strides} of {ref.dtype} are not"
                )
        return [ref.first_address for ref in refs]

    def check(self) -> CheckReport:
        """Replay it against a model of queues, tokens, locks and chains; see :mod:`.check`."""
        return check(
            self.config,
            self.commands,
            buffers=self.device.buffers,
            arguments=self.arguments,
            names={lock.index: lock.name for lock in self._locks.values()},
        )
