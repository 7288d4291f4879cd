"""What came of `benchmarks.cost_curves` as pictures: one for each thing that was varied, one panel for each cost."""

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

_PANELS = {
    "images_per_second": "images a second",
    "tracing_s": "tracing and compiling, s",
    "verification_s": "verification, s",
    "peak_mib": "resident memory, MiB",
}
# What is varied: its axis, and what a line of its own is drawn for.
_AXES = {
    "replicas": ("replicas", "replicas", "batch", "global batch {}"),
    "batch": ("batch", "global batch", "replicas", "N = {}"),
    "parameters": ("parameters", "parameters", "replicas", "N = {}"),
}
# Okabe and Ito's colours, and a marker for each: lines can be told apart without colours, too.
_STYLES = (("#0072B2", "o"), ("#E69F00", "s"), ("#009E73", "^"))


def save_pictures(folder: Path, points: Sequence[dict[str, Any]]) -> None:
    """Writes ``cost_by_replicas.svg`` and so on: medians as lines, every round as a marker."""
    for sweep in dict.fromkeys(point["sweep"] for point in points):
        figure = Figure(figsize=(11, 3), layout="constrained")
        FigureCanvasSVG(figure)
        chosen = [point for point in points if point["sweep"] == sweep]
        panels = figure.subplots(1, len(_PANELS))
        for axes, (cost, title) in zip(panels, _PANELS.items(), strict=True):
            _draw(axes, sweep, cost, chosen)
            axes.set_title(title, fontsize="medium")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        figure.savefig(folder / f"cost_by_{sweep}.svg")


def _draw(axes: Axes, sweep: str, cost: str, points: Sequence[dict[str, Any]]) -> None:
    key, name, line, label = _AXES[sweep]
    for value, (colour, marker) in zip(_values(points, line), _STYLES, strict=False):
        of_line = [point for point in points if point[line] == value and point[cost] is not None]
        places = _values(of_line, key)
        medians = [statistics.median(point[cost] for point in of_line if point[key] == place) for place in places]
        axes.plot(places, medians, color=colour, label=label.format(value))
        axes.plot([p[key] for p in of_line], [p[cost] for p in of_line], marker, color=colour, markersize=4)
    axes.set_xscale("log", base=10 if sweep == "parameters" else 2)
    axes.set(xlabel=name, ylim=(0, None))
    if sweep != "parameters":
        places = _values(points, key)
        axes.set_xticks(places, [f"{place:,}" for place in places])
        axes.minorticks_off()
    axes.grid(alpha=0.3)


def _values(points: Iterable[dict[str, Any]], key: str) -> list[int]:
    return sorted({point[key] for point in points})
