"""Memory: peaks against the limit, and what is in use over steps and over time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from train.report_page.markup import mib
from train.report_page.pictures import canvas
from train.report_page.pictures.labels import fitting

_ROW, _BAR, _FIGURES = 36, 12, 66
_PANEL, _LEFT, _FOOT, _LEGEND_LINE = 120, 50, 40, 17
_LONG = 19  # letters; names that are longer have a line of the legend for themselves
_ROOM_ABOVE = 1.12
_FARTHEST_LIMIT = 3.0  # a limit that is more times the highest value would press the lines against the axis
_MOST_IN_LEGEND = 8


@dataclass(frozen=True)
class Peak:
    """A bar: what of, how many MiB, and whether it stands for the reference."""

    name: str
    mib: float
    is_reference: bool = False


@dataclass(frozen=True)
class Line:
    """A line of MiB over steps or seconds; one that `follows` the line before has its colour, and is dotted."""

    name: str
    x: Sequence[float]
    mib: Sequence[float]
    follows: bool = False


@dataclass(frozen=True)
class Panel:
    """Lines over one axis.

    Attributes:
      title: what the vertical axis is.
      lines: at least one.
      limit_mib: a dashed line, where it lies near the others.
    """

    title: str
    lines: Sequence[Line]
    limit_mib: float | None = None

    @property
    def highest(self) -> float:
        """The highest value of any line."""
        return max(max(line.mib) for line in self.lines) or 1.0

    @property
    def shows_limit(self) -> bool:
        """Whether the limit is near enough to be drawn."""
        return self.limit_mib is not None and self.limit_mib <= _FARTHEST_LIMIT * self.highest

    @property
    def named(self) -> Sequence[Line]:
        """The lines in the legend: of a single line the title says enough."""
        lines = [line for line in self.lines if not line.follows]
        return lines[:_MOST_IN_LEGEND] if len(lines) > 1 or self.shows_limit else []

    @property
    def columns(self) -> int:
        """Of the legend."""
        return 1 if any(len(line.name) > _LONG for line in self.named) else 2

    @property
    def head(self) -> float:
        """Units above the axes for title, legend, and the numbers of phases."""
        entries = len(self.named) + self.shows_limit
        return 46 + _LEGEND_LINE * -(-entries // self.columns)


def peak_bars(peaks: Sequence[Peak], limit_mib: float | None, key: str, title: str, description: str) -> str:
    """A bar for each peak, and the limit as a dashed line."""
    figure = canvas.new_figure(22 + _ROW * len(peaks) + 40)
    canvas.place(figure, left=14, right=_FIGURES, top=22, bottom=40)
    axes = figure.subplots()
    highest = max(limit_mib or 0, *(peak.mib for peak in peaks)) * _ROOM_ABOVE
    axes.set(xlim=(0, highest), ylim=(_ROW * len(peaks), 0), yticks=[], xlabel="MiB")
    axes.grid(axis="x")
    axes.spines[["left", "bottom"]].set_visible(False)
    for index, peak in enumerate(peaks):
        _draw_peak(axes, peak, index * _ROW, limit_mib)
    if limit_mib:
        axes.axvline(limit_mib, color=canvas.INK, linestyle="--", linewidth=2, zorder=1)
        side = "right" if limit_mib > highest / 2 else "left"
        axes.text(limit_mib, -5, f"limit {mib(limit_mib)}", ha=side)
    return canvas.inline(figure, key, title, description)


def _draw_peak(axes: Axes, peak: Peak, top: float, limit_mib: float | None) -> None:
    beyond = limit_mib is not None and not peak.is_reference and peak.mib > limit_mib
    name = fitting(peak.name, canvas.WIDTH - 20 - _FIGURES, canvas.FONT_SIZE)
    axes.text(0, top + 14, name, bbox=canvas.OVER_LINES)
    at_edge, weight = axes.get_yaxis_transform(), "bold" if beyond else "normal"
    axes.text(1.18, top + 18 + _BAR, mib(peak.mib), transform=at_edge, ha="right", weight=weight)
    style: dict[str, Any] = {"color": canvas.WRONG if beyond else canvas.RIGHT, "hatch": "////" if beyond else None}
    if peak.is_reference:
        style = {"facecolor": "none", "edgecolor": canvas.REFERENCE}
    axes.barh(top + 18 + _BAR / 2, peak.mib, _BAR, linewidth=1.2 if peak.is_reference else 0, **style)


def memory_lines(
    panels: Sequence[Panel], phases: Sequence[Mapping[str, Any]], x_label: str, key: str, title: str, description: str
) -> str:
    """Panels below each other over one axis.

    Args:
      panels: from top to bottom.
      phases: bands, numbered from 1, with ``seconds`` [begin, end].
      x_label: of the common axis.
      key: unique in the page.
      title: of the picture.
      description: what it shows.
    """
    height = sum(panel.head + _PANEL for panel in panels) + _FOOT
    figure = canvas.new_figure(height)
    bottom = height
    for panel in panels:
        bottom -= panel.head + _PANEL
        size = ((canvas.WIDTH - _LEFT - 12) / canvas.WIDTH, _PANEL / height)
        axes = figure.add_axes((_LEFT / canvas.WIDTH, bottom / height, *size))
        _draw_phases(axes, phases)
        named = _draw_lines(axes, panel)
        axes.tick_params(labelbottom=panel is panels[-1])
        figure.text(14 / canvas.WIDTH, (bottom + _PANEL + panel.head - 22) / height, panel.title)
        if named:
            corner = (10 / canvas.WIDTH, (bottom + _PANEL + 20) / height)
            figure.legend(handles=named, loc="lower left", bbox_to_anchor=corner, ncols=panel.columns)
    axes.set_xlabel(x_label)
    return canvas.inline(figure, key, title, description)


def _draw_lines(axes: Axes, panel: Panel) -> list[Line2D]:
    """Returns what the legend names."""
    index, named = -1, []
    for line in panel.lines:
        index += not line.follows
        style = ":" if line.follows else canvas.DASHES[index % len(canvas.DASHES)]
        (drawn,) = axes.plot(line.x, line.mib, style, color=canvas.SERIES[index % len(canvas.SERIES)], label=line.name)
        named += [drawn] if line in panel.named else []
    highest = panel.highest
    if panel.shows_limit and panel.limit_mib is not None:
        label, dashes = f"limit {mib(panel.limit_mib)}", (0, (5, 2))
        named.append(axes.axhline(panel.limit_mib, color=canvas.INK, linestyle=dashes, linewidth=2, label=label))
        highest = max(highest, panel.limit_mib)
    axes.set_ylim(0, highest * _ROOM_ABOVE)
    axes.margins(x=0.01)
    axes.grid(axis="y")
    return named


def _draw_phases(axes: Axes, phases: Sequence[Mapping[str, Any]]) -> None:
    """Shaded by turns; the numbers above them keep apart where phases are short."""
    end = phases[-1]["seconds"][1] or 1.0 if phases else 1.0
    left = 0.0
    for number, phase in enumerate(phases, start=1):
        begin, stop = phase["seconds"]
        axes.axvspan(begin, stop, color=canvas.BAND if number % 2 else "none", linewidth=0)
        axes.axvline(begin, color=canvas.MUTED, linewidth=0.8, linestyle=":")
        left = min(max((begin + stop) / 2, left), end)
        axes.text(left, 1.02, str(number), transform=axes.get_xaxis_transform(), ha="center")
        left += 0.04 * end
