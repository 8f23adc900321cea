"""Every proof there is."""

from . import (
    agu,
    bursts,
    counters,
    dma,
    extensions,
    joiner,
    locks,
    memory,
    planner,
    queue,
    repeater,
    streamer,
    switch,
)
from .proof import Proof

__all__ = ["PROOFS", "table"]

PROOFS: tuple[Proof, ...] = (
    *queue.PROOFS,
    *counters.PROOFS,
    *agu.PROOFS,
    *joiner.PROOFS,
    *bursts.PROOFS,
    *planner.PROOFS,
    *dma.PROOFS,
    *switch.PROOFS,
    *streamer.PROOFS,
    *extensions.PROOFS,
    *repeater.PROOFS,
    *memory.PROOFS,
    *locks.PROOFS,
)


def table() -> str:
    """The catalogue as it stands in the README."""
    rows = ["| proof | of | holds | at | mutants |", "|---|---|---|---|--:|"]
    for proof in PROOFS:
        bound = f"; first {proof.depth} cycles" if proof.bounded else ""
        rows.append(
            f"| `{proof.name}` | `{proof.design.__name__}` | {proof.claim} | {proof.size}{bound} "
            f"| {len(proof.mutants)} |"
        )
    return "\n".join(rows)
