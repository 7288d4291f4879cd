"""Loss and accuracy of training, step by step."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from train.report_page.pictures import canvas

_PANEL = 130
_SMOOTHED_FROM = 40  # with fewer steps the line itself is smooth enough


def training_curves(
    curves: Sequence[tuple[str, Mapping[str, Any], float | None]], key: str, title: str, description: str
) -> str:
    """A panel for each curve: its name, its steps and values, and the figure on the test split as a dotted line."""
    top, between, bottom = 24, 34, 36
    height = top + _PANEL * len(curves) + between * (len(curves) - 1) + bottom
    figure = canvas.new_figure(height)
    canvas.place(figure, top=top, bottom=bottom)
    figure.subplots_adjust(hspace=between / _PANEL)
    panels = figure.subplots(len(curves), sharex=True, squeeze=False)[:, 0]
    for axes, (name, history, test) in zip(panels, curves, strict=True):
        _draw(axes, name, history["steps"], history["values"], test)
    panels[-1].set_xlabel("step")
    return canvas.inline(figure, key, title, description)


def _draw(axes: Axes, name: str, steps: Sequence[int], values: Sequence[float | None], test: float | None) -> None:
    numbers = np.array([np.nan if value is None else value for value in values], float)
    many = len(numbers) >= _SMOOTHED_FROM
    marker = "o" if len(numbers) == 1 else None
    axes.plot(
        steps, numbers, marker=marker, color=canvas.SERIES[0], alpha=0.4 if many else 1, linewidth=1 if many else 1.6
    )
    if many:
        axes.plot(steps, _smoothed(numbers), color=canvas.SERIES[0], linewidth=2)
    label = name
    if test is not None:
        axes.axhline(test, color=canvas.SERIES[1], linestyle=(0, (1, 1.2)), linewidth=2)
        label += f"; dotted: {test:.4g} on the test split"
    if many:
        label += "; bold: mean around"
    axes.set_title(label)
    axes.grid(axis="y")
    axes.margins(x=0.02)


def _smoothed(values: np.ndarray) -> np.ndarray:
    """The mean of the steps around each, a fortieth of all."""
    width = len(values) // 40 * 2 + 1
    kernel = np.ones(width)
    known = np.isfinite(values)
    sums = np.convolve(np.where(known, values, 0.0), kernel, "same")
    return sums / np.maximum(np.convolve(known.astype(float), kernel, "same"), 1.0)
