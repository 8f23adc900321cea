from hypothesis import given
from hypothesis import strategies as st

from weft.sw.residency import residency


@given(tiles=st.lists(st.integers(0, 4), min_size=1), regions=st.integers(1, 3))
def test_tiles_go_round_the_regions(tiles: list[int], regions: int) -> None:
    """A player who knows regions by counts alone finds every tile where its use says."""
    content: list[int | None] = [None] * regions
    loads = freed = 0
    for tile, use in zip(tiles, residency(tiles, regions), strict=True):
        if use.load:
            assert tile not in content
            # Of the regions that are free the next is the one that was filled first.
            assert loads - freed < regions
            assert use.region == loads % regions
            content[use.region] = tile
            loads += 1
        assert content[use.region] == tile
        # What was freed is not needed any more.
        assert use.region in [load % regions for load in range(freed, loads)]
        freed += use.freed
    assert freed == loads


def test_what_stays_is_not_loaded_again() -> None:
    uses = residency("ababab", 2)
    assert [use.load for use in uses] == [True, True, False, False, False, False]
    assert [use.freed for use in uses] == [0, 0, 0, 0, 1, 1]
    assert [use.load for use in residency("ababab", 1)] == [True] * 6
    # b is done before a, which was there first, and waits for it.
    assert [use.freed for use in residency("aba", 2)] == [0, 0, 2]
