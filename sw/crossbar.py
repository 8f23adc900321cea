"""The arbiters of the scratchpad's crossbar, cycle by cycle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..hw.config import AcceleratorConfig
from ..hw.memory.ports import memory_ports

__all__ = ["NOWHERE", "CrossbarArbiter"]

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

NOWHERE = -1
"""Bank of a channel that asks for none."""


class CrossbarArbiter:
    """Grants what :class:`~weft.hw.memory.share.PortShare` and :class:`~weft.hw.memory.bank.Bank`
    would.

    Parameters
    ----------
    config
        The system.
    channels
        Name of the mover and number of the channel, in the order in which they are asked about.
    fill_priority
        Whether it is switched on.
    """

    def __init__(
        self,
        config: AcceleratorConfig,
        channels: Sequence[tuple[str, int]],
        *,
        fill_priority: bool = False,
    ) -> None:
        memory, ports = config.memory, list(memory_ports(config))
        self._aging = memory.aging
        self._fill_priority = fill_priority
        seats = {
            channel: (number, turn)
            for number, port in enumerate(ports)
            for turn, channel in enumerate(port.channels)
        }
        self._port = np.array([seats[channel][0] for channel in channels])
        self._turn = np.array([seats[channel][1] for channel in channels])
        self._high = np.array([port.requester.high_priority for port in ports])
        self._ports = np.arange(len(ports))
        self._next_turn = np.zeros(len(ports), np.int64)
        """Of each port: whoever goes first in its circle."""
        self._next_port = np.zeros((2, memory.banks), np.int64)
        """Of the high and the low class at each bank: as much."""
        self._losses = np.zeros(len(ports), np.int64)
        """Of each port: cycles in a row."""

    def step(self, banks: Numbers, urgent: Flags) -> tuple[Flags, Flags]:
        """A cycle: which channels are granted, and at which banks somebody lost.

        `banks` and `urgent` have an entry a channel: the bank that it asks for, and whether it says
        that it is urgent.
        """
        asks = banks != NOWHERE
        none, count = np.iinfo(np.int64).max, len(banks)
        # Who is presented at each port.
        circle = self._turn + count * (self._turn < self._next_turn[self._port])
        first = np.full(len(self._ports), none)
        np.minimum.at(first, self._port[asks], circle[asks])
        presented = asks & (circle == first[self._port])
        bank = np.full(len(self._ports), NOWHERE)
        bank[self._port[presented]] = banks[presented]
        pressing = np.zeros(len(self._ports), np.bool_)
        pressing[self._port[asks & urgent]] = True

        # Who is granted at each bank: of the best rank the first in the circle of its class.
        asking = self._ports[bank != NOWHERE]
        at = bank[asking]
        aged = self._losses[asking] >= self._aging
        low = ~(self._high[asking] | aged)
        calm = ~(pressing[asking] | aged) if self._fill_priority else np.zeros_like(low)
        passed = asking < self._next_port[low.astype(np.int64), at]
        rank = ((low * 2 + calm) * 2 + passed) * len(self._ports) + asking
        best = np.full(self._next_port.shape[1], none)
        np.minimum.at(best, at, rank)
        wins = rank == best[at]
        winners = asking[wins]
        self._next_port[low[wins].astype(np.int64), at[wins]] = winners + 1

        granted = np.zeros(len(self._ports), np.bool_)
        granted[winners] = True
        self._losses[asking] += 1
        self._losses[granted | (bank == NOWHERE)] = 0
        shown = self._port[presented]
        self._next_turn[shown] = self._turn[presented] + granted[shown]
        losing = np.zeros(self._next_port.shape[1], np.bool_)
        losing[at[~wins]] = True
        return presented & granted[self._port], losing
