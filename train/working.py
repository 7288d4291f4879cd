"""Shows that something long is under way: on a terminal with the time that is left, elsewhere by plain lines."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

Item = TypeVar("Item")

_LOG_SECONDS = 5.0


def counted(console: Console, what: str, items: Iterable[Item], total: int) -> Iterator[Item]:
    """The items, one after the other, with a bar of how many are done and when the rest will be.

    Where there is no terminal, a line now and then.
    """
    if not console.is_terminal:
        told_at = time.monotonic() - _LOG_SECONDS
        for number, item in enumerate(items, 1):
            if time.monotonic() - told_at >= _LOG_SECONDS:
                console.print(f"{what} {number}/{total}")
                told_at = time.monotonic()
            yield item
        return
    columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield from progress.track(items, total=total, description=what)


@contextlib.contextmanager
def under_way(console: Console, what: str) -> Iterator[Callable[[int, int], None]]:
    """On a terminal says what goes on, and since when, while the block runs.

    Yields:
      What to call with how many parts are done, and how many there are, where that is known: from then on the time
      that is left is shown as well.
    """
    if not console.is_terminal:
        yield lambda done, total: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), _TimeLeftColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


class _TimeLeftColumn(TimeRemainingColumn):
    """Empty as long as nothing is known of it."""

    def render(self, task: Task) -> Text:
        """The time that the parts still to be done will take, if they take as long as those that are."""
        if task.total is None or task.time_remaining is None:
            return Text("")
        return Text.assemble("left ", super().render(task))
