"""Parts of a picture of which nothing can be made out.

A light blur can be undone, and a fine mosaic be read, as the things behind it move. So what is covered is averaged to a
few colours: a picture to six of them along its shorter side, and a part of it to four along each of its own at most. A
face that fills the picture is then six points high, of which nobody and no program tells a person.
"""

from typing import Final

from av.filter import Graph

from firsthand.services.archive.process.filters import Step, link

_IN_ALL: Final = 6  # colours along the shorter side of the picture
_IN_PART: Final = 4  # along a side of a part of it, at most

Area = tuple[int, ...]  # thousandths of the picture's sides: left, top, width, height


def blurred(graph: Graph, size: tuple[int, int], area: Area) -> Step:
    """The step of a chain that blurs a part of pictures of this size, of which colour is kept at half the points."""
    left, width = _even(area[0], area[2], size[0])
    top, height = _even(area[1], area[3], size[1])
    cell = min(size) / _IN_ALL
    most = _IN_PART if (width, height) != size else max(size)
    across, down = (max(1, min(most, round(side / cell))) for side in (width, height))
    split, overlay = graph.add("split"), graph.add("overlay", f"{left}:{top}:format=yuv420")
    covered = [
        graph.add("crop", f"{width}:{height}:{left}:{top}:exact=1"),
        graph.add("format", "yuv444p"),
        graph.add("scale", f"{across}:{down}:flags=area"),
        graph.add("scale", f"{width}:{height}:flags=bilinear"),
        graph.add("format", "yuv420p"),
    ]
    split.link_to(overlay, 0, 0)
    split.link_to(covered[0], 1, 0)
    link(covered)
    covered[-1].link_to(overlay, 0, 1)
    return split, overlay


def _even(start: int, length: int, side: int) -> tuple[int, int]:
    """Where a part begins, and how long it is, in points; rather more of it than less."""
    first = start * side // 1000 // 2 * 2
    last = min(side, -(-(start + length) * side // 1000 // 2) * 2)
    return first, max(2, last - first)
