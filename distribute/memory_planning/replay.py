"""Replays recorded allocations through a model of the allocator: do they fit under a limit, and what is the smallest?

The idea is xMem's (arXiv 2510.21048). What it takes to hold on a device that runs several ops at a time: TensorFlow
lets an op that gets no memory wait, for up to 10 s, until others have given some back (allocator_retry.cc). So ops that
were under way at the same time in the recording follow each other under a tight limit, and only what is still in use
when all others have ended decides.
"""

import itertools
from collections.abc import Iterator, Sequence

from ..memory_timeline.allocations import Allocation
from .bfc import BfcAllocator, OutOfMemoryError

MIB = 2**20
_COARSE = 64
_UNLIMITED = 2**60


def replayed(events: Sequence[Allocation], limit: int = _UNLIMITED, *, grows: bool) -> BfcAllocator:
    """The allocator after all of it, under a limit in bytes.

    Args:
      events: of one allocator, in order of time.
      limit: by default none.
      grows: whether the allocator takes memory region by region, as on CPU, or all at once, as on a GPU with a limit.

    Raises:
      OutOfMemoryError: something has no room, however long it waits.
    """
    return _Replay(events, limit, grows=grows).run()


def fits(events: Sequence[Allocation], limit_mib: int, *, grows: bool) -> bool:
    """Whether all of it can be placed under the limit."""
    try:
        replayed(events, limit_mib * MIB, grows=grows)
    except OutOfMemoryError:
        return False
    return True


def smallest_limit_mib(events: Sequence[Allocation], *, grows: bool) -> int:
    """The smallest limit in MiB from which on every larger one fits too.

    Not every limit above one that fits does: where its regions end depends on the limit (conv net, batch 64: 44 MiB fit
    in half of the runs, 50 in none, 52 in all).
    """
    # With as much as it reserves without a limit it behaves as without one.
    highest = -(-replayed(events, grows=True).reserved // MIB)
    stride = max(1, highest // _COARSE)
    fails = next((limit for limit in range(highest, 0, -stride) if not fits(events, limit, grows=grows)), 0)
    return next(limit for limit in itertools.count(fails + 1) if fits(events, limit, grows=grows))


class _Replay:
    def __init__(self, events: Sequence[Allocation], limit: int, *, grows: bool) -> None:
        self._events = events
        self._allocator = BfcAllocator(limit, grows=grows)
        self._placed: dict[int, int] = {}  # recorded address -> address in the model
        self._done = [False] * len(events)
        self._under_way: dict[int, str] = {}  # thread -> op

    def run(self) -> BfcAllocator:
        for index, event in enumerate(self._events):
            if not self._done[index]:
                if event.taken:
                    self._under_way[event.thread] = event.op
                self._do_or_wait(index)
        return self._allocator

    def _do(self, index: int) -> None:
        event = self._events[index]
        if event.taken:
            self._placed[event.address] = self._allocator.allocate(event.requested_bytes)
        elif event.address in self._placed:  # not where it was taken before the recording
            self._allocator.release(self._placed.pop(event.address))
        self._done[index] = True

    def _do_or_wait(self, index: int) -> None:
        try:
            self._do(index)
        except OutOfMemoryError:
            for released in self._ends_of_others(index):
                self._do(released)
                if self._succeeds(index):
                    return
            raise

    def _succeeds(self, index: int) -> bool:
        try:
            self._do(index)
        except OutOfMemoryError:
            return False
        return True

    def _ends_of_others(self, index: int) -> Iterator[int]:
        """What the ops that are under way on other threads still give back; what they still take is done on the way."""
        waiting = {self._events[index].thread}
        for later in range(index + 1, len(self._events)):
            if len(waiting) == len(self._under_way):
                return
            event = self._events[later]
            if self._done[later] or event.thread in waiting or event.thread not in self._under_way:
                continue
            if not event.taken:
                yield later
            elif event.op != self._under_way[event.thread] or not self._succeeds(later):
                waiting.add(event.thread)  # its next op needs what does not come, or it waits itself
