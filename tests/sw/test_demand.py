"""What the array leaves of the banks where an operand stands."""

import pytest

from support.pages import named_config
from weft.sw.demand import MEETING, Demand
from weft.sw.placement import Placement, banks_of

DEFAULT = named_config("datamaestro")
MEMORY = DEFAULT.memory
EVERY = {"a": 8.0, "b": 8.0, "d": 4.0}


def test_an_operand_has_the_banks_of_its_group() -> None:
    double = Placement.double(DEFAULT)
    assert [len(banks_of(MEMORY, region)) for region in double.a] == [16, 16]
    assert set(banks_of(MEMORY, double.a[0])).isdisjoint(banks_of(MEMORY, double.b[0]))
    assert banks_of(MEMORY, double.d[0]) == range(32)


def test_halves_and_all_banks() -> None:
    """A in a half of the banks, B in the other, and D in all of them."""
    asked = Demand(MEMORY, Placement.double(DEFAULT)).asked(EVERY)
    assert asked == pytest.approx({"a": 8 / 16 + 4 / 32, "b": 8 / 16 + 4 / 32, "d": 20 / 32})


def test_quarters_leave_one_another_alone() -> None:
    """What is loaded of A is another region than the array works on; B has but one."""
    quarters = next(
        place
        for place in Placement.alternatives(DEFAULT)
        if (len(place.a), len(place.b), place.a[0].group) == (2, 1, 8)
    )
    demand = Demand(MEMORY, quarters)
    asked = demand.asked(EVERY)
    assert asked == pytest.approx({"a": 0, "b": 1, "d": 4 / 8})
    assert demand.beat_cycles(asked["a"]) == 1
    assert demand.beat_cycles(asked["d"]) == pytest.approx(1 / (1 - MEETING / 2))
    # Nothing is left: a request comes in when it has aged.
    assert demand.beat_cycles(asked["b"]) == MEMORY.aging + 1


def test_c_stands_where_d_does() -> None:
    demand = Demand(MEMORY, Placement.double(DEFAULT))
    assert demand.asked({"c": 4.0}) == demand.asked({"d": 4.0})
