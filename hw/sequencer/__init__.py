"""Programs in DRAM: fetched, executed, reported."""

from .sequencer import Sequencer

__all__ = ["Sequencer"]
