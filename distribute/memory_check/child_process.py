"""A child process as its parent sees it: started with its path, heard to its end, never left behind."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from . import child_main

_OUTPUT_SHOWN = 2000  # characters: the end of what a child printed, where it died without a word
_SEVERAL = re.compile(r"\d+ root error\(s\) found")
_LOG_KEPT = 2**22  # bytes: an allocator that has run out lists every piece that it holds


@dataclass(frozen=True)
class Outcome:
    """How a child ended.

    Attributes:
      result: what its entry returned; None unless it ended well.
      phase: the last phase that it announced.
      error_types: names of the classes of the exception that ended it, the most derived first.
      text: what that exception says.
      message: for a child that failed, one line on what happened.
      report: the child's traceback, or the end of its output.
      log: for a child that failed, what it wrote that nobody saw, TensorFlow's own log among it.
      timed_out: it was killed because its time was over.
      signal: the signal that ended it, None where none did.
    """

    result: Any = None
    phase: str = ""
    error_types: tuple[str, ...] = ()
    text: str = ""
    message: str = ""
    report: str = ""
    log: str = ""
    timed_out: bool = False
    signal: int | None = None

    @property
    def ok(self) -> bool:
        """True when the entry returned."""
        return not self.message

    @property
    def died(self) -> bool:
        """True when it ended without an exception: by a signal or by leaving."""
        return not self.ok and not self.error_types


class ChildProcess:
    """Runs ``entry(channel, **arguments)`` in a process of its own.

    The child has the parent's ``sys.path`` and working directory, dies with the parent, and prints nowhere:
    what it prints is kept for the message of a failure. With ``shown`` it prints where the parent does, and what
    TensorFlow's C++ writes is still kept, but for ``log_shown``. It is killed after ``timeout_s`` seconds, None
    for never. While ``entry`` is being imported the modules named in ``without`` are as if they were not
    installed. With ``own_group`` a Ctrl-C in the parent's terminal does not reach it.

    To be started by a thread that lives longer (on Linux a child dies with its parent's thread), and heard by one.
    """

    def __init__(
        self,
        entry: str,
        arguments: Mapping[str, Any],
        *,
        environment: Mapping[str, str],
        timeout_s: float | None,
        without: Sequence[str] = (),
        shown: bool = False,
        log_shown: bool = False,
        own_group: bool = False,
    ) -> None:
        # Descriptors of its own: the child's standard output is the pipe of its messages, its standard error the file.
        output, errors = (os.dup(1), os.dup(2)) if shown else (2, 2)
        start = {
            "parent": os.getpid(),
            "entry": entry,
            "arguments": arguments,
            "without": without,
            "output": output,
            "errors": errors,
        }
        # An anonymous file and no pipe: nobody has to read it while the child runs, and nothing is left on
        # disk.
        self._output = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            # -P: the folder of child_main.py must not come first on the path.
            [sys.executable, "-P", str(Path(child_main.__file__)), json.dumps(start)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if log_shown else self._output,
            env={**environment, "PYTHONPATH": _python_path()},
            pass_fds=(output, errors) if shown else (),
            process_group=0 if own_group else None,
        )
        if shown:
            os.close(output)
            os.close(errors)
        self._phase = "start"
        self._outcome: Outcome | None = None
        self._last: dict[str, Any] | None = None
        self._timeout_s = timeout_s
        self._timed_out = False
        self._timer = threading.Timer(timeout_s or 0.0, self._time_out)
        self._timer.daemon = True
        if timeout_s is not None:
            self._timer.start()

    def _time_out(self) -> None:
        self._timed_out = True
        self.kill()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def kill(self) -> None:
        """Ends the child at once; `outcome` still has to be asked for, and then does not wait."""
        self._process.kill()

    def send(self, payload: bytes) -> None:
        """Sends the message that a child waits for, and does not wait until that has been read."""
        threading.Thread(target=self._write, args=(payload,), daemon=True).start()

    def _write(self, payload: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):  # a child that is gone is found out by `outcome`
            child_main.write_message(cast(BinaryIO, self._process.stdin), {}, payload)

    def receive(self, kind: str) -> bytes | None:
        """Waits for a message of this kind and returns its payload; None where the child ended before."""
        return next((payload for found, payload in self.messages() if found == kind), None)

    def messages(self) -> Iterator[tuple[str, bytes]]:
        """Waits for each message until the child's last one; gives its kind and its payload."""
        while self._last is None:
            message = child_main.read_message(cast(BinaryIO, self._process.stdout))
            if message is None:
                return
            header, payload = message
            if header["kind"] in ("result", "error"):
                self._last = header
            elif header["kind"] == "phase":
                self._phase = header["phase"]
            yield header["kind"], payload

    def outcome(self) -> Outcome:
        """Waits for the child's end and says how it ended; to be asked by the thread that hears it."""
        if self._outcome is None:
            self.receive("result")
            self._process.wait()
            self._timer.cancel()
            self._outcome = self._judge()
            self._output.close()
            for pipe in (self._process.stdin, self._process.stdout):
                with contextlib.suppress(BrokenPipeError):
                    cast(BinaryIO, pipe).close()
        return self._outcome

    def _judge(self) -> Outcome:
        if self._last is not None and self._last["kind"] == "error":
            types, text = tuple(self._last["types"]), self._last["text"]
            message = f"raised {types[0]} in {self._phase}: {headline(text)}"
            return Outcome(None, self._phase, types, text, message, self._last["traceback"], self._log())
        if self._last is not None:
            return Outcome(result=self._last["result"], phase=self._phase)
        code = self._process.returncode
        if self._timed_out:
            how = f"had not ended after {self._timeout_s or 0.0:.0f} s"
        elif code < 0:
            how = f"died of {signal.Signals(-code).name}"
        else:
            how = f"left with exit code {code}"
        message, log = f"{how} in {self._phase}", self._log()
        return Outcome(
            phase=self._phase,
            message=message,
            report=log.strip()[-_OUTPUT_SHOWN:],
            log=log,
            timed_out=self._timed_out,
            signal=-code if code < 0 else None,
        )

    def _log(self) -> str:
        size = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(size - _LOG_KEPT, 0))
        return self._output.read().decode(errors="replace")


def headline(text: str) -> str:
    """The line of an error's text that says what happened.

    TensorFlow puts the traceback of the failing node in front of it, "Graph execution error: Detected at node …", and
    where a step failed in several places a list of them, "2 root error(s) found. (0) NOT_FOUND: …".
    """
    lines = [line for line in text.splitlines() if line.strip()] or [""]
    if lines[0].startswith("Graph execution error"):
        noise = ("Graph execution error", "Detected ", "<stack", " ", "\t")
        rest = lines.index(next((line for line in lines if not line.startswith(noise)), lines[0]))
        lines = lines[rest:]
    if _SEVERAL.match(lines[0]) and len(lines) > 1:
        return lines[1].strip().removeprefix("(0)").strip()
    return lines[0]


def _python_path() -> str:
    # "" stands for the working directory, and in PYTHONPATH for nothing.
    return os.pathsep.join(folder or str(Path.cwd()) for folder in sys.path)
