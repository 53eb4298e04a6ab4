"""What is blurred: nothing of it can be told, and what is beside it stays as it was."""

from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.filter import Graph
from hypothesis import given
from hypothesis import strategies as st

from firsthand.services.archive.process.blurring import Area, blurred
from firsthand.services.archive.process.filters import pulled, ready

Light = npt.NDArray[np.uint8]
SIZE = (320, 180)


def seen(light: Light, *areas: Area) -> npt.NDArray[np.int16]:
    """The light of a picture in which these parts are blurred."""
    graph = Graph()
    height, width = light.shape
    source = graph.add_buffer(width=width, height=height, format="yuv420p", time_base=Fraction(1, 25))
    ready(graph, [source, *(blurred(graph, (width, height), area) for area in areas), graph.add("buffersink")])
    frame = av.VideoFrame.from_ndarray(np.concatenate([light, np.full((height // 2, width), 128, np.uint8)]), "yuv420p")
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    (made,) = [*pulled(graph, frame), *pulled(graph, None)]
    shown: Any = made.to_ndarray()
    return np.asarray(shown[:height], np.int16)


def stripes(phase: int, wide: int = 4) -> Light:
    line = np.where((np.arange(SIZE[0]) + phase) // wide % 2, 220, 40).astype(np.uint8)
    return np.tile(line, (SIZE[1], 1))


@pytest.mark.parametrize("area", [(0, 0, 1000, 1000), (250, 0, 500, 1000), (100, 100, 400, 400)])
def test_two_pictures_that_differ_only_in_what_is_fine_look_the_same(area: Area) -> None:
    left, right = area[0] * SIZE[0] // 1000, (area[0] + area[2]) * SIZE[0] // 1000
    top, bottom = area[1] * SIZE[1] // 1000, (area[1] + area[3]) * SIZE[1] // 1000
    one, other = (seen(stripes(phase), area)[top:bottom, left:right] for phase in (0, 4))
    assert np.max(np.abs(one - other)) <= 24  # of 180
    assert np.max(one) - np.min(one) <= 24


def test_of_a_picture_there_are_six_colours_from_top_to_bottom_and_of_a_part_four() -> None:
    steps = np.repeat(np.linspace(20, 230, 12), SIZE[1] // 12).astype(np.uint8)  # twice as many as are kept
    light = np.tile(steps[:, np.newaxis], (1, SIZE[0]))
    chance = np.random.default_rng(1)
    noisy = np.clip(light + chance.normal(0, 40, light.shape), 0, 255).astype(np.uint8)
    for area in ((0, 0, 1000, 1000), (0, 0, 999, 1000)):
        assert np.max(np.abs(seen(light, area)[:, 40:200] - seen(noisy, area)[:, 40:200])) <= 20


@given(st.tuples(st.integers(0, 999), st.integers(0, 999), st.integers(1, 1000), st.integers(1, 1000)))
def test_what_is_beside_it_stays_as_it_was_and_all_of_it_is_covered(area: Area) -> None:
    left, top, width, height = area
    area = (left, top, min(width, 1000 - left), min(height, 1000 - top))
    chance = np.random.default_rng(2)
    light = chance.integers(16, 235, (SIZE[1], SIZE[0]), dtype=np.uint8)
    changed = seen(light, area) != light
    margin = 2000 / SIZE[1]  # two points: colour is kept for every other one
    assert not np.any(changed & ~within(area, margin))
    inside = within(area, 0)
    assert np.sum(inside) < 40 or np.mean(changed[inside]) > 0.8


def within(area: Area, margin: float) -> npt.NDArray[np.bool_]:
    """Which points belong to a part of the picture, or are so near to it."""
    rows, columns = (np.arange(side) / side * 1000 for side in (SIZE[1], SIZE[0]))
    across = (columns >= area[0] - margin) & (columns < area[0] + area[2] + margin)
    down = (rows >= area[1] - margin) & (rows < area[1] + area[3] + margin)
    return np.outer(down, across)


def test_parts_may_overlap() -> None:
    both = seen(stripes(0), (0, 0, 600, 1000), (400, 0, 600, 1000))
    assert np.max(both) - np.min(both) <= 40
