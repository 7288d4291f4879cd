"""A clean stop: SIGTERM or Ctrl-C lets the step finish and the state be saved; a second one leaves at once."""

import signal
import sys
from types import FrameType, TracebackType


class StopSignals:
    """While entered, remembers the first SIGINT or SIGTERM in `received` instead of dying of it."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._handlers: dict[int, object] = {}

    def __enter__(self) -> "StopSignals":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._handlers[number] = signal.signal(number, self._remember)
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal returned

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            sys.exit(128 + number)
        self.received = number
        print(
            f"\n{signal.Signals(number).name}: finishing this step; once more to leave at once",
            file=sys.stderr,
        )
