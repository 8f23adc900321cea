"""The figure of an ablation: utilisation as boxes, accesses as bars. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from .steps import STEPS

__all__ = ["draw"]

TITLES = {"gemm": "GeMM", "gemm-t": "transposed GeMM", "conv": "convolution"}
COLORS = {
    "A": "#4477aa",
    "B": "#66ccee",
    "C": "#ccbb44",
    "D": "#ee6677",
    "R": "#228833",
    "W": "#99c794",
}
"""Of the movers of the bars, told apart by any eye."""


def draw(rows: Sequence[dict[str, Any]], path: Path) -> list[Path]:
    """Write `path` with the endings .png and .svg: a column a group, a place a step."""
    groups = [name for name in TITLES if any(row["group"] == name for row in rows)]
    steps = sorted({row["step"] for row in rows})
    labels = [f"{s.number} {s.title}" for s in STEPS if s.number in steps]
    figure = Figure(figsize=(1 + 3.4 * len(groups), 7), layout="constrained")
    axes = figure.subplots(2, len(groups), sharey="row", squeeze=False)
    for column, group in enumerate(groups):
        mine = [[r for r in rows if (r["group"], r["step"]) == (group, step)] for step in steps]
        boxes, bars = axes[0][column], axes[1][column]
        boxes.boxplot(
            [[row["utilization_temporal"] for row in of_step] for of_step in mine],
            positions=range(len(steps)),
            widths=0.6,
            whis=(0, 100),
            patch_artist=True,
            boxprops={"facecolor": "#dbe6f0"},
            medianprops={"color": "#bb2233", "linewidth": 1.8},
        )
        boxes.set_title(f"{TITLES[group]}, {len(mine[0])} shapes")
        boxes.set_ylim(0, 1.02)
        boxes.set_xticks(range(len(steps)), [str(step) for step in steps])
        below = [0.0] * len(steps)
        for mover, color in COLORS.items():
            heights = [
                sum(row["accesses_by_mover"].get(mover, 0) for row in of_step) / 1000
                for of_step in mine
            ]
            if any(heights):
                bars.bar(range(len(steps)), heights, 0.6, bottom=below, color=color, label=mover)
            below = [low + height for low, height in zip(below, heights, strict=True)]
        bars.set_xticks(range(len(steps)), labels, rotation=35, ha="right")
        for axis in (boxes, bars):
            axis.grid(axis="y", alpha=0.3)
            axis.set_axisbelow(True)
    axes[0][0].set_ylabel("ideal steps / cycles")
    axes[1][0].set_ylabel("scratchpad accesses, thousands of words")
    # Of all groups: not every one rearranges.
    handles = {h.get_label(): h for axis in axes[1] for h in axis.get_legend_handles_labels()[0]}
    figure.legend(
        [handles[mover] for mover in COLORS if mover in handles],
        [f"mover {mover}" for mover in COLORS if mover in handles],
        loc="outside lower center",
        ncols=len(COLORS),
    )
    paths = [path.with_suffix(ending) for ending in (".png", ".svg")]
    # The same rows make the same file.
    with matplotlib.rc_context({"svg.hashsalt": "weft", "svg.fonttype": "none"}):
        figure.savefig(paths[0], dpi=150)
        figure.savefig(paths[1], metadata={"Date": None})
    return paths
