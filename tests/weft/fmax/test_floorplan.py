"""Where the multipliers of an array are put."""

import re
from typing import Any

import pytest

from weft.fmax.floorplan import place_multipliers


def netlist(mu: int, nu: int, ku: int) -> dict[str, Any]:
    names = [
        f"subject.accelerator.array.mesh.element_{i}_{j}.products_{k}"
        for i in range(mu)
        for j in range(nu)
        for k in range(ku)
    ]
    cells = {name: {"type": "MULT18X18D", "attributes": {}} for name in names}
    cells["subject.accelerator.array.rescaler.product"] = {"type": "MULT18X18D", "attributes": {}}
    cells["subject.accelerator.array.mesh.element_0_0.o_a"] = {"type": "LUT4", "attributes": {}}
    return {"modules": {"harness": {"cells": cells}, "LUT4": {"attributes": {"blackbox": 1}}}}


def sites(given: dict[str, Any]) -> dict[str, tuple[int, int]]:
    found = {}
    for name, cell in given["modules"]["harness"]["cells"].items():
        if site := cell["attributes"].get("BEL"):
            x, y, number = map(int, re.fullmatch(r"X(\d+)/Y(\d+)/MULT18_([0145])", site).groups())
            # Sites are apart by their numbers, and groups by 9 columns, with the clock between two.
            assert (x - number - 4 - 2 * (x > 65)) % 9 == 0
            found[name] = x, y
    return found


@pytest.mark.parametrize(
    ("mu", "nu", "ku"), [(1, 1, 1), (4, 4, 4), (2, 4, 8), (8, 4, 4), (3, 3, 9)]
)
def test_an_element_has_its_multipliers_side_by_side(mu: int, nu: int, ku: int) -> None:
    given = netlist(mu, nu, ku)
    assert place_multipliers(given) == mu * nu * ku
    placed = sites(given)
    assert len(set(placed.values())) == len(placed) == mu * nu * ku
    for i in range(mu):
        for j in range(nu):
            own = [placed[n] for n in placed if f"element_{i}_{j}." in n]
            (_,) = {y for _, y in own}
            columns = [x for x, _ in own]
            assert max(columns) - min(columns) < 9 * -(-ku // 4) + 2


def test_neighbours_down_a_column_are_neighbours() -> None:
    given = netlist(4, 4, 4)
    place_multipliers(given)
    placed = sites(given)
    first = {(i, j): placed[n] for n in placed for i, j in [map(int, re.findall(r"\d+", n)[:2])]}
    # Two rows of sites, of two elements of each column, in the middle of 126 columns.
    columns = [x for x, _ in placed.values()]
    assert abs(min(columns) + max(columns) - 125) < 20
    for j in range(4):
        columns, rows = zip(*(first[i, j] for i in range(4)), strict=True)
        assert rows == (34, 34, 58, 58)
        assert columns[:2] == columns[2:]
        assert 0 < columns[1] - columns[0] < 12


@pytest.mark.parametrize(("mu", "nu", "ku"), [(8, 8, 8), (1, 14, 4), (40, 1, 1)])
def test_an_array_that_does_not_fit_is_left_alone(mu: int, nu: int, ku: int) -> None:
    given = netlist(mu, nu, ku)
    assert place_multipliers(given) == 0
    assert not sites(given)


def test_a_design_without_an_array_is_left_alone() -> None:
    given = netlist(0, 0, 0)
    assert place_multipliers(given) == 0
    assert not sites(given)
