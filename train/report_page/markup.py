"""Pieces of HTML. What a record holds goes through `text`; what is already HTML has "html" in its name."""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# HTML has no place for them, nor has SVG; a lone surrogate cannot even be written.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def printable(value: Any) -> str:
    """The value as a string without characters that no page can hold."""
    return _UNPRINTABLE.sub("\ufffd", str(value))


def text(value: Any) -> str:
    """The value as HTML, whatever it holds."""
    return html.escape(printable(value))


def code(value: Any) -> str:
    """A name or a line of code, which may break after ``/``, ``_``, ``.`` and ``@``."""
    return f"<code>{re.sub(r'(?<=[/_.@])(?=[^;])', '<wbr>', text(value))}</code>"


def number(value: float | None) -> str:
    """A figure as the text report shows it; a dash where there is none."""
    if value is None:
        return "–"
    shown = f"{value:,.0f}" if 10 <= abs(value) < 1e6 else f"{value:.3g}"
    return f'<span class="figure">{shown}</span>'


def mib(value: float) -> str:
    """An amount of memory: to a tenth of a MiB, whole numbers from 100 on, two digits below a tenth."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f} MiB"
    return f"{value:.1f} MiB" if value >= 0.1 else f"{value:.2g} MiB"


def counted(count: int, what: str) -> str:
    """Such as ``1 example``, ``2 examples``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def section(key: str, heading: str, *parts_html: str) -> str:
    """A part of the page with its heading."""
    body = "\n".join(part for part in parts_html if part)
    return f'<section id="{key}" aria-labelledby="{key}-h">\n<h2 id="{key}-h">{text(heading)}</h2>\n{body}\n</section>'


def table(caption: str, header: Sequence[str], rows_html: Iterable[Sequence[str]]) -> str:
    """A table in a box of its own, which scrolls where it is too wide; the first cell of each row is its heading."""
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in header)
    body = "\n".join(
        f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in rest) + "</tr>"
        for first, *rest in rows_html
    )
    return (
        f'<div class="scroll" role="region" aria-label="{text(caption)}" tabindex="0">\n<table>\n'
        f"<caption>{text(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def facts(pairs_html: Mapping[str, str]) -> str:
    """Names and values, as a description list."""
    rows = "\n".join(f"<div><dt>{text(name)}</dt><dd>{value}</dd></div>" for name, value in pairs_html.items())
    return f'<dl class="facts">\n{rows}\n</dl>'


def details(summary: str, content_html: str) -> str:
    """What is long and folded away."""
    return f"<details><summary>{text(summary)}</summary>\n{content_html}\n</details>"


def figure(picture_html: str, caption: str) -> str:
    """A picture and what it shows."""
    return f"<figure>\n{picture_html}\n<figcaption>{text(caption)}</figcaption>\n</figure>"


def side_by_side(*figures_html: str) -> str:
    """Pictures beside each other where there is room."""
    shown = [one for one in figures_html if one]
    return '<div class="pictures">\n' + "\n".join(shown) + "\n</div>" if shown else ""


def message(said: str) -> str:
    """What a script says at the end of a run: its first line as a paragraph, those below it as a list."""
    first, *rest = said.splitlines() or [""]
    items = "".join(f"<li>{text(line.strip())}</li>" for line in rest)
    return f"<p>{text(first)}</p>" + (f"\n<ul>{items}</ul>" if items else "")
