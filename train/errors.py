"""The two errors that a script reports in one short message instead of a traceback, each with its exit code.

Messages say what was asked, what was found and what to do, in one to three lines.
"""


class InputError(ValueError):
    """A flag or an input is wrong: the user changes the command. Exit code 1."""


class MachineError(RuntimeError):
    """The machine cannot do it (data not reachable, disk full, out of memory): exit code 3."""
