"""The steps of the ablation: each has the features of the one before it and one more."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["STEPS", "Step"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """What the streamers can do.

    Parameters
    ----------
    number, title
        As DataMaestro's figure 7 has them.
    prefetch
        Channels run ahead; without it a beat is one wide request at a time.
    transposer
        A and B turn tiles of an operand that lies transposed; without it a pass through the
        scratchpad rearranges the operand before the array begins.
    broadcaster
        C of one row is read as one row; without it a row for each row of the result lies in memory.
    im2col
        A walks the image; without it a pass through the scratchpad writes the im2col matrix first.
    modes
        Operands stand in the addressing modes, and on the banks, where they meet least; without
        them all are interleaved over all banks.
    """

    number: int
    title: str
    prefetch: bool
    transposer: bool
    broadcaster: bool
    im2col: bool
    modes: bool


def _steps() -> tuple[Step, ...]:
    titles = (
        "baseline",
        "fine-grained prefetch",
        "transposer",
        "broadcaster",
        "implicit im2col",
        "addressing modes",
    )
    features = ("prefetch", "transposer", "broadcaster", "im2col", "modes")
    return tuple(
        Step(
            number=number,
            title=title,
            **{name: index + 1 < number for index, name in enumerate(features)},
        )
        for number, title in enumerate(titles, 1)
    )


STEPS = _steps()
