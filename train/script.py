"""What every script shares: flags are parsed, the main function runs, and what it raises becomes an exit code.

0 everything asked for passed, 1 bad flag or input, 2 a check failed or the training met NaN, 3 the machine cannot do
it, 128 + signal after a clean stop by a signal. Errors print one message and no traceback, except with ``--debug``.
"""

import errno
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from absl import app, flags, logging

from train.errors import InputError, MachineError, ScriptError, tell
from train.heap import keep_heaps
from train.stop_signals import Stopped, StopSignals, raise_if_stopped, stop_without_output
from train.tensorflow_log import import_tensorflow_quietly

FLAGS = flags.FLAGS

# The disk is full, over quota, or a file would be larger than allowed.
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def run(main: Callable[..., int], *, arguments: Sequence[str] = ()) -> None:
    """Parses the flags, calls `main` and leaves the process with its exit code.

    Args:
      main: gets what stands on the command line besides flags.
      arguments: what that must be, one name for each.
    """
    app.run(lambda argv: sys.exit(_exit_code(main, argv, arguments)))


def _exit_code(main: Callable[..., int], argv: list[str], arguments: Sequence[str]) -> int:
    with StopSignals():
        try:
            return _run(main, argv, arguments)
        except Stopped as stop:
            tell(f"{_name()}: {stop.reason}")
            return stop.exit_code


def _run(main: Callable[..., int], argv: list[str], arguments: Sequence[str]) -> int:
    try:
        given = argv[1:]
        if len(given) > len(arguments):
            unexpected = given[len(arguments)]
            raise InputError(f"unexpected argument {unexpected!r}: flags are written --name=value (see --help)")
        if len(given) < len(arguments):
            raise InputError(f"needed: {' and '.join(arguments)}; given: {', '.join(given) or 'nothing'} (see --help)")
        set_up()
        return main(*given)
    except ScriptError as error:
        return _tell(error)
    except BrokenPipeError:  # of a print in code that is not ours
        stop_without_output()
        raise_if_stopped()
        raise
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        return _tell(MachineError(f"cannot write {error.filename}: {error.strerror}; free some space"))


def set_up() -> None:
    """What every process of a script does first, once its flags are parsed."""
    keep_heaps()
    if not FLAGS.debug:
        import_tensorflow_quietly()
        logging.set_verbosity(logging.WARNING)


def _tell(error: ScriptError) -> int:
    if FLAGS.debug:
        traceback.print_exc()
    tell(f"{_name()}: {error}")
    return error.exit_code


def _name() -> str:
    return Path(sys.argv[0]).name
