"""A clean stop by SIGTERM, by Ctrl-C, or because nobody reads the output any more (``main.py | head -1``).

During training the step is finished and the state saved; at any other time the run ends where it is. Either way the
exit code is 128 + signal, and a second signal leaves at once.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import IO

from train.errors import tell

# Signals belong to the process, and so does what was received.
_received: int | None = None
_raised = False


class Stopped(KeyboardInterrupt):
    """Ends the run; no `Exception`, so that code which goes on after one does not swallow it."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number

    @property
    def exit_code(self) -> int:
        """128 + signal, as a shell has it."""
        return 128 + self.number

    @property
    def reason(self) -> str:
        """What stopped it, for a person."""
        if self.number == signal.SIGPIPE:
            return "stopped, since standard output was closed"
        return f"stopped by {signal.Signals(self.number).name}"


def raise_if_stopped() -> None:
    """Raises `Stopped` where a signal was received and `Stopped` is not under way.

    That is so after training, and where a callback that TensorFlow made from the main thread swallowed the exception.
    """
    if _received is not None:
        raise Stopped(_received)


@contextlib.contextmanager
def failures_are_the_stop() -> Iterator[None]:
    """An exception that ends the block after `Stopped` was raised in it becomes `Stopped` again.

    Code that a signal interrupts may raise something of its own instead: Python 3.11 makes a `RuntimeError` of whatever
    ends the making of a class, in an import for instance.
    """
    try:
        yield
    except Exception:
        if _raised:
            raise_if_stopped()
        raise


def stop_as_others(number: int) -> None:
    """Takes over a signal that another process of the run received, once all have agreed to stop at this step."""
    global _received
    if _received is None:
        _received = number


def drop_output(stream: IO[str] | None = None) -> None:
    """Lets what is still to be written, to standard output or another stream, go nowhere."""
    # Python writes what is left at exit, and would complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), (stream or sys.stdout).fileno())


def stop_without_output(stream: IO[str] | None = None) -> None:
    """Does what the first signal would do; for standard output, or another stream, whose reader is gone."""
    drop_output(stream)
    handler = signal.getsignal(signal.SIGTERM)
    # A Ctrl-C in a shell goes to all processes of a pipe: the first one to stop us is the one that counts.
    if _received is None and callable(handler):
        handler(signal.SIGPIPE, None)


class StopSignals:
    """While entered, the first SIGINT or SIGTERM raises `Stopped`, or with `finish_step` is only remembered.

    With `silent` nothing is said of it: another process does.
    """

    def __init__(self, *, finish_step: bool = False, silent: bool = False) -> None:
        self._finish_step, self._silent = finish_step, silent
        self._handlers: dict[int, object] = {}

    @property
    def received(self) -> bool:
        """Whether the run is to end."""
        return _received is not None

    @property
    def number(self) -> int:
        """The signal that was received, 0 for none."""
        return _received or 0

    def __enter__(self) -> "StopSignals":
        raise_if_stopped()
        for number in (signal.SIGINT, signal.SIGTERM):
            self._handlers[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal returned

    def _handle(self, number: int, frame: FrameType | None) -> None:
        global _received, _raised
        if _received is not None:
            sys.exit(128 + number)
        _received = number
        if not self._finish_step:
            _raised = True
            raise Stopped(number)
        if number != signal.SIGPIPE and not self._silent:
            tell(f"\n{signal.Signals(number).name}: finishing this step; once more to leave at once")
