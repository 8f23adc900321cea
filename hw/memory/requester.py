"""What the crossbar knows of a requester at design time."""

from collections.abc import Iterable
from dataclasses import dataclass

from ..config import MemoryConfig
from ..errors import ConfigError

__all__ = ["Requester"]


@dataclass(frozen=True, kw_only=True)
class Requester:
    """One port of the scratchpad: where it may go, and in which class it stands.

    Parameters
    ----------
    reach, residue
        The banks it is wired to: those congruent to `residue` modulo `reach`; 0 and 0 for all.
    high_priority
        Whether it wins arbitration against requesters that are not, until one of those has aged.
    reads, writes
        What it does, at least one of the two; what it never does is not built.

    Raises
    ------
    ConfigError
        `reach` is neither 0 nor a power of two, `residue` is none modulo `reach`, or the requester
        does nothing.
    """

    reach: int
    residue: int
    high_priority: bool
    reads: bool
    writes: bool

    def __post_init__(self) -> None:
        if self.reach < 0 or self.reach & (self.reach - 1):
            raise ConfigError("requester.reach", self.reach, "must be 0 (all) or a power of two")
        if not 0 <= self.residue < max(self.reach, 1):
            raise ConfigError(
                "requester.residue", self.residue, f"must be from 0 to {max(self.reach, 1) - 1}"
            )
        if not (self.reads or self.writes):
            raise ConfigError("requester.reads", False, "a requester reads, writes, or both")

    def reaches(self, bank: int) -> bool:
        return bank % max(self.reach, 1) == self.residue

    def banks(self, memory: MemoryConfig) -> Iterable[int]:
        """The banks it is wired to, in order."""
        return range(self.residue, memory.banks, max(self.reach, 1))
