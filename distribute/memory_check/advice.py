"""Finds a memory limit that works, by running the program under it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .child_process import ChildProcess
from .trace import round_up_mib

# Above the peak without a cap: the order of ops moves the peak, and the allocator's regions cannot be used to
# the last byte (conv net, batch 32: peak 13 MiB, and limits of 11 MiB still work in two runs of three).
_HEADROOM = 1.25
_NEXT = 1.4
_RUNS = 4
_AT_ONCE = 2  # the check itself runs two processes side by side, and their neighbours move the order of ops

Start = Callable[[int, float], ChildProcess]


@dataclass(frozen=True)
class Advice:
    """A limit in MiB under which the program was run ``num_runs`` times, every time to its end.

    ``limit_mib`` is None where none was found in time; ``tried_mib`` are the limits under which a run failed.
    """

    limit_mib: int | None
    num_runs: int
    tried_mib: Sequence[int]
    seconds: float


def search_limit(start: Start, *, need_mib: float, failed_mib: int, budget_s: float) -> Advice:
    """Tries limits from a little above the need upwards until one works in all of its runs.

    Args:
      start: starts one replica's share under a limit in MiB, to be ended after so many seconds.
      need_mib: peak of such a run without a limit.
      failed_mib: a limit under which it failed.
      budget_s: seconds after which the search ends, with nothing found.
    """
    begin = time.monotonic()
    failed: list[int] = []
    limit = max(round_up_mib(need_mib * _HEADROOM), failed_mib + 1)
    while True:
        passes = _passes(start, limit, begin + budget_s)
        seconds = time.monotonic() - begin
        if passes:
            return Advice(limit, passes, failed, seconds)
        if seconds >= budget_s:
            return Advice(None, 0, failed, seconds)
        failed.append(limit)
        limit = round_up_mib(limit * _NEXT)


def _passes(start: Start, limit_mib: int, deadline: float) -> int:
    """How often the program ran to its end; 0 where it failed once, fewer than `_RUNS` where time ran out."""
    passes = 0
    while passes < _RUNS and (left := deadline - time.monotonic()) > 0:
        children = [start(limit_mib, left) for _ in range(_AT_ONCE)]
        outcomes = [child.outcome() for child in children]
        if any(not outcome.ok and not outcome.timed_out for outcome in outcomes):
            return 0
        if not all(outcome.ok for outcome in outcomes):
            break
        passes += _AT_ONCE
    return passes
