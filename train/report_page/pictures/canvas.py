"""Drawing for a page: matplotlib's SVG as an element of HTML that takes its colours and its font from the page.

Colours are drawn as the tokens below and become CSS variables, so that a picture follows light and dark mode.
"""

import contextlib
import io
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from train.report_page.markup import printable

INK, MUTED, GRID, BAND, PAPER = "#010203", "#010204", "#010205", "#010206", "#010207"
RIGHT, WRONG, REFERENCE = "#010301", "#010302", "#010303"
SERIES = ("#010401", "#010402", "#010403", "#010404", "#010405", "#010406", "#010407")
DASHES = ("-", "--", "-.", ":")

_VARIABLES: Mapping[str, str] = {
    INK: "currentColor",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    BAND: "var(--band)",
    PAPER: "var(--paper)",
    RIGHT: "var(--right)",
    WRONG: "var(--wrong)",
    REFERENCE: "var(--reference)",
    **{colour: f"var(--series-{index})" for index, colour in enumerate(SERIES, start=1)},
}
_TOKEN = re.compile("|".join(_VARIABLES))
_FONT = re.compile(r"font: ([^;]*?)([\d.]+)px[^;]*")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")

WIDTH = 400
FONT_SIZE = 11.5

_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched, and takes the font of the page
    "svg.hashsalt": "report",  # the same record gives the same page
    "text.parse_math": False,  # a name with two dollar signs is no formula
    "font.size": FONT_SIZE,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": FONT_SIZE,
    "axes.titlelocation": "left",
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": FONT_SIZE,
    "ytick.labelsize": FONT_SIZE,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "hatch.color": PAPER,
    "hatch.linewidth": 1.5,
    "legend.frameon": False,
    "legend.borderpad": 0,
    "legend.borderaxespad": 0,
    "legend.handlelength": 2.2,
    "legend.columnspacing": 1.2,
    "legend.fontsize": FONT_SIZE,
    "figure.facecolor": "none",
    "lines.linewidth": 1.6,
}

OVER_LINES: Mapping[str, Any] = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.5}
"""The box of a text that stays readable where lines cross it."""


@contextlib.contextmanager
def style() -> Iterator[None]:
    """The style of the page while pictures are drawn, whatever the user's matplotlibrc says."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that matplotlib's own font lacks: the page's font is used
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


def new_figure(height: float) -> Figure:
    """A figure `WIDTH` units wide; a unit is a pixel where the picture is shown at its own size."""
    figure = Figure(figsize=(WIDTH / 72, height / 72))
    FigureCanvasSVG(figure)
    return figure


def place(figure: Figure, *, left: float = 44, right: float = 12, top: float = 24, bottom: float = 36) -> None:
    """Sets the margins around all axes, in units."""
    height = figure.get_figheight() * 72
    figure.subplots_adjust(left / WIDTH, bottom / height, 1 - right / WIDTH, 1 - top / height)


def inline(figure: Figure, key: str, title: str, description: str) -> str:
    """The figure as an ``<svg>`` element.

    Args:
      figure: drawn within `style`.
      key: unique in the page; all ids in the picture begin with it.
      title: what the picture is.
      description: what it shows, for those who do not see it.
    """
    file = io.StringIO()
    figure.savefig(file, format="svg")
    root = ElementTree.fromstring(file.getvalue())
    for child in [child for child in root if _local(child.tag) == "metadata"]:
        root.remove(child)
    for element in root.iter():
        _adapt(element, key)
    root.attrib.pop("width", None)
    root.attrib.pop("height", None)
    root.attrib.update({"role": "img", "aria-labelledby": f"{key}-title {key}-desc"})
    for index, (tag, content) in enumerate((("title", title), ("desc", description))):
        element = Element(tag, {"id": f"{key}-{tag}"})
        element.text = printable(content)
        root.insert(index, element)
    return ElementTree.tostring(root, encoding="unicode")


def _adapt(element: Element, key: str) -> None:
    """Makes an element one of an HTML page: no namespaces, ids of its own, colours and font of the page."""
    element.tag = _local(element.tag)
    attributes = {_local(name): value for name, value in element.attrib.items()}
    for name, value in attributes.items():
        value = _REFERENCE.sub(rf"url(#{key}-\1)", value)
        if name == "id":
            value = f"{key}-{value}"
        elif name == "href":
            value = f"#{key}-{value.removeprefix('#')}"
        elif name == "style":
            value = _FONT.sub(r"font-size: \2px", value)
        attributes[name] = _TOKEN.sub(lambda found: _VARIABLES[found.group()], value)
    element.attrib.clear()
    element.attrib.update(attributes)


def _local(name: str) -> str:
    return name.rpartition("}")[2]
