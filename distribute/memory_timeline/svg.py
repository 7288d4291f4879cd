"""The timeline as a picture: one SVG file that needs no server, no script and no other file."""

import math
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from .phases import PhaseMemory
from .sampler import Sample

_WIDTH, _HEIGHT, _LEFT, _RIGHT = 960, 520, 70, 940
_ALLOCATORS, _PROCESS = (60, 300), (340, 470)  # top and bottom of the two panels
_COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd", "#8c564b", "#e377c2", "#17becf", "#bcbd22")
_GREY, _RED, _GRID, _BANDS = "#7f7f7f", "#d62728", "#dddddd", ("#e6eef7", "#f2f2f2")
_MIB = 2**20
_LETTER = 7  # about the width of a letter, in points


def timeline_svg(
    samples: Sequence[Sample],
    phases: Sequence[PhaseMemory],
    devices: Sequence[str],
    limit_mib: int | None,
    title: str,
) -> str:
    """Above what each allocator has in use, with the limit as a dashed line; below what the process holds.

    Phases are bands. The exact peak of each, which seldom meets a sample, is a dot of its device's colour.
    """
    picture = _Picture(title, samples[-1].seconds)
    times = [sample.seconds for sample in samples]
    if devices:
        in_use = {name: [sample.in_use[index] / _MIB for sample in samples] for index, name in enumerate(devices)}
        peaks = [peak / _MIB for phase in phases for peak in phase.peaks]
        picture.begin_panel("MiB in use", *_ALLOCATORS, highest=max(limit_mib or 0, *peaks, *max(in_use.values())))
        picture.draw_phases(phases)
        for index, (name, values) in enumerate(in_use.items()):
            picture.draw_line(name, _COLOURS[index % len(_COLOURS)], times, values)
            for phase in phases:
                picture.draw_peak(phase, name, phase.peaks[index] / _MIB, _COLOURS[index % len(_COLOURS)])
        if limit_mib is not None:
            picture.draw_limit(limit_mib)
    process = [sample.process / _MIB for sample in samples]
    picture.begin_panel("MiB in all", *_PROCESS, highest=max(process))
    picture.draw_phases(phases)
    picture.draw_line("process", _GREY, times, process)
    return picture.text()


class _Picture:
    """An SVG document of panels over one axis of time."""

    def __init__(self, title: str, seconds: float) -> None:
        self._seconds = seconds or 1.0
        self._top, self._bottom, self._highest = 0, _HEIGHT, 1.0
        self._legend_x = float(_LEFT)
        box = {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {_WIDTH} {_HEIGHT}"}
        self._svg = Element("svg", {**box, "font-family": "sans-serif", "font-size": "12"})
        self._add("rect", width=_WIDTH, height=_HEIGHT, fill="white")
        self._add("text", title, x=_LEFT, y=22, font_size=15)
        self._add("text", "seconds", x=_WIDTH / 2, y=_HEIGHT - 8, text_anchor="middle")

    def begin_panel(self, label: str, top: int, bottom: int, *, highest: float) -> None:
        """What is drawn from now on lies between these, from 0 MiB to some room above the highest."""
        self._top, self._bottom, self._highest = top, bottom, (highest or 1.0) * 1.15
        for mib in _ticks(self._highest):
            self._add("line", x1=_LEFT, x2=_RIGHT, y1=self._y(mib), y2=self._y(mib), stroke=_GRID)
            self._add("text", f"{mib:g}", x=_LEFT - 6, y=self._y(mib) + 4, text_anchor="end")
        for seconds in _ticks(self._seconds):
            self._add("text", f"{seconds:g}", x=self._x(seconds), y=bottom + 16, text_anchor="middle")
        middle = (top + bottom) / 2
        self._add("text", label, x=16, y=middle, text_anchor="middle", transform=f"rotate(-90 16 {middle})")

    def draw_phases(self, phases: Sequence[PhaseMemory]) -> None:
        for index, phase in enumerate(phases):
            left, width = self._x(phase.begin_s), max(self._x(phase.end_s) - self._x(phase.begin_s), 0.5)
            height, shade = self._bottom - self._top, _BANDS[index % 2]
            band = self._add("rect", x=left, y=self._top, width=width, height=height, fill=shade, fill_opacity=0.7)
            SubElement(band, "title").text = phase.name
            if width > _LETTER * len(phase.name):
                self._add("text", phase.name, x=left + 4, y=self._top + 14, fill="#555555")

    def draw_line(self, name: str, colour: str, seconds: Sequence[float], mib: Sequence[float]) -> None:
        points = " ".join(f"{self._x(x):.1f},{self._y(y):.1f}" for x, y in zip(seconds, mib, strict=True))
        self._add("polyline", points=points, fill="none", stroke=colour, stroke_width=1.5)
        self._add_to_legend(name, colour)

    def draw_peak(self, phase: PhaseMemory, device: str, mib: float, colour: str) -> None:
        middle = self._x((phase.begin_s + phase.end_s) / 2)
        dot = self._add("circle", cx=middle, cy=self._y(mib), r=4, fill=colour)
        SubElement(dot, "title").text = f"{phase.name}: peak of {device} {mib:.1f} MiB"

    def draw_limit(self, limit_mib: int) -> None:
        y = self._y(limit_mib)
        self._add("line", x1=_LEFT, x2=_RIGHT, y1=y, y2=y, stroke=_RED, stroke_dasharray="6 4")
        self._add_to_legend(f"limit {limit_mib} MiB", _RED)

    def text(self) -> str:
        return ElementTree.tostring(self._svg, encoding="unicode") + "\n"

    def _add_to_legend(self, name: str, colour: str) -> None:
        self._add("rect", x=self._legend_x, y=34, width=12, height=12, fill=colour)
        self._add("text", name, x=self._legend_x + 16, y=44)
        self._legend_x += 30 + _LETTER * len(name)

    def _add(self, tag: str, text: str | None = None, **attributes: float | str) -> Element:
        rounded = {name: round(value, 1) if isinstance(value, float) else value for name, value in attributes.items()}
        element = SubElement(self._svg, tag, {name.replace("_", "-"): str(value) for name, value in rounded.items()})
        element.text = text
        return element

    def _x(self, seconds: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * seconds / self._seconds

    def _y(self, mib: float) -> float:
        return self._bottom - (self._bottom - self._top) * mib / self._highest


def _ticks(highest: float) -> Iterator[float]:
    """Round numbers from 0 up to the highest, at most six."""
    unit = 10.0 ** math.floor(math.log10(highest / 5))
    step = unit * next(factor for factor in (1, 2, 5, 10) if highest / (unit * factor) <= 5)
    yield from (step * index for index in range(int(highest / step) + 1))
