"""Reads a script's command line: ``--help`` answers at once, and a flag that is none with the nearest one."""

import difflib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from absl import app, flags

from train.colours import columns_of
from train.errors import InputError
from train.flag_help import help_text
from train.output import write

FLAGS = flags.FLAGS

_CLOSE = 0.6  # of 1: difflib's own default; beyond it a suggestion confuses more than it helps


def script_name() -> str:
    """The script's name in its messages."""
    return Path(sys.argv[0]).name


def parse(argv: Sequence[str]) -> list[str]:
    """Sets the flags.

    Returns:
      What stands on the command line besides them, the script's own name first.

    Raises:
      InputError: a flag is unknown, or its value is none of its own.
      SystemExit: with 0, after help that was asked for.
    """
    _define_help_flags()
    try:
        return FLAGS(argv)
    except flags.UnrecognizedFlagError as error:
        raise InputError(_unknown(error.flagname)) from error
    except flags.Error as error:
        reason = " ".join(str(error).removeprefix("ERROR:: ").split())
        raise InputError(f"{reason} (--help lists all flags)") from error


def _unknown(name: str) -> str:
    dashes = "-" if len(name) == 1 else "--"
    close = nearest(name, _names())
    hint = f"did you mean --{close}? --help lists all" if close else "--help lists all"
    return f"unknown flag {dashes}{name}: {hint}"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The flag that somebody meant by `name`: spelt nearly so, or of its words or initials; None where none is near."""
    wanted, known = name.replace("-", "_"), list(known)
    if wanted in known:
        return wanted
    if spelt := difflib.get_close_matches(wanted, known, n=1, cutoff=_CLOSE):
        return spelt[0]
    parts = [flag for flag in known if wanted in (part := flag.split("_")) or wanted == "".join(p[0] for p in part)]
    return parts[0] if parts else None


def _names() -> list[str]:
    """The script's own flags, those that can be set to false also with ``no``; the libraries' come last."""
    own = [flag.name for flag in FLAGS.flags_by_module_dict().get("train.flags", [])]
    negated = [f"no{name}" for name in own if FLAGS[name].boolean]
    return [*own, *negated, "help", "helpfull", "flagfile"]


class _Help(flags.BooleanFlag):
    """Prints the help and leaves; absl's own does so with exit code 1, as if it were a mistake to ask."""

    def __init__(self, name: str, short_name: str | None) -> None:
        super().__init__(name, False, "Show this help.", short_name=short_name, allow_override=True)

    def parse(self, arg: str) -> None:
        if self._parse(arg):
            _leave(help_text(sys.modules["__main__"].__doc__ or "", columns_of(sys.stdout)))


class _HelpFull(flags.BooleanFlag):
    """absl's own text: every flag with all that is to be said of it."""

    def __init__(self) -> None:
        super().__init__("helpfull", False, "Show all of every flag's help.", allow_override=True)

    def parse(self, arg: str) -> None:
        if self._parse(arg):
            _leave(f"{sys.modules['__main__'].__doc__}\nflags:\n{FLAGS.get_help()}\n")


def _leave(text: str) -> None:
    write(text)
    sys.exit(0)


def _define_help_flags() -> None:
    app.define_help_flags()
    for name, short_name in (("help", "?"), ("helpshort", "h")):
        flags.DEFINE_flag(_Help(name, short_name))
    flags.DEFINE_flag(_HelpFull())
