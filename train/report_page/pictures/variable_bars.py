"""How far each variable is off, as bars on a logarithmic axis, against what is allowed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from train.report_page.pictures import canvas
from train.report_page.pictures.labels import fitting

_BAR, _LABEL, _GAP = 8, 16, 7
_LEGEND_LINE = 17
_MARGIN, _FIGURES = 14, 66  # on the left, and on the right, where the figures stand
_WRONG_HATCH = "////"


@dataclass(frozen=True)
class Bar:
    """One variable.

    Attributes:
      name: of the variable.
      distance: how far it is off, relative L2; None where that is not finite.
      allowed: the most that passes; None where nothing was judged.
      reference: how far the single-device run itself is off; None where that is not known.
    """

    name: str
    distance: float | None
    allowed: float | None
    reference: float | None = None

    @property
    def is_right(self) -> bool:
        """Whether it is within what is allowed."""
        return self.distance is not None and (self.allowed is None or self.distance <= self.allowed)


def variable_bars(bars: Sequence[Bar], key: str, title: str, description: str, spacing: tuple[str, float]) -> str:
    """The picture.

    Args:
      bars: at least one, from top to bottom.
      key: unique in the page.
      title: of the picture.
      description: what it shows.
      spacing: what a dotted line shows, and where: the spacing of the dtype's numbers next to 1.
    """
    with_reference = any(bar.reference is not None for bar in bars)
    row = _LABEL + _BAR * (1 + with_reference) + _GAP
    legend = [*_legend(bars, with_reference), Line2D([], [], color=canvas.MUTED, linestyle=":", label=spacing[0])]
    head = 29 + _LEGEND_LINE * ((len(legend) + 1) // 2)
    figure = canvas.new_figure(head + row * len(bars) + 24)
    canvas.place(figure, left=_MARGIN, right=_FIGURES, top=head, bottom=24)
    axes = figure.subplots()
    low, high = _bounds(bars, spacing[1])
    axes.set(xscale="log", xlim=(low, high), ylim=(row * len(bars), 0), yticks=[])
    _label_decades(axes, low, high)
    axes.axvline(spacing[1], color=canvas.MUTED, linestyle=":", linewidth=1.2)
    for index, bar in enumerate(bars):
        _draw(axes, bar, index * row, row)
    corner = (_MARGIN / canvas.WIDTH, 1 - 5 / (72 * figure.get_figheight()))
    figure.legend(handles=legend, loc="upper left", bbox_to_anchor=corner, ncols=2, handlelength=1.6)
    return canvas.inline(figure, key, title, description)


def _legend(bars: Sequence[Bar], with_reference: bool) -> list[Patch | Line2D]:
    handles: list[Patch | Line2D] = []
    if any(bar.is_right for bar in bars):
        handles.append(Patch(facecolor=canvas.RIGHT, label="replicas, within what is allowed"))
    if not all(bar.is_right for bar in bars):
        handles.append(Patch(facecolor=canvas.WRONG, hatch=_WRONG_HATCH, label="replicas, beyond it"))
    if with_reference:
        handles.append(Patch(facecolor="none", edgecolor=canvas.REFERENCE, label="one device itself"))
    if any(bar.allowed is not None for bar in bars):
        handles.append(Line2D([], [], color=canvas.INK, linewidth=2.2, linestyle="--", label="allowed"))
    return handles


def _bounds(bars: Sequence[Bar], spacing: float) -> tuple[float, float]:
    """Whole decades around all that is drawn."""
    figures = [spacing, *(one for bar in bars for one in (bar.distance, bar.allowed, bar.reference) if one)]
    return 10.0 ** (math.floor(math.log10(min(figures))) - 1), 10.0 ** (math.floor(math.log10(max(figures))) + 1)


def _label_decades(axes: Axes, low: float, high: float) -> None:
    first, last = round(math.log10(low)), round(math.log10(high))
    every = max(math.ceil((last - first) / 6), 1)
    decades = range(first + 1, last + 1, every)
    axes.set_xticks([10.0**decade for decade in decades], ["1" if decade == 0 else f"1e{decade}" for decade in decades])
    axes.minorticks_off()
    axes.tick_params(top=True, labeltop=True, length=3)
    axes.grid(axis="x")
    axes.spines[["left", "bottom"]].set_visible(False)


def _draw(axes: Axes, bar: Bar, top: float, row: float) -> None:
    """Name and figure above, the bar, the one of the single device, and what is allowed across both."""
    (low, high), baseline = axes.get_xlim(), top + _LABEL - 4
    axes.text(
        low, baseline, fitting(bar.name, canvas.WIDTH - _MARGIN - _FIGURES, canvas.FONT_SIZE), bbox=canvas.OVER_LINES
    )
    shown = "not finite" if bar.distance is None else f"{bar.distance:.2g}"
    at_edge = axes.get_yaxis_transform()
    axes.text(1.18, baseline, shown, transform=at_edge, ha="right", weight="normal" if bar.is_right else "bold")
    end = high if bar.distance is None else bar.distance
    colour, hatch = (canvas.RIGHT, None) if bar.is_right else (canvas.WRONG, _WRONG_HATCH)
    axes.barh(top + _LABEL + _BAR / 2, max(end - low, 0), _BAR, left=low, linewidth=0, color=colour, hatch=hatch)
    if bar.reference is not None:
        below, own = top + _LABEL + 1.5 * _BAR, max(bar.reference - low, 0)
        axes.barh(below, own, _BAR - 1, left=low, facecolor="none", edgecolor=canvas.REFERENCE, linewidth=1.2)
    if bar.allowed:
        ends = [top + 2, top + row]
        axes.plot([bar.allowed] * 2, ends, color=canvas.INK, linewidth=2.2, linestyle=(0, (3, 1.2)), zorder=1)
