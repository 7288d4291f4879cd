"""What every script shares: flags are parsed, the main function runs, and what it raises becomes an exit code.

`train.flag_help.EXIT_CODES` lists them. Errors print one message and no traceback, except with ``--debug``.
"""

import errno
import sys
import traceback
from collections.abc import Callable, Sequence

from absl import app, flags, logging

from train.command_line import parse, script_name
from train.errors import InputError, MachineError, ScriptError, tell
from train.heap import keep_heaps
from train.output import Output
from train.stop_signals import (
    Stopped,
    StopSignals,
    drop_output,
    failures_are_the_stop,
    raise_if_stopped,
    stop_without_output,
)
from train.tensorflow_log import import_tensorflow

FLAGS = flags.FLAGS

# The disk is full, over quota, or a file would be larger than allowed.
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def run(main: Callable[..., int], *, arguments: Sequence[str] = (), needs_tensorflow: bool = True) -> None:
    """Parses the flags, calls `main` and leaves the process with its exit code.

    Args:
      main: gets the script's `Output`, and what stands on the command line besides flags.
      arguments: what that must be, one name for each.
      needs_tensorflow: it is imported first, quietly.
    """

    def start(argv: list[str]) -> int:
        given = _checked(argv[1:], arguments)
        output = Output(as_json=FLAGS.json, quiet=FLAGS.quiet)
        if needs_tensorflow:
            set_up()
        return main(output, *given)

    app.run(lambda argv: sys.exit(_exit_code(lambda: start(argv))), flags_parser=_parse)


def _parse(argv: list[str]) -> list[str]:
    rest: list[str] = []

    def step() -> int:
        rest.extend(parse(argv))
        return 0

    if exit_code := _exit_code(step):
        sys.exit(exit_code)
    return rest


def _checked(given: list[str], arguments: Sequence[str]) -> list[str]:
    """What was given besides flags.

    Raises:
      InputError: it is more, or less, than `arguments`.
    """
    if len(given) > len(arguments):
        unexpected = given[len(arguments)]
        raise InputError(f"unexpected argument {unexpected!r}: flags are written --name=value (see --help)")
    if len(given) < len(arguments):
        raise InputError(f"needed: {' and '.join(arguments)}; given: {', '.join(given) or 'nothing'} (see --help)")
    return given


def _exit_code(step: Callable[[], int]) -> int:
    with StopSignals():
        try:
            with failures_are_the_stop():
                return _run(step)
        except Stopped as stop:
            tell(f"{script_name()}: {stop.reason}")
            return stop.exit_code


def _run(step: Callable[[], int]) -> int:
    try:
        return step()
    except ScriptError as error:
        return _tell(error)
    except BrokenPipeError:  # of a print in code that is not ours
        stop_without_output()
        raise_if_stopped()
        raise
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        if error.filename is None:
            drop_output()
        where = error.filename or "what was to be told (standard output)"
        return _tell(MachineError(f"cannot write {where}: {error.strerror}; free some space"))
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        from train.messages import first_line

        return _tell(MachineError(f"out of memory: {first_line(error)}; take a smaller batch, or free some"))


def _is_out_of_memory(error: Exception) -> bool:
    """Asked of what a script does outside of a run, which has a message of its own (`train.out_of_memory`)."""
    if "tensorflow" not in sys.modules:
        return isinstance(error, MemoryError)
    from distribute.out_of_memory import is_out_of_memory

    return is_out_of_memory(error)


def set_up() -> None:
    """What every process of a script does first, once its flags are parsed."""
    keep_heaps()
    import_tensorflow(quietly=not FLAGS.debug)
    if not FLAGS.debug:
        logging.set_verbosity(logging.WARNING)


def _tell(error: ScriptError) -> int:
    if FLAGS.is_parsed() and FLAGS.debug:
        traceback.print_exc()
    tell(f"{script_name()}: {error}")
    return error.exit_code
