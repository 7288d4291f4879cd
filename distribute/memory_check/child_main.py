"""The first lines of every child process: a script, run with ``python -P`` and given one JSON argument.

It imports nothing but the standard library before it has made sure that the child dies with its parent: an
import of TensorFlow takes seconds, and a parent can die in any of them.
"""

import contextlib
import ctypes
import importlib
import json
import os
import signal
import struct
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

# A message is a JSON header and, behind it, raw bytes; both lengths go first.
_LENGTHS = struct.Struct("<QQ")
_PR_SET_PDEATHSIG = 1


def write_message(stream: BinaryIO, header: dict[str, Any], payload: bytes = b"") -> None:
    """Writes one message; the other end reads it by `read_message`."""
    text = json.dumps(header).encode()
    stream.write(_LENGTHS.pack(len(text), len(payload)) + text)
    stream.write(payload)
    stream.flush()


def read_message(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """Reads one message; None where the other end closed the stream, even in the middle of one."""
    lengths = stream.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    text_size, payload_size = _LENGTHS.unpack(lengths)
    text, payload = stream.read(text_size), stream.read(payload_size)
    if len(text) < text_size or len(payload) < payload_size:
        return None
    return json.loads(text), payload


class Channel:
    """The child's end: messages over what were stdin and stdout, out of reach of user code.

    What is printed from then on goes to `output`, a file descriptor: by default to standard error.
    """

    def __init__(self, output: int = 2) -> None:
        self._incoming: BinaryIO = os.fdopen(os.dup(0), "rb")
        self._outgoing: BinaryIO = os.fdopen(os.dup(1), "wb")
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)

    def send(self, header: dict[str, Any], payload: bytes = b"") -> None:
        """Sends one message to the parent."""
        write_message(self._outgoing, header, payload)

    def receive(self) -> bytes:
        """Waits for the parent's message and returns its payload; ends this process without a parent."""
        message = read_message(self._incoming)
        if message is None:
            os._exit(1)
        return message[1]

    def watch(self, on_message: Callable[[bytes], None] | None = None) -> None:
        """From now on ends this process when the parent goes; messages are handed to `on_message`, in a thread."""
        threading.Thread(target=self._exit_at_end_of_file, args=(on_message,), daemon=True).start()

    def _exit_at_end_of_file(self, on_message: Callable[[bytes], None] | None) -> None:
        # The portable half of dying with the parent: its end of the pipe closes.
        while (message := read_message(self._incoming)) is not None:
            if on_message is not None:
                on_message(message[1])
        os._exit(1)


def _die_with(parent: int) -> None:
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)
    # Where the machine itself runs out of memory, this process goes first, and not the parent.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
        file.write("1000")


def _import(module: str, without: Sequence[str]) -> Any:
    # None instead of a module makes an import of it raise ImportError.
    hidden: dict[str, Any] = {name: None for name in without if name not in sys.modules}
    sys.modules.update(hidden)
    try:
        return importlib.import_module(module)
    finally:
        for name in hidden:
            del sys.modules[name]


def _main() -> None:
    start = json.loads(sys.argv[1])
    _die_with(start["parent"])
    sys.argv[:] = sys.argv[:1]
    channel = Channel(start["output"])
    if start["errors"] != 2:  # Python's messages are for the user, the log of TensorFlow's C++ is for the parent
        sys.stderr = os.fdopen(start["errors"], "w", buffering=1, errors="backslashreplace")
    module, _, name = start["entry"].partition(":")
    try:
        result = getattr(_import(module, start["without"]), name)(channel, **start["arguments"])
        channel.send({"kind": "result", "result": result})
    except BaseException as error:  # noqa: BLE001  whatever ends the child is the parent's to judge
        kinds = [kind.__name__ for kind in type(error).__mro__]
        channel.send({"kind": "error", "types": kinds, "text": str(error), "traceback": traceback.format_exc()})
    # Not sys.exit: tearing TensorFlow down takes a while and can hang, and everything has been said.
    os._exit(0)


if __name__ == "__main__":
    _main()
