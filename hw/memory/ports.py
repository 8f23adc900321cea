"""Who uses which port of the scratchpad."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ..config import AcceleratorConfig
from .requester import Requester

__all__ = ["MemoryPort", "memory_ports"]


@dataclass(frozen=True, kw_only=True)
class MemoryPort:
    """A port, and the channels that take turns at it.

    Parameters
    ----------
    name
        Of the reader, or the writer where it is alone, and the number among its ports.
    requester
        What the crossbar knows of the port.
    channels
        Name of the mover and number of the channel, in the order of their turns.
    reads
        Whether the channel reads, for each.
    """

    name: str
    requester: Requester
    channels: tuple[tuple[str, int], ...]
    reads: tuple[bool, ...]


def memory_ports(config: AcceleratorConfig) -> Iterator[MemoryPort]:
    """The ports of the scratchpad of `config`, in their order.

    Channel i of a mover is at its port i modulo ``mover.memory_ports``. A port goes wherever one of
    its channels may.
    """
    for mover in config.movers:
        users = [mover]
        if mover.shares_ports_with:
            users.append(config.mover(mover.shares_ports_with))
        if not mover.is_scratchpad or (len(users) == 2 and not mover.is_source):
            continue
        count, reach = mover.memory_ports, mover.reach
        if reach and count < mover.channels:
            reach = math.gcd(reach, count)
        for number in range(count):
            channels = range(number, mover.channels, count)
            yield MemoryPort(
                name=f"{mover.name}_{number}",
                requester=Requester(
                    reach=reach,
                    residue=number % reach if reach else 0,
                    high_priority=mover.high_priority,
                    reads=any(user.is_source for user in users),
                    writes=any(not user.is_source for user in users),
                ),
                channels=tuple((user.name, channel) for user in users for channel in channels),
                reads=tuple(user.is_source for user in users for _ in channels),
            )
