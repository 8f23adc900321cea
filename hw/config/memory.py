"""Parameters of the scratchpad."""

from dataclasses import dataclass

from .checks import check, check_range, is_power_of_two

__all__ = ["MemoryConfig"]


@dataclass(frozen=True, kw_only=True)
class MemoryConfig:
    """The banked scratchpad and its crossbar.

    Parameters
    ----------
    banks
        Number of banks, a power of two.
    bank_bits
        Width of a bank, and so of a word.
    rows
        Words in a bank, a power of two.
    groups
        Banks in a group for each addressing mode; a BD's mode is an index into this tuple.
        All banks is FIMA, one bank is NIMA, anything between is GIMA (DataMaestro, section III-D).
    crossbar_stages
        1: arbitrate and access in one cycle; 2: a register between arbiter and bank; 3: a register
        behind each bank's memory as well. The read latency in cycles is the same number.
        From 2 on arbiters see requests that were looked up a cycle ahead, which takes no cycle.
    aging
        A low-priority request that has lost this many cycles in a row at a bank counts as a
        high-priority one until it is served.
    fill_priority
        Whether the emptiest readers and the fullest writers of a class can be made to go first at
        the banks, by a bit in a register.
    bank_counters
        Whether each bank counts the cycles in which a request for it was not granted.
    """

    banks: int = 32
    bank_bits: int = 64
    rows: int = 512
    groups: tuple[int, ...] = (32, 16, 8, 1)
    crossbar_stages: int = 1
    aging: int = 16
    fill_priority: bool = False
    bank_counters: bool = False

    def __post_init__(self) -> None:
        for name, low, high in (("banks", 2, 256), ("bank_bits", 16, 512), ("rows", 2, 1 << 16)):
            value = getattr(self, name)
            check_range(f"memory.{name}", value, low, high)
            check(is_power_of_two(value), f"memory.{name}", value, "must be a power of two")
        check(len(self.groups) in range(1, 9), "memory.groups", self.groups, "1 to 8 modes")
        for group in self.groups:
            check(
                is_power_of_two(group) and group <= self.banks,
                "memory.groups",
                group,
                f"banks a group must be a power of two of at most {self.banks}",
            )
        check(
            len(set(self.groups)) == len(self.groups),
            "memory.groups",
            self.groups,
            "each group size stands once",
        )
        check_range("memory.crossbar_stages", self.crossbar_stages, 1, 3)
        check_range("memory.aging", self.aging, 1, 255)

    @property
    def word_bytes(self) -> int:
        return self.bank_bits // 8

    @property
    def bytes(self) -> int:
        """Capacity in bytes."""
        return self.banks * self.rows * self.word_bytes

    @property
    def address_bits(self) -> int:
        """Width of a byte address."""
        return (self.bytes - 1).bit_length()

    def modes(self, reach: int) -> tuple[int, ...]:
        """The addressing modes of a mover of `reach`: one that reaches banks congruent modulo g
        does not get by with groups of fewer."""
        return tuple(mode for mode, group in enumerate(self.groups) if group >= reach)

    @property
    def looks_ahead(self) -> bool:
        """Whether a requester tells a cycle ahead which bank it will ask."""
        return self.crossbar_stages > 1

    @property
    def latency(self) -> int:
        """Cycles from the grant of a read to its response."""
        return self.crossbar_stages
