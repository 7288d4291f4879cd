"""What a script says: what it tells on the way, and the result that it was asked for.

| | standard output | standard error |
|---|---|---|
| | what is told, and the result as text | warnings and errors |
| ``--quiet`` | the result as text | warnings, errors, a verdict that is bad |
| ``--json`` | the result as one JSON document | what is told, the result as text, warnings and errors |
| both | the result as one JSON document | as ``--quiet`` |

It is the descriptor that is moved, and not Python's stream, so that this holds for whatever else writes there, too: the
user's own code, libraries, processes that the script starts. Imports nothing heavy.
"""

import functools
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from train.errors import InputError, tell
from train.json_text import json_text
from train.stop_signals import stop_without_output

if TYPE_CHECKING:
    from train.run_folder import RunFolder
    from train.terminal import Terminal

SCHEMA_VERSION = 1


class Output:
    """The output of this process's script, in one of the four ways; to be made once, before anything is printed.

    Raises:
      InputError: ``--json`` was given, and there is no standard output.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self._as_json, self._quiet = as_json, quiet
        if sys.stdout is None:
            if as_json:
                raise InputError("--json: standard output is closed, so nobody could read the document")
            sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  # takes the free descriptor before a file does
        is_moved = as_json or quiet
        self._results = _set_aside(sys.stdout, to_errors=as_json and not quiet) if is_moved else sys.stdout

    @functools.cached_property
    def console(self) -> "Terminal":
        """Where is told what goes on: on a terminal in colours, and with a bar for what takes long."""
        from train.terminal import Terminal

        return Terminal()

    @property
    def results(self) -> TextIO:
        """Where `show` writes."""
        return sys.stdout if self._as_json else self._results

    def show(self, text: str) -> None:
        """Writes a part of the result as text; with ``--json`` it is only told."""
        write(text.removesuffix("\n") + "\n", self.results)

    def judge(self, text: str, *, good: bool) -> None:
        """Tells a verdict; with ``--quiet`` only a bad one, as an error."""
        if self._quiet and not good:
            tell(text)
        else:
            self.console.print(text, highlight=True)

    def write_record(self, record: Mapping[str, Any]) -> None:
        """Writes the result, with its schema's version, as JSON where ``--json`` asks for it."""
        if self._as_json:
            write(json_text(_with_version(record)), self._results)

    def save(self, folder: "RunFolder", name: str, record: Mapping[str, Any]) -> Path:
        """Writes a record to the folder, too; returns its path.

        Raises:
          MachineError: as `RunFolder.write_record`.
        """
        path = folder.write_record(name, _with_version(record))
        self.write_record(record)
        return path


def write(text: str, stream: TextIO | None = None) -> None:
    """Writes to standard output, or another stream, at once; where its reader has gone the run is stopped cleanly."""
    stream = stream or sys.stdout
    try:
        print(text, end="", file=stream, flush=True)
    except BrokenPipeError:
        stop_without_output(stream)


def _with_version(record: Mapping[str, Any]) -> dict[str, Any]:
    # Later versions add keys, and never rename or remove one.
    return {"schema_version": SCHEMA_VERSION, **record}


def _set_aside(stream: TextIO, *, to_errors: bool) -> TextIO:
    """Lets the stream's descriptor lead to standard error, or nowhere; returns a stream to where it led before."""
    stream.flush()
    before = os.fdopen(os.dup(stream.fileno()), "w", encoding=stream.encoding, errors=stream.errors)
    target = os.dup(2) if to_errors else os.open(os.devnull, os.O_WRONLY)
    os.dup2(target, stream.fileno())
    os.close(target)
    return before
