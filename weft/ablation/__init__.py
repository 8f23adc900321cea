"""What each feature of a streamer is worth: the same work with one after the other switched on."""

from .cases import CASES, GROUPS, QUICK_CASES, Case
from .runner import Runner
from .steps import STEPS, Step
from .summary import summarize
from .systems import ablation_system

__all__ = [
    "CASES",
    "GROUPS",
    "QUICK_CASES",
    "STEPS",
    "Case",
    "Runner",
    "Step",
    "ablation_system",
    "summarize",
]
