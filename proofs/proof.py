"""What there is to prove: a claim, its harness, and the mutants that it must catch."""

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from amaranth.hdl import Module

from weft.hw.errors import WeftError

__all__ = ["Mutant", "Proof", "StaleMutantError"]


class StaleMutantError(WeftError):
    """The text that a mutant replaces does not stand exactly once in its module."""


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One flaw: a piece of the design's source and what stands there instead.

    Parameters
    ----------
    flaw
        What is wrong with it, in a few words.
    old, new
        Source text; `old` stands exactly once in the module of the design.
    """

    flaw: str
    old: str
    new: str

    def of(self, design: Any) -> Any:
        """`design` (a class or a function), taken from a flawed copy of its module."""
        module = sys.modules[design.__module__]
        source = inspect.getsource(module)
        if source.count(self.old) != 1:
            raise StaleMutantError(
                f"{design.__module__}: {self.old!r} stands {source.count(self.old)} times, not "
                f"once; the mutant '{self.flaw}' must be adapted"
            )
        copy = ModuleType(module.__name__)
        copy.__package__ = module.__package__
        copy.__file__ = module.__file__
        code = compile(source.replace(self.old, self.new), str(module.__file__), "exec")
        exec(code, vars(copy))
        return getattr(copy, design.__name__)


@dataclass(frozen=True, kw_only=True)
class Proof:
    """A claim about a design.

    Parameters
    ----------
    name
        As on the command line.
    design
        The class or function under proof.
    claim
        What holds.
    size
        At which parameters it is proved.
    harness
        Builds the module with the assertions around `design` or a mutant of it.
    depth
        Length of the induction: what held in `depth` - 1 cycles holds in the next one, and it held
        in the first ones.
    mutants
        Each must violate a claim.
    reach
        Cycles from reset within which it must.
    bounded
        There is no induction: the claim is shown for the first `depth` cycles.
    """

    name: str
    design: Any
    claim: str
    size: str
    harness: Callable[[Any], Module]
    depth: int
    mutants: tuple[Mutant, ...]
    reach: int
    bounded: bool = False
