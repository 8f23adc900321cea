"""What the rows of an ablation come to."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from .cases import GROUPS

__all__ = ["summarize"]

Row = dict[str, Any]


def summarize(rows: Sequence[Row]) -> dict[str, Any]:
    """By group and step: median and lowest utilisation, accesses of all cases.

    Then by group, where first and last step were both run: the medians and the most of how many
    times fewer cycles the last takes, and of the share of accesses that it does without.
    """
    steps = sorted({row["step"] for row in rows})
    groups = [name for name in GROUPS if any(row["group"] == name for row in rows)]

    def of(group: str, step: int, name: str) -> list[Any]:
        return [row[name] for row in rows if row["group"] == group and row["step"] == step]

    def table(name: str, reduce: Any) -> dict[str, dict[str, Any]]:
        return {
            group: {str(step): reduce(of(group, step, name)) for step in steps} for group in groups
        }

    summary: dict[str, Any] = {
        "utilization_median": table("utilization_temporal", _median),
        "utilization_lowest": table("utilization_temporal", min),
        "accesses": table("accesses", sum),
    }
    if len(steps) > 1:
        first, last = steps[0], steps[-1]
        for title, name, change in (
            ("speedup", "cycles", lambda before, after: before / after),
            ("access_reduction", "accesses", lambda before, after: 1 - after / before),
        ):
            summary[title] = {}
            for group in groups:
                pairs = zip(of(group, first, name), of(group, last, name), strict=True)
                values = [change(before, after) for before, after in pairs]
                summary[title][group] = {
                    "median": _median(values),
                    "most": round(max(values), 4),
                }
    return summary


def _median(values: Sequence[float]) -> float:
    return round(median(values), 4)
