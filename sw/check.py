"""What is wrong with a sequence, said before it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..hw.config import AcceleratorConfig
from .bounds import misplaced
from .commands import Command
from .deadlock import explain
from .errors import SequenceError
from .memref import MemRef
from .replay import Replay

__all__ = ["CheckReport", "check"]


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """What `check` found.

    Parameters
    ----------
    errors
        Sentences: deadlocks, BDs changed in flight, accesses out of bounds, locks out of range.
    warnings
        Sentences: locks that do not end as they began, so that a second run is another one.
    """

    errors: tuple[str, ...]
    warnings: tuple[str, ...]

    def require(self) -> None:
        """Raise `SequenceError` with every error, if there is one."""
        if self.errors:
            raise SequenceError("; ".join(self.errors))


def check(
    config: AcceleratorConfig,
    commands: Sequence[Command],
    *,
    buffers: Sequence[tuple[int, int]],
    arguments: Sequence[MemRef] = (),
    names: Mapping[int, str] | None = None,
) -> CheckReport:
    """Replay `commands` on an idle device, once as they come and once with each mover slow.

    Parameters
    ----------
    buffers
        Address and length of everything allocated in DRAM.
    arguments
        Buffers whose addresses are not known yet.
    names
        Of locks, for messages.
    """
    names = names or {}
    errors: dict[str, None] = {}
    plain = Replay(config, commands, names=names)
    plain.run()
    used = [name for name, mover in plain.movers.items() if mover.slots]
    for replay in (plain, *(Replay(config, commands, names=names, slow=name) for name in used)):
        if replay is not plain:
            replay.run()
        errors |= dict.fromkeys(replay.errors)
        # A BD that was not rewritten may be why it stands still.
        if not replay.errors and (stuck := explain(replay)):
            errors |= dict.fromkeys(stuck)
            break
    errors |= dict.fromkeys(_misplaced(config, plain, buffers, arguments))
    unbalanced = [
        f"lock {plain.name(lock)} begins at {first} and ends at {plain.settled(lock)}: the "
        "sequence cannot be run again without a reset"
        for lock, first in sorted(plain.initial.items())
        if not errors and plain.settled(lock) != first
    ]
    return CheckReport(errors=tuple(errors), warnings=tuple(unbalanced))


def _misplaced(
    config: AcceleratorConfig,
    replay: Replay,
    buffers: Sequence[tuple[int, int]],
    arguments: Sequence[MemRef],
) -> list[str]:
    sentences = []
    for access, origin in replay.accesses.items():
        places, where = buffers, ""
        if access.argument is not None:
            places = [(0, arguments[access.argument].nbytes)]
            where = f" of argument {access.argument}"
        flaw = misplaced(config, config.mover(access.mover), access.descriptor, places)
        if flaw:
            sentences.append(
                f"BD {access.slot} of {access.mover}, pushed by command {origin}: {flaw}{where}"
            )
    return sentences
