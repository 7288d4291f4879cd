"""Processes that were started together and end together, as their parent sees them."""

import contextlib
import pickle
import queue
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from ..memory_check.child_process import ChildProcess, Outcome
from .failure import first_cause, is_consequence

# How long the parent waits for the reason where a process ended because it lost another one.
_GRACE_S = 10.0
_POLL_S = 0.1

Heard = tuple[str, int, Any]
"""A kind of message, the number of the process that sent it, and what it said."""


class Workers:
    """Starts and watches processes; as a context manager it ends all of them on leaving, however it is left.

    One thread for each process only hears it; what follows is decided by the thread that calls `results`.
    """

    def __init__(self) -> None:
        self._children: list[ChildProcess] = []
        self._threads: list[threading.Thread] = []
        self._heard: queue.SimpleQueue[Heard] = queue.SimpleQueue()

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for child in self._children:
            child.kill()
        for thread in self._threads:
            thread.join()

    def start(self, entry: str, **options: Any) -> None:
        """Starts one more process; the options are those of `ChildProcess`."""
        child = ChildProcess(entry, timeout_s=None, own_group=True, **options)
        thread = threading.Thread(target=self._hear, args=(len(self._children), child), daemon=True)
        self._children.append(child)
        self._threads.append(thread)
        thread.start()

    def results(self, *, on_news: Callable[[int, Any], None], stop: Callable[[], int]) -> list[Any]:
        """Waits until each process has sent its result.

        Args:
          on_news: gets a process' number and what it told before its end.
          stop: asked several times a second; the first signal number other than 0 is handed to the first process.

        Returns:
          The results, in the order of the processes.

        Raises:
          WorkerFailedError: a process ended before all results were there.
        """
        results: dict[int, Any] = {}
        ended: dict[int, Outcome] = {}
        deadline = float("inf")
        told_to_stop = False
        while len(results) < len(self._children):
            if not told_to_stop and (number := stop()):
                told_to_stop = True
                self._children[0].send(pickle.dumps(number))
            for kind, index, said in self._next():
                if kind == "news":
                    on_news(index, said)
                elif kind == "done":
                    results[index] = said
                else:
                    ended[index] = said
                    deadline = min(deadline, time.monotonic() + _patience(index, said))
            if ended and (time.monotonic() >= deadline or len(ended) == len(self._children)):
                raise first_cause(ended)
        return [results[index] for index in range(len(self._children))]

    def _next(self) -> Iterator[Heard]:
        with contextlib.suppress(queue.Empty):
            yield self._heard.get(timeout=_POLL_S)

    def _hear(self, index: int, child: ChildProcess) -> None:
        for kind, payload in child.messages():
            if kind in ("news", "done"):
                self._heard.put((kind, index, pickle.loads(payload)))  # from a process that this one started
        self._heard.put(("ended", index, child.outcome()))


def _patience(index: int, outcome: Outcome) -> float:
    # Where a signal stops all of them, the first one may still be saving when the others are through.
    stopped = index > 0 and "KeyboardInterrupt" in outcome.error_types
    return _GRACE_S if stopped or is_consequence(outcome) else 0.0
