"""What the quantizer knows about a column."""

from enum import IntEnum

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from ..config import PARAMETER_BITS

__all__ = ["Rounding", "parameters_of", "quantizer_parameters"]


class Rounding(IntEnum):
    """How a product is divided by a power of two, see :class:`~weft.hw.gemm.rescaler.Rescaler`."""

    TFLITE = 0
    ONNX = 1


def quantizer_parameters() -> data.FlexibleLayout:
    """A column's parameters as they lie in memory; the bits between are zero.

    ``((x - zero_in) * multiplier) / 2**shift``, rounded as ``rounding`` says, plus ``zero_out``,
    but not below ``low`` nor above ``high``.
    """
    return data.FlexibleLayout(
        PARAMETER_BITS,
        {
            "multiplier": data.Field(signed(32), 0),
            "zero_in": data.Field(signed(32), 32),
            "shift": data.Field(unsigned(6), 64),
            "rounding": data.Field(Rounding, 70),
            "zero_out": data.Field(signed(8), 72),
            "low": data.Field(signed(8), 80),
            "high": data.Field(signed(8), 88),
        },
    )


def parameters_of(*names: str) -> data.StructLayout:
    """Some of a column's parameters, packed."""
    whole = quantizer_parameters()
    return data.StructLayout({name: whole[name].shape for name in names})
