"""What every extension of a mover's datapath is."""

from __future__ import annotations

from typing import ClassVar, Self

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.streams import compute_beat, present_fields
from ..config import MoverConfig

__all__ = ["Extension", "extension_setting"]


def extension_setting(parameter_bits: int) -> data.StructLayout:
    """Of one BD: whether it goes through the extension, ``enable``, and its ``parameter``."""
    return present_fields({"enable": 1, "parameter": parameter_bits})


class Extension(wiring.Component):
    """An operator on marked beats, between a read mover and whoever takes its stream.

    It answers in the same cycle: ``o`` is combinational from ``i``, and ``i.ready`` from
    ``o.ready``. What it remembers from one beat to the next begins anew with every BD. An operator
    that takes several beats for one gives it with the last of them, which has the mark; one that
    gives several has mark and end on the last. ``error`` is that of every beat that went into it.

    Parameters
    ----------
    width
        Bits of a beat.

    Members
    -------
    i, o : stream of :func:`~weft.hw.bus.streams.compute_beat`
    parameter : `parameter_bits`; only if it has any
        Stands while a beat of its BD is offered.

    Attributes
    ----------
    parameter_bits : int
        Width of what a BD tells it, as :meth:`~weft.hw.config.MoverConfig.parameter_bits` has it.
    cut : bool
        It is more than wires: a register behind it pays.
    """

    parameter_bits: int = 0
    cut: ClassVar[bool] = False

    def __init__(self, *, width: int) -> None:
        self._width = width
        beat = compute_beat(width)
        members = {"i": In(stream.Signature(beat)), "o": Out(stream.Signature(beat))}
        if self.parameter_bits:
            members["parameter"] = In(self.parameter_bits)
        super().__init__(members)

    @classmethod
    def of_mover(cls, mover: MoverConfig, word_bits: int) -> Self:
        """The one for the beats of `mover`."""
        return cls(width=mover.channels * word_bits)

    @property
    def width(self) -> int:
        return self._width
