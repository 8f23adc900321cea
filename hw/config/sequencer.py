"""Parameters of the sequencer."""

from dataclasses import dataclass

from .checks import check, check_range, is_power_of_two

__all__ = ["SequencerConfig"]


@dataclass(frozen=True, kw_only=True)
class SequencerConfig:
    """What plays programs from DRAM.

    Parameters
    ----------
    arguments
        64-bit argument registers.
    fetch_beats
        Bus beats of program that are fetched ahead. For so many bytes a cycle (16 are an
        instruction with its payload, as far as a beat holds them) they must cover the memory's
        latency, an eighth of themselves (a burst) and 10 cycles.
    """

    arguments: int = 8
    fetch_beats: int = 32

    def __post_init__(self) -> None:
        check_range("sequencer.arguments", self.arguments, 1, 16)
        check_range("sequencer.fetch_beats", self.fetch_beats, 4, 1024)
        check(
            is_power_of_two(self.fetch_beats),
            "sequencer.fetch_beats",
            self.fetch_beats,
            "must be a power of two",
        )
