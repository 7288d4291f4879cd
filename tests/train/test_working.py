"""What takes long is seen: on a terminal with the time that is left, elsewhere by plain lines, and never in between."""

import io
import itertools
import re

from rich.console import Console

from train import working
from train.working import counted, under_way


def screen(**options):
    return Console(file=io.StringIO(), width=80, **options)


class TestCounted:
    def test_a_terminal_shows_how_many_are_done_and_what_is_left(self):
        console = screen(force_terminal=True)
        seen = [console.file.getvalue() for _ in counted(console, "policy", "abc", 3)]
        assert len(seen) == 3
        text = console.file.getvalue()
        assert "policy" in text
        assert "3/3" in text
        assert re.search(r"-:--:--|\d:\d\d:\d\d", text)

    def test_elsewhere_there_are_lines_now_and_then(self, monkeypatch):
        console = screen()
        assert list(counted(console, "policy", "abc", 3)) == ["a", "b", "c"]
        assert console.file.getvalue() == "policy 1/3\n"
        monkeypatch.setattr(working, "_LOG_SECONDS", 0.0)
        list(counted(console, "run", "ab", 2))
        assert console.file.getvalue() == "policy 1/3\nrun 1/2\nrun 2/2\n"


class TestUnderWay:
    def test_a_terminal_shows_what_and_since_when(self):
        console = screen(force_terminal=True)
        with under_way(console, "verifying"):
            pass
        assert re.search(r"verifying.*0:00:00", console.file.getvalue())

    def test_and_the_time_left_once_parts_are_counted(self):
        clock = itertools.count(0, 10)
        console = screen(force_terminal=True, get_time=lambda: next(clock))
        with under_way(console, "verifying") as advance:
            assert "left" not in console.file.getvalue()
            advance(1, 4)
            advance(2, 4)
        assert re.search(r"left .*0:00:[1-9]", console.file.getvalue())

    def test_elsewhere_nothing_is_told(self):
        console = screen()
        with under_way(console, "verifying") as advance:
            advance(1, 2)
        assert console.file.getvalue() == ""
