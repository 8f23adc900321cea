"""What a piece of a convolution needs of an axis, by the definition."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.sw.convolution import Axis, Convolution
from weft.sw.errors import MappingError


@st.composite
def axes(draw: st.DrawFn) -> Axis:
    dilation = draw(st.integers(1, 3))
    before, after = draw(st.integers(0, 9)), draw(st.integers(0, 9))
    size = draw(st.integers(1, 12))
    kernel = draw(st.integers(1, (before + size + after - 1) // dilation + 1))
    stride = draw(st.integers(1, 4))
    return Axis(
        name="rows",
        size=size,
        kernel=kernel,
        stride=stride,
        dilation=dilation,
        before=before,
        after=after,
    )


def part(draw: st.DrawFn, extent: int) -> range:
    start = draw(st.integers(0, extent - 1))
    return range(start, draw(st.integers(start + 1, extent)))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_reach_has_every_index_that_is_needed_and_no_other(data: st.DataObject) -> None:
    axis = data.draw(axes())
    outputs, taps = part(data.draw, axis.outputs), part(data.draw, axis.kernel)
    reach = axis.reach(outputs, taps)
    assert reach.count <= axis.most(len(outputs), len(taps))
    assert reach.first >= 0
    assert reach.first + (reach.count - 1) * reach.step < axis.size
    touched = set()
    for o, output in enumerate(outputs):
        for t, tap in enumerate(taps):
            index = output * axis.stride + tap * axis.dilation - axis.before
            place = reach.start + o * reach.output_step + t * reach.tap_step
            if 0 <= index < axis.size:
                assert 0 <= place < reach.count
                assert reach.first + place * reach.step == index
                touched.add(place)
            else:
                assert not 0 <= place < reach.count
    if touched:
        # The first and the last are needed; those between may lie in a gap of the kernel.
        assert {0, reach.count - 1} <= touched


def test_what_steps_have_in_common_is_not_loaded() -> None:
    axis = Axis(name="rows", size=20, kernel=1, stride=2)
    reach = axis.reach(range(3, 7), range(1))
    assert (reach.first, reach.step, reach.count, reach.output_step) == (6, 2, 4, 1)
    dilated = Axis(name="rows", size=20, kernel=3, stride=2, dilation=4, before=1)
    reach = dilated.reach(range(4), range(3))
    assert (reach.step, reach.output_step, reach.tap_step, reach.start) == (2, 1, 2, -1)


def test_a_convolution_by_letters() -> None:
    problem = Convolution.of(h=224, w=200, c=3, k=64, r=7, s=5, stride=2, pad=(3, (2, 1)))
    assert problem.outputs == (112, 100, 64)
    assert (problem.rows.before, problem.rows.after) == (3, 3)
    assert (problem.columns.before, problem.columns.after) == (2, 1)
    assert problem.macs == 112 * 100 * 64 * 7 * 5 * 3
    windowed = problem.windowed()
    assert windowed is not None
    assert (windowed.outputs, windowed.macs) == (problem.outputs, problem.macs)
    assert (windowed.columns.kernel, windowed.channels) == (1, 15)
    assert Convolution.of(h=3, w=3, c=3, k=1, r=3, s=1).windowed() is None
    assert Convolution.of(h=9, w=9, c=3, k=1, r=3, s=3, dilation=2).windowed() is None


FINE: dict[str, Any] = {"h": 8, "w": 8, "c": 3, "k": 4, "r": 3, "s": 3}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"h": 0}, "rows: size = 0: must be at least 1"),
        ({"s": 0}, "columns: kernel = 0: must be at least 1"),
        ({"stride": 0}, "rows: stride = 0: must be at least 1"),
        ({"stride": (1, 0)}, "columns: stride = 0: must be at least 1"),
        ({"dilation": (1, 0)}, "columns: dilation = 0: must be at least 1"),
        ({"pad": -1}, "rows: before = -1: must be at least 0"),
        ({"pad": ((0, 0), (0, -2))}, "columns: after = -2: must be at least 0"),
        ({"c": 0}, "channels = 0: must be at least 1"),
        ({"k": 0}, "filters = 0: must be at least 1"),
        ({"stride": (1, 2, 3)}, r"stride = \(1, 2, 3\): must be one number or two"),
        ({"pad": (1, 2, 3)}, r"pad = \(1, 2, 3\): must be one number, or one for rows"),
        (
            {"r": 5, "dilation": 2},
            "rows: a kernel of 5 with dilation 2 covers 9, the image with its padding only 8",
        ),
    ],
)
def test_what_is_no_convolution_is_refused(change: dict[str, Any], text: str) -> None:
    Convolution.of(**FINE)
    with pytest.raises(MappingError, match=text):
        Convolution.of(**FINE | change)


def test_a_reach_ends_with_a_pixel_that_is_needed() -> None:
    """The image ends in the gap between two outputs' pixels."""
    axis = Axis(name="rows", size=3, kernel=2, stride=3, dilation=1, before=0, after=2)
    reach = axis.reach(range(2), range(2))
    assert (reach.first, reach.count, reach.start) == (0, 2, 0)
