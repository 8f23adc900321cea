"""Parameters of the systolic array, and its streams."""

from dataclasses import dataclass

from .checks import check, check_range

__all__ = ["ARRAY_PORTS", "ARRAY_SINKS", "PARAMETER_BITS", "ArrayConfig"]

QUANTIZER_PORTS = ("array.e", "array.s")
"""Streams of the systolic array's quantizer: its results and its parameters."""

ARRAY_PORTS = ("array.a", "array.b", "array.c", "array.d", *QUANTIZER_PORTS)
"""Streams of the systolic array that a mover can be bound to; see :attr:`ArrayConfig.ports`."""

ARRAY_SINKS = ("array.d", "array.e")
"""Those of them that a write mover takes."""

PARAMETER_BITS = 128
"""What the quantizer knows about a column, in memory."""


@dataclass(frozen=True, kw_only=True)
class ArrayConfig:
    """The systolic array: ``mu`` x ``nu`` elements of ``ku``-long dot products a cycle.

    Parameters
    ----------
    mu, nu, ku
        Rows, columns, and products of a dot product.
    operand_bits, accumulator_bits
        Widths of A and B, and of C and D.
    zero_points
        Whether A and B can have one, which is subtracted on the way in; a bit more an operand.
    quantizer
        Whether there are ports E, int8 results, and S, the parameters that make them of D's.
    """

    mu: int = 8
    nu: int = 8
    ku: int = 8
    operand_bits: int = 8
    accumulator_bits: int = 32
    zero_points: bool = False
    quantizer: bool = False

    def __post_init__(self) -> None:
        for name in ("mu", "nu", "ku"):
            check_range(f"array.{name}", getattr(self, name), 1, 64)
        for name, only in (("operand_bits", 8), ("accumulator_bits", 32)):
            value = getattr(self, name)
            check(value == only, f"array.{name}", value, f"only {only} is built yet")

    @property
    def a_bits(self) -> int:
        """Width of an A beat: mu rows of ku operands."""
        return self.mu * self.ku * self.operand_bits

    @property
    def b_bits(self) -> int:
        """Width of a B beat: ku rows of nu operands."""
        return self.ku * self.nu * self.operand_bits

    @property
    def d_bits(self) -> int:
        """Width of a C or D beat: mu rows of nu accumulators."""
        return self.mu * self.nu * self.accumulator_bits

    @property
    def e_bits(self) -> int:
        """Width of an E beat: mu rows of nu results, as wide as operands."""
        return self.mu * self.nu * self.operand_bits

    @property
    def s_bits(self) -> int:
        """Parameters of a tile's nu columns: the width of an S beat, or a multiple of it."""
        return self.nu * PARAMETER_BITS

    @property
    def factor_bits(self) -> int:
        """Width of what the array multiplies: an operand less its zero point."""
        return self.operand_bits + self.zero_points

    @property
    def factor_limit(self) -> int:
        """The greatest absolute value of what the array multiplies."""
        lowest = 1 << (self.operand_bits - 1)
        return 2 * lowest - 1 if self.zero_points else lowest

    @property
    def macs(self) -> int:
        """Multiply-accumulates in one step."""
        return self.mu * self.nu * self.ku

    @property
    def ports(self) -> tuple[str, ...]:
        """Its streams, each of which a mover binds."""
        return tuple(p for p in ARRAY_PORTS if self.quantizer or p not in QUANTIZER_PORTS)

    def beat_bits(self, port: str) -> int:
        """Width of the stream of `port`, one of `ports`; of ``array.s`` the greatest."""
        return {
            "array.a": self.a_bits,
            "array.b": self.b_bits,
            "array.c": self.d_bits,
            "array.d": self.d_bits,
            "array.e": self.e_bits,
            "array.s": self.s_bits,
        }[port]
