"""Products with design-time factors: shifts and adds, no multiplier."""

from amaranth.hdl import Value

__all__ = ["multiple"]


def multiple(value: Value, factor: int) -> Value:
    """`value` times `factor` > 0 with few adders: one for each nonzero signed digit but one."""
    if factor & 1 == 0:
        return multiple(value, factor >> 1).shift_left(1)
    if factor == 1:
        return value
    if factor & 3 == 3:
        return multiple(value, factor + 1) - value
    return multiple(value, factor - 1) + value
