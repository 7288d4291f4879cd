"""Where scripts tell what goes on: standard output, be it a terminal, a file, or a pipe whose reader has gone."""

import sys
from typing import Any

from rich.console import Console
from rich.highlighter import RegexHighlighter
from rich.theme import Theme

from train.colours import is_screen, wants_colours
from train.stop_signals import stop_without_output

_COLOURS = {"verdict.good": "green", "verdict.bad": "bold red", "verdict.other": "dim"}


class _Verdicts(RegexHighlighter):
    """Colours the word that begins a line of a report."""

    base_style = "verdict."
    highlights = (
        r"(?m)^(?P<good>OK|passed)\b",
        r"(?m)^(?P<bad>FAILED|failed|cause)\b",
        r"(?m)^(?P<other>skipped)\b",
    )


class Terminal(Console):
    """A console that prints text as it is, and stops the run cleanly when its output is closed.

    Where lines can be drawn again `is_terminal` is true; an environment that asks for colours does not change it, so
    that no log is filled with the states of a progress bar.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(
            force_terminal=is_screen(sys.stdout),
            color_system=_colour_system(),
            markup=False,
            highlight=False,
            soft_wrap=True,
            highlighter=_Verdicts(),
            theme=Theme(_COLOURS),
            **options,
        )

    def on_broken_pipe(self) -> None:
        """Called by rich for a `BrokenPipeError`, where it would leave on the spot."""
        self.quiet = True
        stop_without_output(self.file)


def _colour_system() -> Any:
    if not wants_colours(sys.stdout):
        return None
    return "auto" if is_screen(sys.stdout) else "standard"
