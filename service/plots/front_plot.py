"""The one function that draws a front into a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from search_spaces.errors import SpecificationError
from service.plots.front_image import write_image
from service.plots.front_page import write_page
from service.plots.front_picture import FrontPicture
from service.plots.plotted_point import PlottedPoint

__all__ = ["PlottedPoint", "plot_front"]


def plot_front(points: Sequence[PlottedPoint], objectives: Sequence[str], path: Path, title: str) -> None:
    """Draw the candidates of a search; every objective is maximised.

    Two objectives are the two axes, with the edge of the dominated region as a line. A third is the colour of the
    points, and the line is left out, for the projection of a front is no line. Of more objectives the first three are
    drawn so, the picture names those left out, and the page shows them on hovering. A single objective is drawn over
    the candidates in the order given, with the best so far as a line.

    Args:
        points: in the order in which they were evaluated; may be empty.
        objectives: their names, one or more.
        path: `.png` and `.svg` give an image, `.html` a page that needs no network; a file there is replaced.
        title: above the picture.

    Raises:
        SpecificationError: another suffix, or the file cannot be written.
        ValueError: a point has another number of values than there are objectives.
    """
    writers = {".png": write_image, ".svg": write_image, ".html": write_page}
    write = writers.get(path.suffix.lower())
    if write is None:
        raise SpecificationError(f"`path` must end in {', '.join(writers)}, but got '{path}': change the ending.")
    try:
        write(FrontPicture(tuple(points), tuple(objectives), title), path)
    except OSError as error:
        raise SpecificationError(f"A picture must be written to '{path}', but cannot be: {error}") from None
