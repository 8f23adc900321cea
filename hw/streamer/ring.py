"""What the FIFOs of a memory port have in common.

Rows enter all channels together and beats leave (or enter) them together, so one pointer on that
side serves all channels; only the other side is a channel's own. These FIFOs are therefore built
in place, of a memory and two pointers, and not of complete queues.

A pointer counts what has passed it, modulo a power of two that is more than whatever may lie
between any two of them: the difference of two pointers is a level, and their equality emptiness. A
memory has a place for each value of its pointers: LUTRAM is deeper than that in any case.
"""

from amaranth.hdl import Value

from ..config import MoverConfig

__all__ = ["level", "pointer_bits"]


def pointer_bits(mover: MoverConfig) -> int:
    """Width of the pointers of `mover`'s port.

    Between the rows that have entered a channel and those that every channel is done with are at
    most ``address_depth``, one that is requested and one that is being noted as done; between the
    words that a reader has asked for and the beats that are taken ``data_depth`` and the one on
    offer.
    """
    return max(mover.address_depth + 2, mover.data_depth + 1).bit_length()


def level(ahead: Value, behind: Value) -> Value:
    """What has passed pointer `ahead` and not yet `behind`."""
    return (ahead - behind)[: len(ahead)]
