"""Where the multipliers of an array stand on the device: as the array itself does.

Multipliers have few sites, far apart. nextpnr puts those of one element anywhere on them, and then
their wires are a fifth of all wires of a system, and cross the device.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

__all__ = ["place_multipliers"]

# Of an LFE5U-85F: places of a site in its group, by column and number; first columns of groups.
_IN_GROUP = ((0, 0), (1, 1), (4, 4), (5, 5))
_GROUPS = (4, 13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105, 114)
# Rows of sites, if so many of the three are used: those are to be neighbours.
_ROWS = {1: (34,), 2: (34, 58), 3: (10, 34, 58)}
_ELEMENT = re.compile(r"\bmesh\.element_(\d+)_(\d+)\.")


def place_multipliers(netlist: dict[str, Any]) -> int:
    """Give each multiplier of a systolic array its site, and return how many there are.

    A group of sites, or several next to one another, belongs to an element. What comes down a
    column of the array stays together: some elements of a column stand in one row of sites, the
    columns side by side in the device's middle, and the next elements in the next row. An array
    that does not fit so is left to the placer, as all other multipliers are.

    Parameters
    ----------
    netlist
        As yosys writes it for nextpnr, with the names of instances; cells get an attribute ``BEL``.
    """
    cells = {
        name: cell
        for module in netlist["modules"].values()
        for name, cell in module.get("cells", {}).items()
        if cell["type"] == "MULT18X18D"
    }
    elements: dict[tuple[int, int], list[str]] = defaultdict(list)
    for name in sorted(cells):
        if found := _ELEMENT.search(name):
            elements[int(found[1]), int(found[2])].append(name)
    if not elements:
        return 0
    groups = -(-max(map(len, elements.values())) // len(_IN_GROUP))
    mu, nu = (1 + max(index) for index in zip(*elements, strict=True))
    in_row = len(_GROUPS) // (nu * groups)
    rows = -(-mu // in_row) if in_row else len(_ROWS) + 1
    if rows not in _ROWS:
        return 0
    in_row = -(-mu // rows)
    margin = (len(_GROUPS) - nu * in_row * groups) // 2
    for (i, j), names in elements.items():
        first = margin + (j * in_row + i % in_row) * groups
        for index, name in enumerate(names):
            group, site = divmod(index, len(_IN_GROUP))
            column, number = _IN_GROUP[site]
            x, y = _GROUPS[first + group] + column, _ROWS[rows][i // in_row]
            cells[name]["attributes"]["BEL"] = f"X{x}/Y{y}/MULT18_{number}"
    return sum(map(len, elements.values()))
