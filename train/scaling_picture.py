"""The predictions of `train/scaling.py` as a picture: efficiency against the number of replicas."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind readers can tell apart (https://jfly.uni-koeln.de/color/).
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")


def save_picture(path: Path, predictions: Sequence[dict[str, Any]]) -> None:
    """Writes an SVG: one line for each topology, dashed where there are hosts."""
    figure = Figure(figsize=(8, 6), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    links = list(dict.fromkeys(_outer(row) for row in predictions))
    for row in predictions:
        replicas = [one["replicas"] for one in row["predictions"]]
        efficiency = [100 * one["efficiency"] for one in row["predictions"]]
        colour = _COLOURS[links.index(_outer(row)) % len(_COLOURS)]
        style = "--" if row["link"].startswith("hosts") else "-"
        axes.plot(replicas, efficiency, style, color=colour, marker="o", markersize=3, label=row["link"])
    axes.set_xscale("log", base=2)
    numbers = sorted({one["replicas"] for row in predictions for one in row["predictions"]})
    axes.set_xticks(numbers, [f"{number:,}" for number in numbers])
    axes.set(xlabel="replicas", ylabel="efficiency, %", ylim=(0, 103), title="Predicted, batch of each replica fixed")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", fontsize="small", ncols=1)
    figure.savefig(path)


def _outer(row: dict[str, Any]) -> str:
    return str(row["link"]).rpartition(", between them ")[2].removeprefix("ring over ")
