"""What came of `benchmarks.speed` as a picture: one bar for each contestant, one panel for each batch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from benchmarks.speed_table import best_settings, median

# Okabe and Ito: this project, plain TensorFlow, and others.
_COLOURS = {"this project": "#0072B2", "PyTorch": "#E69F00", "JAX": "#CC79A7"}
_PLAIN = "#999999"


def save_picture(path: Path, results: Mapping[str, Sequence[dict[str, Any]]]) -> None:
    """Writes an SVG of the median images a second, with the range of all rounds."""
    height = 0.3 * max(len(best_settings(rows)) for rows in results.values()) + 1
    figure = Figure(figsize=(5 * len(results) + 1, height), layout="constrained")
    FigureCanvasSVG(figure)
    for axes, (batch, rows) in zip(figure.subplots(1, len(results), squeeze=False)[0], results.items(), strict=True):
        best = best_settings(rows)
        speeds = [median(row, "images_per_second") for row in best]
        ranges = [[run["images_per_second"] for run in row["runs"]] for row in best]
        lower = [speed - min(one) for speed, one in zip(speeds, ranges, strict=True)]
        upper = [max(one) - speed for speed, one in zip(speeds, ranges, strict=True)]
        axes.barh([row["name"] for row in best], speeds, xerr=[lower, upper], color=[_colour(row) for row in best])
        axes.invert_yaxis()
        axes.set(title=f"global batch {batch}", xlabel="images a second")
    figure.savefig(path)


def _colour(row: dict[str, Any]) -> str:
    return next((colour for name, colour in _COLOURS.items() if row["name"].startswith(name)), _PLAIN)
