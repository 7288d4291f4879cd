"""What ends a script early: each error has its exit code and a message that says asked, found, what to do."""

import contextlib
import sys


def tell(text: str) -> None:
    """Writes one message to standard error, if anybody still reads it."""
    with contextlib.suppress(BrokenPipeError):
        print(text, file=sys.stderr, flush=True)


class ScriptError(Exception):
    """The base: `train.script` prints the message and leaves with `exit_code`."""

    exit_code: int


class InputError(ScriptError, ValueError):
    """A bad flag, recipe or file: the user can mend it in the command."""

    exit_code = 1


class NonFiniteError(ScriptError, RuntimeError):
    """A loss or gradient was NaN or infinite; no variable was updated in that step."""

    exit_code = 2


class MachineError(ScriptError, RuntimeError):
    """The machine cannot do what was asked: memory, disk, GPU, or data that cannot be reached."""

    exit_code = 3
